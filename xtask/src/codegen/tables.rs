//! What there is one of: the list of modules, the API keys, the dispatch for tests.

use anyhow::Result;
use esker_wire_schema::{Api, Listener, Message};

use super::layout::Layout;
use super::message::NOTICE;
use super::{Module, types};

/// `mod.rs`.
pub(super) fn modules(modules: &[Module]) -> String {
    let mut code = format!(
        "//! Kafka's messages, one module an API.\n{NOTICE}\n\
         pub(crate) mod api_key;\n\
         #[cfg(any(test, feature = \"testing\"))]\npub(crate) mod dispatch;\n"
    );
    for module in modules {
        code += &format!("pub mod {};\n", module.name);
    }
    code
}

/// APIs with their request, by key.
fn apis(modules: &[Module]) -> Vec<(&Module, &Api, &Message)> {
    let mut apis: Vec<_> = modules
        .iter()
        .filter_map(|module| {
            let request = module.schema.messages.first()?;
            Some((module, module.schema.api.as_ref()?, request))
        })
        .collect();
    apis.sort_by_key(|(_, api, _)| api.key);
    apis
}

/// `api_key.rs`.
pub(super) fn api_keys(modules: &[Module]) -> String {
    let apis = apis(modules);
    let mut variants = String::new();
    let mut codes = String::new();
    let mut all = String::new();
    let mut infos = String::new();
    for (_, api, request) in &apis {
        let Api { name, key, .. } = api;
        let on = |listener| api.listeners.contains(&listener);
        variants += &format!("/// `{name}`.\n{name} = {key},\n");
        codes += &format!("{key} => Self::{name},\n");
        all += &format!("Self::{name},\n");
        infos += &format!(
            "Self::{name} => ApiInfo {{ name: {name:?}, oldest: {}, newest: {}, newest_unstable: {}, \
             first_flexible: {}, listeners: Listeners {{ broker: {}, controller: {} }} }},\n",
            request.oldest,
            request.newest,
            api.newest_unstable,
            request.flexible.map_or_else(|| "i16::MAX".to_owned(), |v| v.to_string()),
            on(Listener::Broker),
            on(Listener::Controller),
        );
    }
    format!(
        "//! Which APIs there are.\n{NOTICE}
        use crate::api_info::ApiInfo;
        use crate::message::Listeners;

        /// An API of Kafka, by its key on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {{ {variants} }}

        impl ApiKey {{
            /// Every API, ascending by key.
            pub const ALL: [Self; {count}] = [ {all} ];

            /// The API with this key, `None` if Kafka has none or serves it no longer.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<Self> {{
                Some(match code {{ {codes} _ => return None }})
            }}

            pub(crate) const fn info(self) -> ApiInfo {{
                match self {{ {infos} }}
            }}
        }}
        ",
        count = apis.len()
    )
}

/// `dispatch.rs`.
pub(super) fn dispatch(modules: &[Module]) -> Result<String> {
    let mut arms = String::new();
    let mut texts = String::new();
    for module in modules {
        texts += &format!("include_str!(\"../../schema/{}.schema\"),\n", module.name);
        for message in &module.schema.messages {
            let layout = Layout::new(message)?;
            let ty = types::struct_type(&layout, &message.name).replace("'a", "'_");
            arms += &format!("{:?} => job.run::<super::{}::{ty}>(),\n", message.name, module.name);
        }
    }
    Ok(format!(
        "//! Any message by its name, for tests.\n{NOTICE}
        use crate::testing::{{Recode, Recoded}};

        /// Text of every schema file.
        pub(crate) const SCHEMA: &[&str] = &[ {texts} ];

        /// Runs `job` on the message called `name`; `None` if there is none.
        pub(crate) fn recode(name: &str, job: &Recode<'_>) -> Option<Recoded> {{
            Some(match name {{ {arms} _ => return None }})
        }}
        "
    ))
}

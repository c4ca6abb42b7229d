//! Every setting of brokers, topics and groups: a table, the rules of its values, and how they are resolved.
//!
//! Names, kinds, defaults and rules are Kafka's (4.4) where Kafka has the setting; ours begin with `esker.`. A
//! setting of Kafka's is either *honoured*, or *accepted* (stored and shown; its purpose is met in another way, or there
//! is nothing to control), or *coming* (stored and shown; what it belongs to is not served yet, and whoever sets it is
//! told), or *refused* (ignoring it would mislead, so that only its default may be set). An unknown name is an error
//! that suggests known ones.
//!
//! This crate knows neither the engine nor the broker: they take what they need from [`typed`].

mod docs;
mod properties;
mod resolve;
mod rule;
mod setting;
mod similar;
mod table;
pub mod typed;
mod value;

pub use docs::{docs_json, docs_markdown};
pub use properties::{PropertiesError, parse_properties};
pub use resolve::{
    BrokerSettings, Level, Resolved, ResolvedSettings, ResolvedTopic, Source, SynonymValue,
};
pub use rule::Rule;
pub use setting::{Kind, Setting, SettingError, Support, Synonym, Update};
pub use similar::unknown;
pub use table::{
    Scope, broker_setting, broker_settings, group_setting, group_settings, topic_setting,
    topic_settings,
};
pub use value::Value;

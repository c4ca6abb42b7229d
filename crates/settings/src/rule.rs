//! Which values of a kind are legal.

use crate::setting::Kind;
use crate::value::Value;
use std::collections::BTreeSet;

/// Which values of a kind are legal. Lists never hold an empty element, nor one twice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// All of them.
    Any,
    /// All but the empty text or list.
    NonEmpty,
    /// Numbers from here on.
    AtLeast(i64),
    /// Numbers from the first to the second.
    Between(i64, i64),
    /// Numbers from the first to the second, and the third.
    BetweenOr(i64, i64, i64),
    /// Fractions from the first to the second.
    Share(f64, f64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in capitals or not.
    OneOfNoCase(&'static [&'static str]),
    /// A list of some of these texts, or of none.
    EachOf(&'static [&'static str]),
    /// A list of some of these texts.
    SomeOf(&'static [&'static str]),
    /// Replicas, as `PARTITION:BROKER`; or `*`.
    Throttled,
    /// Where a share group starts.
    OffsetReset,
    /// Addresses, as `HOST:PORT`.
    Endpoints,
    /// Controllers, as `ID@HOST:PORT`.
    Voters,
}

impl Rule {
    pub(crate) fn allows(self, value: &Value) -> bool {
        match value {
            Value::Boolean(_) => true,
            Value::Number(number) => match self {
                Self::AtLeast(low) => *number >= low,
                Self::Between(low, high) => (low..=high).contains(number),
                Self::BetweenOr(low, high, other) => {
                    *number == other || (low..=high).contains(number)
                }
                _ => true,
            },
            Value::Double(number) => match self {
                Self::Share(low, high) => (low..=high).contains(number),
                _ => true,
            },
            Value::Text(text) => match self {
                Self::NonEmpty => !text.is_empty(),
                Self::OneOf(texts) => texts.contains(&text.as_str()),
                Self::OneOfNoCase(texts) => texts.iter().any(|one| one.eq_ignore_ascii_case(text)),
                Self::OffsetReset => is_offset_reset(text),
                _ => true,
            },
            Value::List(elements) => self.allows_list(elements),
        }
    }

    fn allows_list(self, elements: &[String]) -> bool {
        if self == Self::Throttled {
            let star = matches!(elements, [only] if only == "*");
            // Kafka lets a comma stand at the end.
            let replicas = elements.strip_suffix(&[String::new()]).unwrap_or(elements);
            return star || replicas.iter().all(|replica| is_replica(replica));
        }
        let unique = elements.iter().collect::<BTreeSet<_>>().len() == elements.len();
        let known = |texts: &[&str]| elements.iter().all(|one| texts.contains(&one.as_str()));
        unique
            && elements.iter().all(|element| !element.is_empty())
            && match self {
                Self::NonEmpty => !elements.is_empty(),
                Self::EachOf(texts) => known(texts),
                Self::SomeOf(texts) => !elements.is_empty() && known(texts),
                Self::Endpoints => elements.iter().all(|one| is_endpoint(one)),
                Self::Voters => elements.iter().all(|one| {
                    one.split_once('@').is_some_and(|(id, at)| is_number(id) && is_endpoint(at))
                }),
                _ => true,
            }
    }

    pub(crate) fn expected(self, kind: Kind) -> String {
        let what = match kind {
            Kind::Boolean => "`true` or `false`",
            Kind::Short => "a whole number up to 32767",
            Kind::Int => "a whole number up to 2147483647",
            Kind::Long => "a whole number",
            Kind::Double => "a number",
            Kind::Text | Kind::Password | Kind::Class => "a text",
            Kind::List => "a list, separated by commas, of different elements",
            Kind::Size => "a size such as `64MiB`, or a number of bytes",
            Kind::Duration => "a time such as `30s`, or a number of milliseconds",
        };
        let quoted = |texts: &[&str]| format!("`{}`", texts.join("`, `"));
        match self {
            Self::Any => what.to_owned(),
            Self::NonEmpty => format!("{what}, not empty"),
            Self::AtLeast(low) => format!("{what}, {low} or more"),
            Self::Between(low, high) => format!("{what}, from {low} to {high}"),
            Self::BetweenOr(low, high, other) => {
                format!("{what}, from {low} to {high}, or {other}")
            }
            Self::Share(low, high) => format!("{what} from {low} to {high}"),
            Self::OneOf(texts) => format!("one of {}", quoted(texts)),
            Self::OneOfNoCase(texts) => format!("one of {}, in capitals or not", quoted(texts)),
            Self::EachOf(texts) => format!("nothing, or a list of some of {}", quoted(texts)),
            Self::SomeOf(texts) => format!("a list of some of {}", quoted(texts)),
            Self::Throttled => "a list of `PARTITION:BROKER`, or `*`".to_owned(),
            Self::OffsetReset => {
                "`latest`, `earliest`, or `by_duration:` and a time such as `PT1H`".to_owned()
            }
            Self::Endpoints => "a list of `HOST:PORT`".to_owned(),
            Self::Voters => "a list of `ID@HOST:PORT`".to_owned(),
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_replica(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
}

/// `HOST:PORT`, also after `PROTOCOL://`.
fn is_endpoint(text: &str) -> bool {
    let address = text.split_once("://").map_or(text, |(_, address)| address);
    address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && is_number(port) && port.parse::<u16>().is_ok()
    })
}

fn is_offset_reset(text: &str) -> bool {
    match text.strip_prefix("by_duration:") {
        Some(duration) => is_iso_duration(duration),
        None => matches!(text, "latest" | "earliest"),
    }
}

/// An ISO-8601 time that is not negative, `PnDTnHnMn.nS`, in capitals or not.
fn is_iso_duration(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let Some(body) = text.strip_prefix('P') else { return false };
    let (days, time) = match body.split_once('T') {
        Some((_, "")) => return false,
        Some((days, time)) => (days, time),
        None => (body, ""),
    };
    if body.is_empty() || !(days.is_empty() || days.strip_suffix('D').is_some_and(is_number)) {
        return false;
    }
    let mut rest = time;
    for unit in ['H', 'M'] {
        if let Some((number, after)) = rest.split_once(unit) {
            if !is_number(number) {
                return false;
            }
            rest = after;
        }
    }
    let is_seconds = |number: &str| match number.split_once('.') {
        Some((whole, part)) => is_number(whole) && (part.is_empty() || is_number(part)),
        None => is_number(number),
    };
    rest.is_empty() || rest.strip_suffix('S').is_some_and(is_seconds)
}

//! One setting: what it is, and whether a value is legal.

use crate::rule::Rule;
use crate::table::Scope;
use crate::value::{Value, parse};
use std::borrow::Cow;

/// A row of the table.
#[derive(Debug)]
pub struct Setting {
    /// Kafka's name, or ours under `esker.`.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Its value if nobody sets it, as text; `None` is Kafka's `null`.
    pub default: Option<&'static str>,
    /// Which values are legal.
    pub rule: Rule,
    /// When it may change.
    pub update: Update,
    /// What it does here.
    pub support: Support,
    /// Broker settings that stand in for it, the one that wins first.
    pub synonyms: &'static [Synonym],
    /// What it means.
    pub doc: &'static str,
}

/// A broker setting that stands in for a setting of a topic or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synonym {
    /// Its name.
    pub name: &'static str,
    /// What its number is multiplied by, such as 3,600,000 from hours to milliseconds.
    pub factor: i64,
}

/// What values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// 16 bits.
    Short,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// A number with a fraction.
    Double,
    /// Any text.
    Text,
    /// Texts, separated by commas.
    List,
    /// A text that is never shown.
    Password,
    /// Name of a Java class.
    Class,
    /// Bytes: a number, or `64MiB`. A `LONG` to Kafka's tools.
    Size,
    /// Milliseconds: a number, or `30s`. A `LONG` to Kafka's tools.
    Duration,
}

impl Kind {
    /// `DescribeConfigs`' number of the type (from its version 3 on).
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::Text => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long | Self::Size | Self::Duration => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// Its word for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Short => "short",
            Self::Int => "int",
            Self::Long => "long",
            Self::Double => "double",
            Self::Text => "string",
            Self::List => "list",
            Self::Password => "password",
            Self::Class => "class",
            Self::Size => "size",
            Self::Duration => "duration",
        }
    }
}

/// When a setting may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// A broker setting that is read at the start.
    ReadOnly,
    /// A broker setting that may change on a running broker, for each one by itself only.
    PerBroker,
    /// A broker setting that may change on running brokers, for one or all.
    ClusterWide,
    /// A broker setting that may change on running brokers, for all together only.
    AllBrokers,
    /// A setting of a topic or group: at any time.
    Dynamic,
}

impl Update {
    /// Kafka's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per-broker",
            Self::ClusterWide | Self::AllBrokers => "cluster-wide",
            Self::Dynamic => "dynamic",
        }
    }
}

/// What a setting does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// What it says.
    Honoured,
    /// It is stored and shown, and does nothing: its purpose is met in this other way, or there is nothing to control.
    Accepted(&'static str),
    /// It is stored and shown, and does nothing yet: tools and clients set it as a matter of course, and what it belongs
    /// to is not there yet. Whoever starts a broker with a value for it is told.
    Coming(&'static str),
    /// Nothing but its default is legal, for this reason: without an effect it would mislead.
    Refused(&'static str),
}

/// Why a value may not be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no such setting.
    #[error("`{name}` is no {} setting{}", scope.name(), meant(similar))]
    Unknown {
        /// What it was looked for in.
        scope: Scope,
        /// The name.
        name: String,
        /// Names that look like it, the closest first.
        similar: Vec<&'static str>,
    },
    /// The value is not legal.
    #[error("`{value}` is no value of `{name}`: expected {expected}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// The value, or a mask in place of a secret.
        value: String,
        /// What is legal.
        expected: String,
    },
    /// It would be legal in Kafka, and has no effect here that one could rely on.
    #[error("`{name}` cannot be `{value}`: {why}")]
    Refused {
        /// The setting.
        name: &'static str,
        /// The value, or a mask in place of a secret.
        value: String,
        /// The reason, with what to do.
        why: &'static str,
    },
    /// It is read at the start only.
    #[error(
        "`{0}` cannot change while a broker runs: set it in the broker's configuration and restart it"
    )]
    ReadOnly(&'static str),
    /// It belongs to one broker.
    #[error("`{0}` belongs to one broker: give its id instead of setting it for all")]
    PerBroker(&'static str),
    /// It belongs to all brokers together.
    #[error("`{0}` belongs to all brokers together: set it without a broker's id")]
    AllBrokers(&'static str),
}

fn meant(similar: &[&'static str]) -> String {
    match similar {
        [] => String::new(),
        names => format!(", did you mean `{}`?", names.join("`, `")),
    }
}

impl Setting {
    /// Whether its value must not be shown.
    #[must_use]
    pub const fn is_sensitive(&self) -> bool {
        matches!(self.kind, Kind::Password)
    }

    /// The value that a text stands for, if it is one of the kind and the rule allows it. Asks neither for
    /// [`Support`] nor for [`Update`].
    #[must_use]
    pub fn parse(&self, text: &str) -> Option<Value> {
        parse(self.kind, text).filter(|value| self.rule.allows(value))
    }

    /// Judges a value that someone wants to set.
    ///
    /// Returns its canonical text, which is what is stored and shown.
    ///
    /// # Errors
    /// [`SettingError::Invalid`] or [`SettingError::Refused`].
    pub fn check(&self, text: &str) -> Result<String, SettingError> {
        let shown = || if self.is_sensitive() { "[hidden]" } else { text }.to_owned();
        let Some(value) = self.parse(text) else {
            return Err(SettingError::Invalid {
                name: self.name,
                value: shown(),
                expected: self.expected(),
            });
        };
        let canonical = value.to_string();
        if let Support::Refused(why) = self.support
            && canonical != self.default.unwrap_or("")
        {
            return Err(SettingError::Refused { name: self.name, value: shown(), why });
        }
        Ok(canonical)
    }

    /// What it means, and where it has no effect, why.
    #[must_use]
    pub fn documentation(&self) -> Cow<'static, str> {
        match self.support {
            Support::Honoured => Cow::Borrowed(self.doc),
            Support::Accepted(why) | Support::Coming(why) => {
                Cow::Owned(format!("{} Without effect: {why}.", self.doc))
            }
            Support::Refused(why) => Cow::Owned(format!("{} Keeps its default: {why}.", self.doc)),
        }
    }

    /// What is legal, in words.
    #[must_use]
    pub fn expected(&self) -> String {
        self.rule.expected(self.kind)
    }
}

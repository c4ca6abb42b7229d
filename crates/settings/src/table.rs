//! The table: one row for each setting that Kafka 4.4 documents, and our own.
//!
//! A row reads: name, kind, default, rule, when it may change, what we do with it, for topics and groups the broker
//! settings that it falls back to (each with the factor to the row's own unit), and what it means. Rows that deviate
//! from Kafka are listed, each with its reason, in the test that holds this table against Kafka's own.

use crate::setting::Setting;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Makes a table of rows.
macro_rules! settings {
    ($table:ident $(
        $name:literal: $kind:ident = $default:expr, $rule:expr, $update:ident,
            $support:ident $(($why:ident))? $(<- [$(($synonym:literal, $factor:literal)),*])?;
            $doc:literal
    )*) => {
        pub(super) static $table: &[crate::setting::Setting] = {
            #[expect(clippy::allow_attributes, reason = "not every table uses every rule")]
            #[allow(unused_imports, reason = "not every table uses every rule")]
            use crate::rule::Rule::*;
            &[$(crate::setting::Setting {
                name: $name,
                kind: crate::setting::Kind::$kind,
                default: $default,
                rule: $rule,
                update: crate::setting::Update::$update,
                support: crate::setting::Support::$support $(($why))?,
                synonyms: &[$($(crate::setting::Synonym { name: $synonym, factor: $factor }),*)?],
                doc: $doc,
            }),*]
        };
    };
}

mod esker;
mod group;
mod groups;
mod log;
mod node;
mod replication;
mod security;
mod tiering;
mod topic;
mod transactions;
pub(crate) mod why;

/// Tables of broker settings with their titles.
static BROKER: [(&str, &[Setting]); 8] = [
    ("Node", node::NODE),
    ("Log", log::LOG),
    ("Replication and metadata", replication::REPLICATION),
    ("Tiered storage", tiering::TIERING),
    ("Groups", groups::GROUPS),
    ("Transactions", transactions::TRANSACTIONS),
    ("Security", security::SECURITY),
    ("Esker", esker::ESKER),
];

/// Tables of topic settings with their titles.
static TOPIC: [(&str, &[Setting]); 2] =
    [("Topic", topic::TOPIC), ("Topic (Esker)", esker::ESKER_TOPIC)];

/// Tables of group settings with their titles.
static GROUP: [(&str, &[Setting]); 1] = [("Group", group::GROUP)];

type Index = BTreeMap<&'static str, &'static Setting>;

fn index(tables: &'static [(&'static str, &'static [Setting])]) -> Index {
    let mut index = Index::new();
    for setting in tables.iter().flat_map(|(_, rows)| rows.iter()) {
        let before = index.insert(setting.name, setting);
        assert!(before.is_none(), "`{}` has two rows", setting.name);
    }
    index
}

static BROKER_INDEX: LazyLock<Index> = LazyLock::new(|| index(&BROKER));
static TOPIC_INDEX: LazyLock<Index> = LazyLock::new(|| index(&TOPIC));
static GROUP_INDEX: LazyLock<Index> = LazyLock::new(|| index(&GROUP));

/// What settings belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A broker, or all of them.
    Broker,
    /// A topic.
    Topic,
    /// A group.
    Group,
}

impl Scope {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Topic => "topic",
            Self::Group => "group",
        }
    }

    pub(crate) fn tables(self) -> &'static [(&'static str, &'static [Setting])] {
        match self {
            Self::Broker => &BROKER,
            Self::Topic => &TOPIC,
            Self::Group => &GROUP,
        }
    }

    fn index(self) -> &'static Index {
        match self {
            Self::Broker => &BROKER_INDEX,
            Self::Topic => &TOPIC_INDEX,
            Self::Group => &GROUP_INDEX,
        }
    }

    /// The setting of this name.
    #[must_use]
    pub fn setting(self, name: &str) -> Option<&'static Setting> {
        self.index().get(name).copied()
    }

    /// All settings, by name.
    pub fn settings(self) -> impl ExactSizeIterator<Item = &'static Setting> {
        self.index().values().copied()
    }
}

/// The topic setting of this name.
#[must_use]
pub fn topic_setting(name: &str) -> Option<&'static Setting> {
    Scope::Topic.setting(name)
}

/// The broker setting of this name.
#[must_use]
pub fn broker_setting(name: &str) -> Option<&'static Setting> {
    Scope::Broker.setting(name)
}

/// The group setting of this name.
#[must_use]
pub fn group_setting(name: &str) -> Option<&'static Setting> {
    Scope::Group.setting(name)
}

/// All topic settings, by name.
pub fn topic_settings() -> impl ExactSizeIterator<Item = &'static Setting> {
    Scope::Topic.settings()
}

/// All broker settings, by name.
pub fn broker_settings() -> impl ExactSizeIterator<Item = &'static Setting> {
    Scope::Broker.settings()
}

/// All group settings, by name.
pub fn group_settings() -> impl ExactSizeIterator<Item = &'static Setting> {
    Scope::Group.settings()
}

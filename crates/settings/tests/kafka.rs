//! The table against Kafka's own: names, types, defaults, update modes, synonyms, and which values are legal.

use esker_settings::{Kind, Scope, Setting, Support};
use std::collections::BTreeSet;

const DUMP: &str = include_str!("../testdata/kafka-4.4.0.tsv");

/// Defaults that are ours, and why.
const DEFAULTS: [(&str, &str); 12] = [
    (
        "broker.heartbeat.interval.ms",
        "others take over what a dead broker led within a second or two",
    ),
    ("broker.session.timeout.ms", "others take over what a dead broker led within a second or two"),
    (
        "leader.imbalance.check.interval.seconds",
        "a move copies nothing, and a new broker takes its share soon",
    ),
    (
        "streams.assignor.name",
        "Kafka shows the first of `group.streams.assignors` where nobody set it",
    ),
    ("group.coordinator.rebalance.protocols", "only what is served is said to be"),
    ("node.id", "a first broker needs no configuration"),
    ("process.roles", "a first broker needs no configuration"),
    ("controller.listener.names", "a first broker needs no configuration"),
    ("queued.max.request.bytes", "memory for requests is limited unless someone asks for no limit"),
    ("log.dir", "the command line names the data directory"),
    ("remote.log.storage.system.enable", "offloading is what Esker is built on"),
    ("remote.storage.enable", "offloading is what Esker is built on"),
];

/// Settings that change on a running broker in Kafka, and here at the start only.
const AT_THE_START: [&str; 3] =
    ["listeners", "listener.security.protocol.map", "producer.id.expiration.ms"];

/// Settings that Kafka's table lacks: the authorizer reads them by itself.
const EXTRA: [&str; 2] = ["super.users", "allow.everyone.if.no.acl.found"];

/// Settings that Kafka has and does not document, and that harnesses set.
const INTERNAL: [&str; 2] = ["unstable.api.versions.enable", "unstable.feature.versions.enable"];

struct Row<'a> {
    scope: Scope,
    name: &'a str,
    kind: &'a str,
    default: &'a str,
    update: &'a str,
    synonyms: &'a str,
    verdicts: &'a str,
}

fn rows() -> impl Iterator<Item = Row<'static>> {
    DUMP.lines().filter(|line| !line.starts_with(['#'])).filter_map(|line| {
        let mut fields = line.split('\t');
        let scope = match fields.next()? {
            "broker" => Scope::Broker,
            "topic" => Scope::Topic,
            "group" => Scope::Group,
            _ => return None,
        };
        let [name, kind, default, update, synonyms, verdicts] =
            std::array::from_fn(|_| fields.next().expect("a row has seven fields"));
        Some(Row { scope, name, kind, default, update, synonyms, verdicts })
    })
}

fn candidates() -> Vec<&'static str> {
    let line = DUMP.lines().find_map(|line| line.strip_prefix("candidates\t"));
    let line = line.expect("the dump tells its candidates");
    line.split('\t').map(|quoted| quoted.trim_matches('"')).collect()
}

fn setting(row: &Row<'_>) -> &'static Setting {
    row.scope.setting(row.name).unwrap_or_else(|| panic!("`{}` is missing", row.name))
}

#[test]
fn names_types_defaults_and_update_modes_are_kafkas() {
    assert_eq!(rows().count(), 408);
    for row in rows() {
        let setting = setting(&row);
        let kind = match setting.kind {
            Kind::Boolean => "BOOLEAN",
            Kind::Short => "SHORT",
            Kind::Int => "INT",
            Kind::Long | Kind::Size | Kind::Duration => "LONG",
            Kind::Double => "DOUBLE",
            Kind::Text => "STRING",
            Kind::List => "LIST",
            Kind::Password => "PASSWORD",
            Kind::Class => "CLASS",
        };
        assert_eq!(kind, row.kind, "{}", row.name);
        let default = setting.default.unwrap_or("~null~");
        let ours = DEFAULTS.iter().any(|(name, _)| *name == row.name);
        assert_eq!(default != row.default, ours, "{}: {default}, {}", row.name, row.default);
        if row.scope == Scope::Broker {
            let at_the_start = AT_THE_START.contains(&row.name);
            let update = if at_the_start { "read-only" } else { row.update };
            assert_eq!(setting.update.name(), update, "{}", row.name);
            assert!(!at_the_start || row.update != update, "{}", row.name);
        }
    }
}

#[test]
fn nothing_is_in_the_table_that_is_neither_kafkas_nor_ours() {
    let kafka: BTreeSet<_> = rows().map(|row| (row.scope.name(), row.name)).collect();
    for scope in [Scope::Broker, Scope::Topic, Scope::Group] {
        for setting in scope.settings() {
            let known = kafka.contains(&(scope.name(), setting.name))
                || setting.name.starts_with("esker.")
                || EXTRA.contains(&setting.name)
                || INTERNAL.contains(&setting.name);
            assert!(known, "{}", setting.name);
        }
    }
}

#[test]
fn synonyms_of_topic_settings_are_kafkas() {
    for row in rows().filter(|row| row.scope == Scope::Topic) {
        let synonyms: Vec<_> = setting(&row)
            .synonyms
            .iter()
            .map(|one| format!("{}/{}", one.name, one.factor))
            .collect();
        assert_eq!(synonyms.join(","), row.synonyms, "{}", row.name);
    }
    for scope in [Scope::Topic, Scope::Group] {
        for synonym in scope.settings().flat_map(|setting| setting.synonyms) {
            assert!(Scope::Broker.setting(synonym.name).is_some(), "{}", synonym.name);
        }
    }
}

#[test]
fn the_same_values_are_legal_as_in_kafka() {
    let candidates = candidates();
    for row in rows() {
        let setting = setting(&row);
        // Kafka loads the class to judge it, and we load none.
        if setting.kind == Kind::Class {
            continue;
        }
        assert_eq!(candidates.len(), row.verdicts.len());
        for (candidate, verdict) in candidates.iter().zip(row.verdicts.chars()) {
            let legal = setting.parse(candidate).is_some();
            assert_eq!(legal, verdict == '1', "`{}` = `{candidate}`", row.name);
        }
    }
}

#[test]
fn every_default_is_legal_and_canonical() {
    for scope in [Scope::Broker, Scope::Topic, Scope::Group] {
        for setting in scope.settings() {
            let Some(default) = setting.default else { continue };
            assert_eq!(setting.check(default).as_deref(), Ok(default), "{}", setting.name);
        }
    }
}

#[test]
fn what_is_refused_keeps_its_default_only_and_says_why() {
    let check = |scope: Scope, name, text| scope.setting(name).unwrap().check(text);
    assert_eq!(
        check(Scope::Topic, "remote.storage.enable", "false").unwrap_err().to_string(),
        "`remote.storage.enable` cannot be `false`: every topic lives in the bucket; remove the \
         setting, or keep the default"
    );
    assert_eq!(check(Scope::Topic, "remote.storage.enable", "TRUE").as_deref(), Ok("true"));
    let error = check(Scope::Broker, "ssl.keystore.password", "hush").unwrap_err().to_string();
    assert!(error.contains("`[hidden]`") && !error.contains("hush"), "{error}");
    let error = check(Scope::Topic, "retention.ms", "-2").unwrap_err().to_string();
    assert_eq!(error, "`-2` is no value of `retention.ms`: expected a whole number, -1 or more");
    let refused = Scope::Broker.settings().filter(|one| matches!(one.support, Support::Refused(_)));
    assert!(refused.count() > 10);
}

#[test]
fn what_changes_on_a_running_broker_is_in_force_then() {
    // Read from the settings in force: by topics, and by the listener.
    let live: BTreeSet<_> = Scope::Topic
        .settings()
        .flat_map(|setting| setting.synonyms.iter().map(|synonym| synonym.name))
        .chain(["max.connections"])
        .collect();
    let dynamic = |setting: &&Setting| !matches!(setting.update.name(), "read-only");
    for setting in Scope::Broker.settings().filter(dynamic) {
        let is_honoured = matches!(setting.support, Support::Honoured);
        assert!(!is_honoured || live.contains(setting.name), "{}", setting.name);
    }
}

#[test]
fn nobody_is_told_of_an_effect_that_is_not_there() {
    for scope in [Scope::Broker, Scope::Topic, Scope::Group] {
        for setting in scope.settings() {
            let documentation = setting.documentation();
            let reason = match setting.support {
                Support::Honoured => "",
                Support::Accepted(why) | Support::Coming(why) | Support::Refused(why) => why,
            };
            assert!(documentation.contains(reason), "{}", setting.name);
            let is_coming = matches!(setting.support, Support::Coming(_));
            assert!(!is_coming || reason.ends_with("yet"), "{}: {reason}", setting.name);
        }
    }
}

//! Which of several values is in force.
//!
//! A setting of a topic or group falls back to its broker synonyms, those to where they are set: for this broker,
//! for all brokers, in the configuration the broker was started with. A value set closer wins over one set further
//! away, whatever their names; among synonyms set in one place the first of the row wins (`log.retention.ms` before
//! `log.retention.minutes` before `log.retention.hours`).
//!
//! Values are judged when they are set. One that this program does not take all the same (it was stored by another
//! version) counts as not set: the next place is asked.

use crate::setting::{Setting, SettingError, Support, Synonym, Update};
use crate::similar::unknown;
use crate::table::{Scope, broker_setting, why};
use crate::typed;
use crate::value::Value;
use std::collections::BTreeMap;

/// Where a value comes from: `DescribeConfigs`' config source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Set on the topic.
    DynamicTopic,
    /// Set on the running broker.
    DynamicBroker,
    /// Set on all running brokers.
    DynamicDefaultBroker,
    /// From the configuration the broker was started with.
    StaticBroker,
    /// Nobody set it.
    Default,
    /// Set on the group.
    Group,
}

impl Source {
    /// Kafka's number for it.
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            Self::DynamicTopic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
            Self::Group => 8,
        }
    }

    /// Kafka's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            Self::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            Self::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Self::StaticBroker => "STATIC_BROKER_CONFIG",
            Self::Default => "DEFAULT_CONFIG",
            Self::Group => "GROUP_CONFIG",
        }
    }
}

/// Where a broker setting is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// In the configuration that the broker is started with.
    Static,
    /// On all running brokers.
    Cluster,
    /// On one running broker.
    Broker,
}

impl Level {
    /// The closest first.
    const ALL: [Self; 3] = [Self::Broker, Self::Cluster, Self::Static];

    const fn source(self) -> Source {
        match self {
            Self::Static => Source::StaticBroker,
            Self::Cluster => Source::DynamicDefaultBroker,
            Self::Broker => Source::DynamicBroker,
        }
    }
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynonymValue {
    /// Name of the setting.
    pub name: &'static str,
    /// Its text as it is set there, in that setting's own unit.
    pub value: String,
    /// Where it is set.
    pub source: Source,
}

/// What is in force for one setting.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value; `None` is Kafka's `null`.
    pub value: Option<Value>,
    /// Where the value comes from.
    pub source: Source,
    /// Every place where it or a synonym has a value, the one in force first; defaults included.
    pub synonyms: Vec<SynonymValue>,
}

impl Resolved {
    /// The value's canonical text. Not for the eyes of clients if the setting is sensitive.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        self.value.as_ref().map(ToString::to_string)
    }
}

/// What is in force for every setting of a topic, group or broker.
#[derive(Debug, Clone)]
pub struct ResolvedSettings(Vec<Resolved>);

/// A topic's settings.
pub type ResolvedTopic = ResolvedSettings;

impl ResolvedSettings {
    /// What is in force for one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Resolved> {
        let at = self.0.binary_search_by(|resolved| resolved.setting.name.cmp(name)).ok()?;
        self.0.get(at)
    }

    /// All, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Resolved> {
        self.0.iter()
    }
}

type Values = BTreeMap<String, String>;

/// What settings of one listener begin with.
const LISTENER_PREFIX: &str = "listener.name.";

/// The broker settings that someone set, by where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerSettings {
    fixed: Values,
    cluster: Values,
    broker: Values,
}

impl BrokerSettings {
    /// Judges a value without setting it. Returns its canonical text.
    ///
    /// # Errors
    /// See [`SettingError`]; on a running broker ([`Level::Cluster`], [`Level::Broker`]) also where the setting
    /// does not change there.
    pub fn check(level: Level, name: &str, text: &str) -> Result<String, SettingError> {
        let Some(setting) = setting_behind(name)? else { return Ok(text.trim().to_owned()) };
        Self::check_level(level, setting)?;
        let canonical = setting.check(text)?;
        let why = match setting.support {
            _ if name.starts_with(LISTENER_PREFIX) => why::LISTENER,
            // A running broker takes only what is in force from then on.
            Support::Coming(why) if level != Level::Static => why,
            _ => return Ok(canonical),
        };
        if Some(canonical.as_str()) == setting.default {
            return Ok(canonical);
        }
        let value = if setting.is_sensitive() { "[hidden]".to_owned() } else { canonical };
        Err(SettingError::Refused { name: setting.name, value, why })
    }

    /// What is set to another value than its default and has no effect yet, with the reason.
    pub fn ineffective(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        Scope::Broker.settings().filter_map(|setting| {
            let Support::Coming(why) = setting.support else { return None };
            let (value, source) = {
                let itself = [Synonym { name: setting.name, factor: 1 }];
                self.in_force(setting, None, &itself)
            };
            let text = value.map(|value| value.to_string());
            (source != Source::Default && text.as_deref() != setting.default)
                .then_some((setting.name, why))
        })
    }

    fn check_level(level: Level, setting: &Setting) -> Result<(), SettingError> {
        match (level, setting.update) {
            (Level::Cluster | Level::Broker, Update::ReadOnly) => {
                Err(SettingError::ReadOnly(setting.name))
            }
            (Level::Cluster, Update::PerBroker) => Err(SettingError::PerBroker(setting.name)),
            (Level::Broker, Update::AllBrokers) => Err(SettingError::AllBrokers(setting.name)),
            _ => Ok(()),
        }
    }

    /// Sets a value.
    ///
    /// # Errors
    /// As [`BrokerSettings::check`]; nothing changes then.
    pub fn set(&mut self, level: Level, name: &str, text: &str) -> Result<(), SettingError> {
        let canonical = Self::check(level, name, text)?;
        self.values_mut(level).insert(name.to_owned(), canonical);
        Ok(())
    }

    /// Takes a value back.
    ///
    /// # Errors
    /// When there is no such setting, or it does not change there.
    pub fn unset(&mut self, level: Level, name: &str) -> Result<(), SettingError> {
        if let Some(setting) = setting_behind(name)? {
            Self::check_level(level, setting)?;
        }
        self.values_mut(level).remove(name);
        Ok(())
    }

    /// Puts all values of a place in, as they were stored after they had been judged.
    pub fn replace(&mut self, level: Level, values: impl IntoIterator<Item = (String, String)>) {
        *self.values_mut(level) = values.into_iter().collect();
    }

    fn values(&self, level: Level) -> &Values {
        match level {
            Level::Static => &self.fixed,
            Level::Cluster => &self.cluster,
            Level::Broker => &self.broker,
        }
    }

    fn values_mut(&mut self, level: Level) -> &mut Values {
        match level {
            Level::Static => &mut self.fixed,
            Level::Cluster => &mut self.cluster,
            Level::Broker => &mut self.broker,
        }
    }

    /// What is set in one place, and nothing else.
    #[must_use]
    pub fn only(&self, level: Level) -> Self {
        let mut alone = Self::default();
        alone.values_mut(level).clone_from(self.values(level));
        alone
    }

    /// What is set in a place, by name.
    pub fn set_values(&self, level: Level) -> impl Iterator<Item = (&str, &str)> {
        self.values(level).iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The value of a broker setting that is in force: `None` for an unknown name and for Kafka's `null`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Value> {
        let setting = broker_setting(name)?;
        self.in_force(setting, None, &[Synonym { name: setting.name, factor: 1 }]).0
    }

    /// Whether anyone set a broker setting to a value that is legal.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        broker_setting(name).is_some_and(|setting| {
            let synonyms = [Synonym { name: setting.name, factor: 1 }];
            self.in_force(setting, None, &synonyms).1 != Source::Default
        })
    }

    /// All broker settings.
    #[must_use]
    pub fn resolve_broker(&self) -> ResolvedSettings {
        let resolve = |setting: &'static Setting| {
            let itself = Synonym { name: setting.name, factor: 1 };
            let listed = family(setting.name).unwrap_or_else(|| std::slice::from_ref(&itself));
            self.resolved(setting, None, &[itself], (setting.name, listed))
        };
        ResolvedSettings(Scope::Broker.settings().map(resolve).collect())
    }

    /// All settings of a topic that sets `overrides` itself.
    #[must_use]
    pub fn resolve_topic<'a>(
        &self,
        overrides: impl Fn(&str) -> Option<&'a str>,
    ) -> ResolvedSettings {
        self.resolve(Scope::Topic, Source::DynamicTopic, overrides)
    }

    /// All settings of a group that sets `overrides` itself.
    #[must_use]
    pub fn resolve_group<'a>(
        &self,
        overrides: impl Fn(&str) -> Option<&'a str>,
    ) -> ResolvedSettings {
        self.resolve(Scope::Group, Source::Group, overrides)
    }

    fn resolve<'a>(
        &self,
        scope: Scope,
        source: Source,
        overrides: impl Fn(&str) -> Option<&'a str>,
    ) -> ResolvedSettings {
        let resolve = |setting: &'static Setting| {
            let own = overrides(setting.name).map(|text| (text, source));
            let first = setting.synonyms.first().map_or(setting.name, |synonym| synonym.name);
            self.resolved(setting, own, setting.synonyms, (first, setting.synonyms))
        };
        ResolvedSettings(scope.settings().map(resolve).collect())
    }

    /// What the engine needs to know of a topic that sets `overrides` itself.
    #[must_use]
    pub fn topic<'a>(&self, overrides: impl Fn(&str) -> Option<&'a str>) -> typed::Topic {
        typed::Topic::new(|name| {
            let setting = Scope::Topic.setting(name).expect("asked for by a name of the table");
            let own = overrides(name).map(|text| (text, Source::DynamicTopic));
            self.in_force(setting, own, setting.synonyms).0
        })
    }

    /// What the broker, the engine and the coordinators need to know.
    ///
    /// # Errors
    /// When settings contradict each other.
    pub fn broker(&self) -> Result<typed::Broker, typed::Contradiction> {
        typed::Broker::new(self)
    }

    fn in_force(
        &self,
        setting: &'static Setting,
        own: Option<(&str, Source)>,
        synonyms: &[Synonym],
    ) -> (Option<Value>, Source) {
        if let Some((text, source)) = own
            && let Some(value) = setting.parse(text)
        {
            return (Some(value), source);
        }
        for level in Level::ALL {
            for synonym in synonyms {
                let text = self.values(level).get(synonym.name);
                if let Some(value) = text.and_then(|text| convert(setting, synonym, text)) {
                    return (Some(value), level.source());
                }
            }
        }
        let default = setting
            .default
            .map(|text| setting.parse(text).unwrap_or_else(|| Value::Text(text.to_owned())));
        (default, Source::Default)
    }

    /// A row as Apache Kafka describes it. Of the places in brokers' settings those are listed that come from the first
    /// one of the name `first` on; a row without places is a default, whatever gave it its value.
    fn resolved(
        &self,
        setting: &'static Setting,
        own: Option<(&str, Source)>,
        in_force: &[Synonym],
        (first, listed): (&str, &[Synonym]),
    ) -> Resolved {
        let (value, _) = self.in_force(setting, own, in_force);
        let mut brokers = Vec::new();
        for level in Level::ALL {
            let set = listed.iter().filter_map(|synonym| {
                let text = self.values(level).get(synonym.name)?;
                broker_setting(synonym.name)?.parse(text)?;
                let (name, value) = (synonym.name, text.clone());
                Some(SynonymValue { name, value, source: level.source() })
            });
            brokers.extend(set);
        }
        brokers.extend(listed.iter().filter_map(|synonym| {
            let value = broker_setting(synonym.name)?.default?.to_owned();
            Some(SynonymValue { name: synonym.name, value, source: Source::Default })
        }));
        let own = own.and_then(|(text, source)| {
            let value = setting.parse(text)?.to_string();
            Some(SynonymValue { name: setting.name, value, source })
        });
        let brokers = brokers.into_iter().skip_while(|place| place.name != first);
        let synonyms: Vec<_> = own.into_iter().chain(brokers).collect();
        let source = synonyms.first().map_or(Source::Default, |place| place.source);
        Resolved { setting, value, source, synonyms }
    }
}

/// The names under which one thing can be set, `log.retention.ms` and its like in other units: those of the topic
/// setting that falls back to several.
fn family(name: &str) -> Option<&'static [Synonym]> {
    let of = |setting: &'static Setting| setting.synonyms;
    let mut families = Scope::Topic.settings().map(of).filter(|synonyms| synonyms.len() > 1);
    families.find(|synonyms| synonyms.iter().any(|synonym| synonym.name == name))
}

/// The value of `setting` that a synonym's text stands for.
fn convert(setting: &Setting, synonym: &Synonym, text: &str) -> Option<Value> {
    let value = broker_setting(synonym.name)?.parse(text)?;
    let text = match value {
        // A negative number is a word, such as "no limit", in every unit.
        Value::Number(number) if number >= 0 => number.saturating_mul(synonym.factor).to_string(),
        other => other.to_string(),
    };
    setting.parse(&text)
}

/// The setting that judges a broker setting's value. A listener may have a value of its own, under
/// `listener.name.LISTENER.` or `listener.name.LISTENER.MECHANISM.`; names of plug-ins are nobody's (`None`).
fn setting_behind(name: &str) -> Result<Option<&'static Setting>, SettingError> {
    if let Some(setting) = broker_setting(name) {
        return Ok(Some(setting));
    }
    if name.starts_with("rsm.config.") || name.starts_with("rlmm.config.") {
        return Ok(None);
    }
    let own = name.strip_prefix(LISTENER_PREFIX).and_then(|rest| Some(rest.split_once('.')?.1));
    own.and_then(|rest| broker_setting(rest).or_else(|| broker_setting(rest.split_once('.')?.1)))
        .map_or_else(|| Err(unknown(Scope::Broker, name)), |setting| Ok(Some(setting)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(values: &[(Level, &str, &str)]) -> BrokerSettings {
        let mut settings = BrokerSettings::default();
        for (level, name, text) in values {
            settings.set(*level, name, text).unwrap();
        }
        settings
    }

    fn retention(settings: &BrokerSettings, own: Option<&'static str>) -> (String, Source) {
        let resolved = settings.resolve_topic(|name| own.filter(|_| name == "retention.ms"));
        let retention = resolved.get("retention.ms").unwrap();
        (retention.text().unwrap(), retention.source)
    }

    #[test]
    fn one_place_alone_is_told_whatever_a_closer_one_says() {
        let name = "message.max.bytes";
        let brokers = settings(&[(Level::Cluster, name, "3000"), (Level::Broker, name, "2000")]);
        let alone = brokers.only(Level::Cluster).resolve_broker();
        let row = alone.get(name).unwrap();
        assert_eq!(
            (row.text().unwrap(), row.source),
            ("3000".into(), Source::DynamicDefaultBroker)
        );
    }

    #[test]
    fn what_all_brokers_agree_on_is_not_set_for_one() {
        let check = |level| BrokerSettings::check(level, "min.insync.replicas", "2");
        assert_eq!(check(Level::Broker), Err(SettingError::AllBrokers("min.insync.replicas")));
        check(Level::Cluster).unwrap();
        check(Level::Static).unwrap();
    }

    #[test]
    fn the_closest_place_wins_and_within_one_the_finest_unit() {
        let mut brokers = BrokerSettings::default();
        assert_eq!(retention(&brokers, None), ("604800000".into(), Source::Default));
        brokers.set(Level::Static, "log.retention.hours", "2").unwrap();
        assert_eq!(
            retention(&brokers, None),
            ("7200000".into(), Source::Default),
            "as Apache Kafka says it"
        );
        brokers.set(Level::Static, "log.retention.minutes", "3").unwrap();
        assert_eq!(retention(&brokers, None), ("180000".into(), Source::Default));
        brokers.set(Level::Static, "log.retention.ms", "4").unwrap();
        assert_eq!(retention(&brokers, None), ("4".into(), Source::StaticBroker));
        brokers.set(Level::Cluster, "log.retention.ms", "5").unwrap();
        assert_eq!(retention(&brokers, None), ("5".into(), Source::DynamicDefaultBroker));
        brokers.set(Level::Broker, "log.retention.ms", "-1").unwrap();
        assert_eq!(retention(&brokers, None), ("-1".into(), Source::DynamicBroker));
        assert_eq!(retention(&brokers, Some("6")), ("6".into(), Source::DynamicTopic));
        assert_eq!(retention(&brokers, Some("soon")), ("-1".into(), Source::DynamicBroker));
        brokers.unset(Level::Broker, "log.retention.ms").unwrap();
        assert_eq!(retention(&brokers, None), ("5".into(), Source::DynamicDefaultBroker));
    }

    #[test]
    fn synonyms_are_listed_with_their_sources_in_their_own_units() {
        let brokers = settings(&[
            (Level::Static, "log.retention.hours", "2"),
            (Level::Cluster, "log.retention.ms", "5"),
        ]);
        let resolved = brokers.resolve_topic(|name| (name == "retention.ms").then_some("6"));
        let synonyms: Vec<_> = resolved
            .get("retention.ms")
            .unwrap()
            .synonyms
            .iter()
            .map(|place| (place.name, place.value.as_str(), place.source.code()))
            .collect();
        let expected = [
            ("retention.ms", "6", 1),
            ("log.retention.ms", "5", 3),
            ("log.retention.hours", "2", 4),
            ("log.retention.hours", "168", 5),
        ];
        assert_eq!(synonyms, expected);
        assert!(resolved.iter().len() > 30);
        assert!(
            resolved.get("segment.ms").unwrap().synonyms.is_empty(),
            "log.roll.ms has no value"
        );
        let row = |name: &str| brokers.resolve_broker().get(name).unwrap().clone();
        let names = |row: Resolved| row.synonyms.iter().map(|p| p.name).collect::<Vec<_>>();
        let hours = "log.retention.hours";
        assert_eq!(names(row("log.retention.ms")), ["log.retention.ms", hours, hours]);
        assert_eq!(names(row(hours)), [hours, hours]);
        assert_eq!(row(hours).source, Source::StaticBroker);
        let other = resolved.get("remote.storage.enable").unwrap();
        assert!(other.synonyms.is_empty() && other.source == Source::Default);
    }

    #[test]
    fn an_unlimited_retention_is_unlimited_in_every_unit() {
        for name in ["log.retention.hours", "log.retention.minutes", "log.retention.ms"] {
            let brokers = settings(&[(Level::Static, name, "-1")]);
            assert_eq!(retention(&brokers, None).0, "-1", "{name}");
        }
        let brokers = settings(&[(Level::Static, "log.retention.hours", "2147483647")]);
        assert_eq!(retention(&brokers, None).0, (i64::from(i32::MAX) * 3_600_000).to_string());
    }

    #[test]
    fn groups_fall_back_to_their_brokers() {
        let brokers = settings(&[(Level::Static, "group.consumer.session.timeout.ms", "50000")]);
        let resolved = brokers.resolve_group(|_| None);
        let timeout = resolved.get("consumer.session.timeout.ms").unwrap();
        assert_eq!((timeout.text().as_deref(), timeout.source.code()), (Some("50000"), 4));
        let resolved = brokers
            .resolve_group(|name| (name == "share.isolation.level").then_some("read_committed"));
        assert_eq!(resolved.get("share.isolation.level").unwrap().source.code(), 8);
    }

    #[test]
    fn what_is_read_at_the_start_does_not_change_on_a_running_broker() {
        let check = BrokerSettings::check;
        assert_eq!(
            check(Level::Cluster, "num.partitions", "3"),
            Err(SettingError::ReadOnly("num.partitions"))
        );
        assert_eq!(
            check(Level::Broker, "listeners", "PLAINTEXT://:1"),
            Err(SettingError::ReadOnly("listeners"))
        );
        assert_eq!(
            check(Level::Cluster, "cordoned.log.dirs", "/x"),
            Err(SettingError::PerBroker("cordoned.log.dirs"))
        );
        assert_eq!(check(Level::Cluster, "message.max.bytes", " 7 ").unwrap(), "7");
    }

    #[test]
    fn what_has_no_effect_yet_is_told_at_the_start_and_refused_later() {
        let name = "log.cleaner.threads";
        let brokers = settings(&[(Level::Static, name, "3")]);
        let told: Vec<_> = brokers.ineffective().collect();
        assert_eq!(told, [(name, "compaction is not served yet")]);
        assert_eq!(settings(&[(Level::Static, name, "1")]).ineffective().count(), 0);
        let later = BrokerSettings::check(Level::Cluster, name, "3").unwrap_err();
        assert!(later.to_string().contains("not served yet"), "{later}");
        assert!(BrokerSettings::check(Level::Cluster, name, "1").is_ok());
    }

    #[test]
    fn a_listener_has_no_value_of_its_own_but_the_common_default() {
        let check = |name, text| BrokerSettings::check(Level::Static, name, text);
        assert!(check("listener.name.clients.connections.max.idle.ms", "600000").is_ok());
        let own = check("listener.name.clients.connections.max.idle.ms", "5").unwrap_err();
        assert!(own.to_string().contains("without `listener.name.`"), "{own}");
        assert!(check("listener.name.clients.connections.max.idle.ms", "x").is_err());
        let login = check("listener.name.sasl_ssl.plain.sasl.jaas.config", "secret stuff");
        let Err(SettingError::Refused { value, .. }) = login else { panic!("{login:?}") };
        assert_eq!(value, "[hidden]");
        assert!(matches!(
            check("listener.name.clients.colour", "red"),
            Err(SettingError::Unknown { .. })
        ));
        assert_eq!(check("rsm.config.any.thing", "x").as_deref(), Ok("x"));
    }
}

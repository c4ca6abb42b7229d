//! A configuration file and its settings: an error that names the place, or values that mean the same when they are
//! written back.

#![no_main]

use esker_settings::{
    BrokerSettings, Level, group_setting, parse_properties, topic_setting, topic_settings,
};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

const LEVELS: [Level; 3] = [Level::Static, Level::Cluster, Level::Broker];

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let entries = match parse_properties(text) {
        Ok(entries) => entries,
        Err(error) => {
            assert!((1..=text.lines().count()).contains(&error.line), "{error}");
            return;
        }
    };
    let mut settings = BrokerSettings::default();
    let mut taken = false;
    let mut topic = BTreeMap::new();
    for (number, (name, value)) in entries.iter().enumerate() {
        let level = LEVELS[number % LEVELS.len()];
        if let Ok(canonical) = BrokerSettings::check(level, name, value) {
            assert_eq!(BrokerSettings::check(level, name, &canonical).as_ref(), Ok(&canonical));
            settings.set(level, name, value).expect("it was checked");
            taken = true;
        }
        for setting in [topic_setting(name), group_setting(name)].into_iter().flatten() {
            if let Ok(canonical) = setting.check(value) {
                assert_eq!(setting.check(&canonical).as_ref(), Ok(&canonical));
                assert_eq!(setting.parse(value), setting.parse(&canonical), "{name}={value}");
                topic.insert(name.as_str(), canonical);
            }
        }
    }
    if !taken && topic.is_empty() {
        return;
    }
    let resolved = settings.resolve_topic(|name| topic.get(name).map(String::as_str));
    assert_eq!(resolved.iter().len(), topic_settings().len());
    for resolved in resolved.iter().chain(settings.resolve_broker().iter()) {
        let _text = resolved.text();
    }
    let _topic = settings.topic(|name| topic.get(name).map(String::as_str));
    let _contradiction = settings.broker();
});

//! Every message at every version, against a second codec that interprets the schema.

use std::collections::BTreeSet;

use esker_wire::testing::{Done, Recode, SCHEMA};
use esker_wire::{ApiKey, Listeners};
use esker_wire_schema::interpret::{Fill, Layout, Noise, Seeded, Value};
use esker_wire_schema::{Listener, Message, MessageKind, SchemaFile};

const SEEDS: u64 = 12;

fn schema_files() -> Vec<SchemaFile> {
    SCHEMA.iter().map(|text| text.parse().expect("the generator has read it")).collect()
}

fn messages() -> Vec<Message> {
    schema_files().into_iter().flat_map(|file| file.messages).collect()
}

/// Values of every kind for every message and version.
fn for_each_value(mut check: impl FnMut(&Message, i16, &Value)) {
    for message in messages() {
        for version in message.oldest..=message.newest {
            let mut try_out = |fill, seed| {
                let mut seeded = Seeded::new(seed);
                check(&message, version, &Value::message(&message, version, fill, &mut seeded));
            };
            try_out(Fill::Default, 0);
            try_out(Fill::Full, 1);
            (0..SEEDS).for_each(|seed| try_out(Fill::Random, seed));
        }
    }
}

#[test]
fn bytes_survive_decoding_and_encoding() {
    let mut seen = 0;
    for_each_value(|message, version, value| {
        let name = &message.name;
        let laid_out = Layout::message(message, value, version, Noise::None).unwrap();
        let bytes = laid_out.bytes;
        let done = Recode::new(&bytes, version, version).by_name(name).unwrap();
        let expected =
            Done { consumed: bytes.len(), encoded: Ok(bytes), equal: true, stable: true };
        assert_eq!(done, Ok(expected), "{name} {version} {value:?}");
        seen += 1;
    });
    // 182 messages; a loop over nothing proves nothing.
    assert!(seen > 182 * (SEEDS + 2), "{seen}");
}

#[test]
fn unknown_tagged_fields_are_skipped_and_dropped() {
    for_each_value(|message, version, value| {
        let canonical = Layout::message(message, value, version, Noise::None).unwrap().bytes;
        let noisy = Layout::message(message, value, version, Noise::UnknownTags).unwrap().bytes;
        let done = Recode::new(&noisy, version, version).by_name(&message.name).unwrap().unwrap();
        assert_eq!(done.consumed, noisy.len());
        assert_eq!(done.encoded, Ok(canonical), "{} {version} {value:?}", message.name);
    });
}

#[test]
fn a_message_that_is_cut_short_is_refused() {
    for_each_value(|message, version, value| {
        let bytes = Layout::message(message, value, version, Noise::None).unwrap().bytes;
        let step = 1 + bytes.len() / 100;
        for len in (0..bytes.len()).step_by(step) {
            let cut = Recode::new(&bytes[..len], version, version).by_name(&message.name).unwrap();
            assert!(cut.is_err(), "{} {version} cut to {len} of {}", message.name, bytes.len());
        }
    });
}

#[test]
fn other_versions_carry_what_they_can_and_refuse_the_rest() {
    let (mut carried, mut refused) = (0, 0);
    for_each_value(|message, version, value| {
        let bytes = Layout::message(message, value, version, Noise::None).unwrap().bytes;
        for other in message.oldest..=message.newest {
            let expected = Layout::message(message, value, other, Noise::None);
            let job = Recode::new(&bytes, version, other);
            let done = job.by_name(&message.name).unwrap().unwrap();
            let context = || format!("{} {version} as {other}: {value:?}", message.name);
            match expected {
                Ok(expected) => {
                    assert_eq!(done.encoded, Ok(expected.bytes), "{}", context());
                    carried += 1;
                }
                Err(reason) => {
                    assert!(done.encoded.is_err(), "{}: {reason:?}", context());
                    refused += 1;
                }
            }
        }
    });
    assert!(carried > 1000 && refused > 1000, "{carried} carried, {refused} refused");
}

#[test]
fn versions_outside_the_range_do_not_exist() {
    for message in messages() {
        for version in [message.oldest - 1, message.newest + 1, i16::MIN, i16::MAX] {
            let job = Recode::new(&[0; 64], version, version);
            assert!(job.by_name(&message.name).unwrap().is_err());
        }
    }
    assert!(Recode::new(&[], 0, 0).by_name("LeaderAndIsrRequest").is_none());
}

#[test]
fn the_table_of_apis_says_what_the_schema_says() {
    let mut keys = BTreeSet::new();
    for file in schema_files() {
        let Some(api) = &file.api else { continue };
        let request = &file.messages[0];
        let key = ApiKey::from_code(api.key).unwrap();
        keys.insert(key);
        assert_eq!(request.kind, MessageKind::Request);
        assert_eq!((key.code(), key.name()), (api.key, &api.name[..]));
        assert_eq!((key.oldest(), key.newest()), (request.oldest, request.newest));
        assert_eq!(key.newest_stable(), request.newest - i16::from(api.newest_unstable));
        let listeners = Listeners {
            broker: api.listeners.contains(&Listener::Broker),
            controller: api.listeners.contains(&Listener::Controller),
        };
        assert_eq!(key.listeners(), listeners);
        for version in request.oldest..=request.newest {
            let flexible = i16::from(request.is_flexible(version));
            assert_eq!(key.request_header_version(version), 1 + flexible);
            let response = if key == ApiKey::ApiVersions { 0 } else { flexible };
            assert_eq!(key.response_header_version(version), response);
        }
    }
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), ApiKey::ALL);
    assert_eq!(ApiKey::InitProducerId.newest_stable(), 5);
}

#[test]
fn schema_files_are_in_canonical_form() {
    for text in SCHEMA {
        assert_eq!(text.parse::<SchemaFile>().unwrap().to_string(), *text);
    }
}

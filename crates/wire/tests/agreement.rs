//! Agreement with an independent implementation, the `kafka-protocol` crate.
//!
//! Our bytes decode there and come back the same, and what comes back decodes here. Its messages are
//! those of Kafka 4.1; how many versions it lacks is part of the assertion, so that a new release of
//! it is noticed.

use bytes::{Bytes, BytesMut};
use esker_wire::testing::{Recode, SCHEMA};
use esker_wire_schema::interpret::{Fill, Layout, Noise, Seeded, Value};
use esker_wire_schema::{Message, MessageKind, SchemaFile};
use kafka_protocol::messages::{ApiKey as TheirKey, RequestKind, ResponseKind};

const SEEDS: u64 = 8;

/// Bytes of one message, decoded and encoded by the other implementation.
fn through_theirs(
    key: TheirKey,
    kind: MessageKind,
    version: i16,
    bytes: &[u8],
) -> Result<Vec<u8>, String> {
    let mut input = Bytes::copy_from_slice(bytes);
    let mut output = BytesMut::new();
    if kind == MessageKind::Request {
        RequestKind::decode(key, &mut input, version)
            .and_then(|message| message.encode(&mut output, version))
    } else {
        ResponseKind::decode(key, &mut input, version)
            .and_then(|message| message.encode(&mut output, version))
    }
    .map_err(|error| format!("{error:#}"))?;
    if input.is_empty() { Ok(output.to_vec()) } else { Err(format!("{} bytes left", input.len())) }
}

/// Whether the bytes of one version mean the same to both; `None` if the other has no such version.
fn agree(message: &Message, key: TheirKey, version: i16) -> Option<()> {
    let random = (0..SEEDS).map(|seed| (Fill::Random, seed));
    for (fill, seed) in random.chain([(Fill::Default, 0), (Fill::Full, 1)]) {
        let value = Value::message(message, version, fill, &mut Seeded::new(seed));
        let layout = Layout::message(message, &value, version, Noise::None);
        let ours = layout.expect("the value was made for this version").bytes;
        let theirs = match through_theirs(key, message.kind, version, &ours) {
            // Its table of APIs promises a few versions that its messages lack.
            Err(error) if error.contains("version not supported") => return None,
            theirs => theirs,
        };
        assert_eq!(theirs.as_ref(), Ok(&ours), "{} {version} {value:?}", message.name);
        let job = Recode::new(&ours, version, version);
        let done = job.by_name(&message.name).expect("the message exists").expect("bytes decode");
        assert_eq!((done.consumed, done.encoded), (ours.len(), Ok(ours)));
    }
    Some(())
}

#[test]
fn both_implementations_mean_the_same_bytes() {
    let mut agreed = 0;
    let mut lacking = Vec::new();
    for text in SCHEMA {
        let file: SchemaFile = text.parse().unwrap();
        let Some(api) = &file.api else { continue };
        for message in &file.messages {
            for version in message.oldest..=message.newest {
                let served = |key: &TheirKey| {
                    let versions = key.valid_versions();
                    versions.min <= version && version <= versions.max
                };
                let key = TheirKey::try_from(api.key).ok().filter(served);
                match key.and_then(|key| agree(message, key, version)) {
                    Some(()) => agreed += 1,
                    None => lacking.push(format!("{} {version}", message.name)),
                }
            }
        }
    }
    assert_eq!((agreed, lacking.len()), (577, 41), "{lacking:#?}");
}

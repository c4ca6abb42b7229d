//! Any message at any of its versions: a byte for each, then the message.

#![no_main]

use esker_fuzz::{MESSAGES, check};
use esker_wire::testing::Recode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [message, version, body @ ..] = input else { return };
    let Some(message) = MESSAGES.get(usize::from(*message)) else { return };
    let version = message.oldest + i16::from(*version) % (message.newest - message.oldest + 1);
    let job = Recode::new(body, version, version);
    check(body.len(), || job.by_name(&message.name).expect("it is in the schema"));
});

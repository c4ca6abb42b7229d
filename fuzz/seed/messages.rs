//! `request_all` and `frame`: each message at each version, and what real clients sent.

use std::path::Path;
use std::{fs, io};

use esker_fuzz::MESSAGES;
use esker_wire_schema::interpret::{Fill, Layout, Noise, Seeded, Value};

use crate::{Corpus, unhex};

pub(crate) fn write(corpus: &Corpus, here: &Path) -> io::Result<()> {
    for (index, message) in MESSAGES.iter().enumerate() {
        for version in message.oldest..=message.newest {
            for (noise, seed) in [(Noise::None, 1), (Noise::UnknownTags, 2)] {
                let value = Value::message(message, version, Fill::Full, &mut Seeded::new(seed));
                let layout = Layout::message(message, &value, version, noise);
                let bytes = layout.expect("the value was made for this version").bytes;
                let head = [index, usize::try_from(version - message.oldest).expect("positive")];
                let head = head.map(|value| u8::try_from(value).expect("few enough for a byte"));
                let name = format!("{}-{version}-{seed}", message.name);
                corpus.put("request_all", &name, &[&head[..], &bytes].concat())?;
            }
        }
    }
    for file in fs::read_dir(here.join("../crates/wire/tests/golden"))? {
        for line in fs::read_to_string(file?.path())?.lines().filter(|line| !line.starts_with('#'))
        {
            let words: Vec<_> = line.split(' ').collect();
            let frame = unhex(words[2]);
            let size = u32::try_from(frame.len()).expect("a short frame").to_be_bytes();
            let name = format!("{}-{}", words[0], words[1]);
            corpus.put("frame", &name, &[&size[..], &frame].concat())?;
        }
    }
    Ok(())
}

//! Writes seeds to `corpus/<target>`: each message at each version, and what real clients sent.

use std::path::Path;
use std::{fs, io};

use esker_fuzz::MESSAGES;
use esker_wire_schema::interpret::{Fill, Layout, Noise, Seeded, Value};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bodies = root.join("corpus/request_all");
    fs::create_dir_all(&bodies)?;
    for (index, message) in MESSAGES.iter().enumerate() {
        for version in message.oldest..=message.newest {
            for (noise, seed) in [(Noise::None, 1), (Noise::UnknownTags, 2)] {
                let value = Value::message(message, version, Fill::Full, &mut Seeded::new(seed));
                let layout = Layout::message(message, &value, version, noise);
                let bytes = layout.expect("the value was made for this version").bytes;
                let head = [index, usize::try_from(version - message.oldest).expect("positive")];
                let head = head.map(|value| u8::try_from(value).expect("few enough for a byte"));
                let name = format!("{}-{version}-{seed}", message.name);
                fs::write(bodies.join(name), [&head[..], &bytes].concat())?;
            }
        }
    }

    let frames = root.join("corpus/frame");
    fs::create_dir_all(&frames)?;
    for file in fs::read_dir(root.join("../crates/wire/tests/golden"))? {
        for line in fs::read_to_string(file?.path())?.lines().filter(|line| !line.starts_with('#'))
        {
            let words: Vec<_> = line.split(' ').collect();
            let hex = words[2];
            let pairs = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
            let frame: Vec<_> =
                pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect();
            let size = u32::try_from(frame.len()).expect("a short frame").to_be_bytes();
            let name = format!("{}-{}", words[0], words[1]);
            fs::write(frames.join(name), [&size[..], &frame].concat())?;
        }
    }
    Ok(())
}

//! Prints messages of every kind and version as `name version hex`, one a line.
//!
//! Feed for other implementations and seeds for fuzzing. The bytes come from the interpreter of the
//! schema, not from the generated code.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};

use esker_wire::testing::SCHEMA;
use esker_wire_schema::SchemaFile;
use esker_wire_schema::interpret::{Fill, Layout, Noise, Seeded, Value};

const SEEDS: u64 = 10;

fn main() -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for text in SCHEMA {
        let file: SchemaFile = text.parse().map_err(io::Error::other)?;
        for message in &file.messages {
            for version in message.oldest..=message.newest {
                let random = (0..SEEDS).map(|seed| (Fill::Random, seed));
                for (fill, seed) in random.chain([(Fill::Default, 0), (Fill::Full, 1)]) {
                    let value = Value::message(message, version, fill, &mut Seeded::new(seed));
                    let layout = Layout::message(message, &value, version, Noise::None);
                    let bytes = layout.expect("the value was made for this version").bytes;
                    let mut hex = String::new();
                    for byte in bytes {
                        write!(hex, "{byte:02x}").expect("a string takes all");
                    }
                    writeln!(out, "{} {version} {hex}", message.name)?;
                }
            }
        }
    }
    out.flush()
}

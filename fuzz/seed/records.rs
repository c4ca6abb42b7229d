//! `batch` and `decompress`: batches of real clients, and what each codec makes.

use std::path::Path;
use std::{fs, io};

use esker_record::{BatchBuilder, Codec, Header, compress};
use esker_types::{Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::{Corpus, unhex};

/// In the order of the target `decompress`.
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
/// The largest cap of that target.
const LARGEST_CAP: usize = 3;

pub(crate) fn write(corpus: &Corpus, here: &Path) -> io::Result<()> {
    let golden = fs::read_to_string(here.join("../crates/record/tests/golden/batches.hex"))?;
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let (name, hex) = line.split_once(' ').expect("a name and a batch");
        corpus.put("batch", name, &unhex(hex))?;
    }
    let repeated = b"0123456789abcdef".repeat(300);
    let contents: [&[u8]; 4] = [b"", b"a", b"hello hello hello hello", &repeated];
    for (number, codec) in CODECS.into_iter().enumerate() {
        corpus.put("batch", &format!("built-{}", codec.name()), &batch(codec))?;
        let choice = u8::try_from(number + LARGEST_CAP * CODECS.len()).expect("a few codecs");
        for (length, content) in contents.iter().enumerate() {
            let seed = [&[choice][..], &compress(codec, None, content)].concat();
            corpus.put("decompress", &format!("{}-{length}", codec.name()), &seed)?;
        }
    }
    Ok(())
}

fn batch(codec: Codec) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Offset(0)).compression(codec, None).producer(
        ProducerId(7),
        ProducerEpoch(1),
        42,
    );
    for number in 0..3 {
        let headers = [Header { key: b"h", value: Some(b"1") }, Header { key: b"n", value: None }];
        let value = b"value ".repeat(number);
        batch.append(Timestamp(1_767_225_600_000), Some(b"key"), Some(&value), &headers);
    }
    batch.append(Timestamp(1_767_225_600_001), None, None, &[]);
    batch.build()
}

//! What encoders of real clients write, with all that their formats leave open, is read; and what Kafka's own readers
//! refuse is refused, or told apart.

use std::io::Write;

use esker_record::{Codec, DecompressError, content_max, decompress, unreadable_in_java};

const GOLDEN: &str = include_str!("golden/encoders.hex");
const CAP: usize = 1 << 20;

fn content_of(name: &str) -> Vec<u8> {
    match name {
        "empty" => vec![],
        "small" => b"hello ".repeat(60),
        "small-twice" => b"hello ".repeat(120),
        "blocks" => b"0123456789abcdef".repeat(10_000),
        _ => panic!("no content {name}"),
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex"))
        .collect()
}

#[test]
fn what_clients_write_is_read_as_kafka_reads_it() {
    let mut lines = 0;
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("four words a line");
        let (who, codec, content, hex) = (word(), word(), word(), word());
        let codec = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]
            .into_iter()
            .find(|known| known.name() == codec)
            .expect("a codec");
        let data = bytes_of(hex);
        let found = decompress(codec, &data, CAP);
        let name = format!("{who}, {codec:?}, {content}");
        if content == "-" {
            assert_eq!(found, Err(DecompressError::Damaged(codec.name())), "{name}");
        } else {
            let wanted = content_of(content.trim_end_matches('!'));
            assert!(found.as_ref() == Ok(&wanted), "{name}: {:?}", found.map(|found| found.len()));
            assert!(content_max(codec, &data) >= wanted.len(), "{name}");
            assert_eq!(decompress(codec, &data, wanted.len()), Ok(wanted.clone()), "{name}");
            if let Some(less) = wanted.len().checked_sub(1) {
                let refused = decompress(codec, &data, less);
                assert_eq!(refused, Err(DecompressError::TooLarge { cap: less }), "{name}");
            }
            assert_eq!(
                unreadable_in_java(codec, &data).is_some(),
                content.ends_with('!'),
                "{name}"
            );
        }
        lines += 1;
    }
    assert!(lines > 140, "{lines}");
}

#[test]
fn windows_of_128_mib_are_read_without_their_memory() {
    let content: Vec<u8> = (0..400_000u32).flat_map(|n| (n % 7919).to_le_bytes()).collect();
    for level in [20, 21, 22] {
        for (long, sized) in [(false, false), (true, false), (true, true)] {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).unwrap();
            encoder.long_distance_matching(long).unwrap();
            if long {
                encoder.window_log(27).unwrap();
            }
            if sized {
                encoder.set_pledged_src_size(Some(content.len() as u64)).unwrap();
            }
            encoder.include_checksum(long).unwrap();
            for part in content.chunks(100_000) {
                encoder.write_all(part).unwrap();
                encoder.flush().unwrap();
            }
            let data = encoder.finish().unwrap();
            assert_eq!(unreadable_in_java(Codec::Zstd, &data), None, "level {level}");
            let found = decompress(Codec::Zstd, &data, content.len());
            assert!(found.as_ref() == Ok(&content), "level {level}, {long}, {sized}");
        }
    }
}

#[test]
fn blocks_of_every_size_and_kind_are_read() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let content: Vec<u8> = (0..2_000_000u32).flat_map(|n| (n % 4099).to_le_bytes()).collect();
    for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            let info = FrameInfo::new().block_size(size).block_mode(mode).block_checksums(true);
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(&content).unwrap();
            let data = encoder.finish().unwrap();
            let found = decompress(Codec::Lz4, &data, content.len());
            assert!(found.as_ref() == Ok(&content), "{size:?}, {mode:?}");
            let linked = mode == BlockMode::Linked;
            assert_eq!(unreadable_in_java(Codec::Lz4, &data).is_some(), linked, "{size:?}");
        }
    }
}

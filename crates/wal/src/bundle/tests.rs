use super::*;
use proptest::prelude::*;

fn meta(partition: u64, base: i64, last: i64) -> FrameMeta {
    FrameMeta {
        partition: PartitionId(partition),
        base_offset: Offset(base),
        last_offset: Offset(last),
        max_timestamp: Timestamp(1_700_000_000_000 + last),
        leader_epoch: LeaderEpoch(3),
        flags: FrameFlags::IDEMPOTENT,
    }
}

fn sample() -> Bundle {
    let mut builder = BundleBuilder::new();
    builder.push(meta(7, 10, 12), Bytes::from_static(b"first batch"), b"");
    builder.push(
        FrameMeta { flags: FrameFlags::CONTROL, ..meta(8, 0, 0) },
        Bytes::from_static(b"marker"),
        &[1, 2, 3],
    );
    builder.push(meta(7, 13, 13), Bytes::from_static(b"third"), b"");
    builder.finish(JournalId::new(5, 1), Seq(9), Seq(8), Seq(4))
}

#[test]
fn the_bytes_of_version_1() {
    let mut builder = BundleBuilder::new();
    builder.push(
        FrameMeta {
            partition: PartitionId(0x1122_3344),
            base_offset: Offset(256),
            last_offset: Offset(257),
            max_timestamp: Timestamp(-1),
            leader_epoch: LeaderEpoch(2),
            flags: FrameFlags::CONTROL.with(FrameFlags::INTERNAL),
        },
        Bytes::from_static(&[0xAA, 0xBB]),
        &[0xEE],
    );
    let bytes = builder.finish(JournalId(0x0102), Seq(3), Seq(2), Seq(1)).to_bytes();
    let mut expected = vec![115, 0, 0, 0];
    expected.extend_from_slice(&crc32c(&bytes[8..]).to_le_bytes());
    for number in [0x0102_u64, 3, 2, 1] {
        expected.extend_from_slice(&number.to_le_bytes());
    }
    expected.extend_from_slice(&[1, 0, 0, 0, 57, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend_from_slice(&0x1122_3344_u64.to_le_bytes());
    for number in [256_i64, 257, -1] {
        expected.extend_from_slice(&number.to_le_bytes());
    }
    expected.extend_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0x11, 0, 1, 0]);
    expected.extend_from_slice(&[0; 8]);
    expected.extend_from_slice(&[0xEE, 0xAA, 0xBB]);
    assert_eq!(bytes, expected);
}

#[test]
fn frames_come_back() {
    let bundle = sample();
    let view = BundleView::parse(bundle.to_bytes()).unwrap();
    view.verify().unwrap();
    assert_eq!((view.journal(), view.seq()), (JournalId::new(5, 1), Seq(9)));
    assert_eq!((view.exposed(), view.drained()), (Seq(8), Seq(4)));
    let frames: Vec<_> = view.frames().collect();
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[0].meta, meta(7, 10, 12));
    assert_eq!(frames[1].extension, &[1, 2, 3][..]);
    assert_eq!(frames[2].payload, &b"third"[..]);
    assert_eq!(view.payload_len(1), 6);
    assert_eq!(Bundle::from_bytes(bundle.to_bytes()).unwrap().crc(), bundle.crc());
}

#[test]
fn the_head_alone_shows_the_directory() {
    let whole = BundleView::parse(sample().to_bytes()).unwrap();
    let head = BundleView::parse_head(whole.head()).unwrap();
    assert_eq!(head.frame_count(), 3);
    assert_eq!(head.meta(2), whole.meta(2));
    assert_eq!(head.verify(), Err(BundleError::Short));
    assert!(BundleView::parse(whole.head()).is_err());
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let bytes = sample().to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Bundle::from_bytes(flipped.into()).is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(Bundle::from_bytes(bytes.slice(..len)).is_err(), "{len} bytes");
    }
}

proptest! {
    #[test]
    fn any_frames_round_trip(
        frames in proptest::collection::vec(
            (any::<u64>(), 0..i64::MAX / 2, 0..1000_i64, any::<i64>(),
             proptest::collection::vec(any::<u8>(), 0..50), proptest::collection::vec(any::<u8>(), 0..9)),
            0..20,
        )
    ) {
        let mut builder = BundleBuilder::new();
        for (partition, base, count, timestamp, payload, extension) in &frames {
            let meta = FrameMeta {
                max_timestamp: Timestamp(*timestamp),
                ..meta(*partition, *base, base + count)
            };
            builder.push(meta, payload.clone().into(), extension);
        }
        let len = builder.encoded_len();
        let bytes = builder.finish(JournalId(1), Seq(1), Seq(0), Seq(0)).to_bytes();
        prop_assert_eq!(bytes.len(), len);
        let view = BundleView::parse(bytes).unwrap();
        view.verify().unwrap();
        for (frame, expected) in view.frames().zip(&frames) {
            prop_assert_eq!(frame.meta.partition.get(), expected.0);
            prop_assert_eq!(frame.meta.max_timestamp.get(), expected.3);
            prop_assert_eq!(&frame.payload[..], &expected.4[..]);
            prop_assert_eq!(&frame.extension[..], &expected.5[..]);
        }
    }

    #[test]
    fn hostile_bytes_are_refused_without_harm(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        sound in any::<bool>(),
    ) {
        if sound && bytes.len() >= 56 {
            // Past the first checks, into the directory.
            let len = to_u32(to_u64(bytes.len()));
            field::put(&mut bytes, 0, len.to_le_bytes());
            field::put(&mut bytes, 24, [0; 16]);
            field::put(&mut bytes, 42, [0; 2]);
            field::put(&mut bytes, 46, [0; 2]);
            field::put(&mut bytes, 48, [1, 0, 0, 0, 0, 0, 0, 0]);
        }
        if let Ok(view) = BundleView::parse(bytes.clone().into()) {
            let total: usize = view.frames().map(|frame| frame.payload.len()).sum();
            prop_assert!(total <= bytes.len());
        }
    }
}

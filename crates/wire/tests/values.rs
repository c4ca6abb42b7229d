//! The types that messages are made of: arrays, records, lengths and nulls.

use bytes::Bytes;
use esker_wire::api::delete_groups::DeleteGroupsRequest;
use esker_wire::api::fetch::{FetchPartition, FetchRequest, FetchTopic};
use esker_wire::api::metadata::MetadataRequest;
use esker_wire::api::sasl_authenticate::SaslAuthenticateRequest;
use esker_wire::{
    Array, DecodeErrorKind, EncodeError, Encoding, Message, Reader, Records, Sink, Uuid,
};

const RIGID: Encoding = Encoding { version: 0, flexible: false };
const COMPACT: Encoding = Encoding { version: 0, flexible: true };

/// What `put` puts.
fn written(put: impl Fn(&mut Sink)) -> Result<Vec<u8>, EncodeError> {
    let mut measured = Sink::measuring();
    put(&mut measured);
    measured.check()?;
    let len = measured.len();
    let mut s = measured.writing();
    put(&mut s);
    let bytes = s.into_frame().to_vec();
    assert_eq!(bytes.len(), len, "as measured");
    Ok(bytes)
}

#[test]
fn an_array_is_the_same_wherever_its_elements_are() {
    let numbers = [1, -1, i32::MAX];
    let owned: Array<'_, i32> = numbers.to_vec().into();
    for encoding in [RIGID, COMPACT] {
        let bytes = written(|s| s.put_array(&owned, encoding)).unwrap();
        let mut r = Reader::new(&bytes);
        let wired: Array<'_, i32> = r.array(encoding);
        r.check().unwrap();
        assert_eq!(wired, owned);
        assert_eq!(wired, Array::from(&numbers[..]));
        assert_eq!(wired.to_vec(), numbers);
        assert_eq!(wired.iter().len(), 3);
        assert_eq!(format!("{wired:?}"), "[1, -1, 2147483647]");
        for array in [wired.clone(), owned.clone(), Array::from(&numbers[..])] {
            let elements = array.into_iter();
            assert_eq!((elements.len(), elements.sum::<i32>()), (3, i32::MAX));
        }
        assert_ne!(wired, numbers[..2].iter().copied().collect());
        // From one encoding into the other.
        let other = Encoding { flexible: !encoding.flexible, ..encoding };
        let expected = written(|s| s.put_array(&owned, other));
        assert_eq!(written(|s| s.put_array(&wired, other)), expected);
    }
}

#[test]
fn arrays_of_structs_nest() {
    let partitions = |count| {
        (0..count).map(|partition| FetchPartition {
            partition,
            fetch_offset: i64::from(partition) * 10,
            ..Default::default()
        })
    };
    let topics = |id: u8, count| FetchTopic {
        topic_id: Uuid::from_bytes([id; 16]),
        partitions: partitions(count).collect(),
        ..Default::default()
    };
    let request =
        FetchRequest { topics: vec![topics(1, 3), topics(2, 0)].into(), ..Default::default() };
    let bytes = request.to_bytes(17).unwrap();
    assert_eq!(request.encoded_len(17), Ok(bytes.len()));
    let decoded = FetchRequest::decode(&mut Reader::new(&bytes), 17).unwrap();
    assert_eq!(decoded, request);
    let offsets = decoded.topics.iter().flat_map(|topic| topic.partitions);
    assert_eq!(offsets.map(|p| p.fetch_offset).collect::<Vec<_>>(), [0, 10, 20]);
}

#[test]
fn records_compare_by_their_bytes() {
    let whole = Records::from(&b"abcdef"[..]);
    let rope = Records::from(vec![Bytes::from_static(b"abc"), Bytes::from_static(b"def")]);
    assert_eq!(whole, rope);
    assert_eq!((rope.len(), rope.to_vec()), (6, b"abcdef".to_vec()));
    assert_eq!((rope.as_slice(), whole.as_slice()), (None, Some(&b"abcdef"[..])));
    assert_ne!(rope, Records::from(Bytes::from_static(b"abcdeg")));
    assert_eq!(Records::from(Vec::new()).as_slice(), Some(&[][..]));
    assert!(Records::EMPTY.is_empty());
    for encoding in [RIGID, COMPACT] {
        let put = |records| written(move |s| s.put_records(records, encoding));
        assert_eq!(put(&whole), put(&rope));
    }
}

#[test]
fn varints_are_as_short_as_can_be() {
    for (value, expected) in [
        (0u32, &[0u8][..]),
        (0x7f, &[0x7f]),
        (0x80, &[0x80, 0x01]),
        (0x3fff, &[0xff, 0x7f]),
        (0x4000, &[0x80, 0x80, 0x01]),
        (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        let bytes = written(|s| s.put_uvarint(value)).unwrap();
        assert_eq!(bytes, expected);
        let mut r = Reader::new(&bytes);
        assert_eq!((r.uvarint(), r.check()), (value, Ok(())));
    }
    for too_large in [&[0xff, 0xff, 0xff, 0xff, 0x10][..], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]] {
        let mut r = Reader::new(too_large);
        r.uvarint();
        assert_eq!(r.check().unwrap_err().kind, DecodeErrorKind::InvalidVarint);
    }
    // Longer than need be is understood, as Kafka does.
    assert_eq!(Reader::new(&[0x80, 0x00]).uvarint(), 0);
}

#[test]
fn strings_that_no_length_can_tell_are_refused() {
    let fits = "x".repeat(0x7fff);
    let too_long = "x".repeat(0x8000);
    for encoding in [RIGID, COMPACT] {
        assert!(written(|s| s.put_string(&fits, encoding)).is_ok());
        let refused = written(|s| s.put_string(&too_long, encoding));
        assert_eq!(refused, Err(EncodeError::TooLong));
    }
    // Bytes have longer lengths.
    let request = SaslAuthenticateRequest { auth_bytes: too_long.as_bytes() };
    let bytes = request.to_bytes(0).unwrap();
    assert_eq!(SaslAuthenticateRequest::decode(&mut Reader::new(&bytes), 0).unwrap(), request);
}

#[test]
fn null_needs_a_version_that_allows_it() {
    let all_topics = MetadataRequest { topics: None, ..Default::default() };
    let refused = Err(EncodeError::UnexpectedNull("MetadataRequest.topics"));
    assert_eq!(all_topics.to_bytes(0), refused);
    assert!(all_topics.to_bytes(1).is_ok());
    let error = MetadataRequest::decode(&mut Reader::new(&[0xff; 4]), 0).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::UnexpectedNull);
    let decoded = MetadataRequest::decode(&mut Reader::new(&[0xff; 4]), 1).unwrap();
    assert_eq!(decoded.topics, None);
}

#[test]
fn the_first_failure_is_the_one_told() {
    let mut r = Reader::new(&[0, 9, b'x']);
    assert_eq!(r.string(RIGID), "");
    assert_eq!((r.i64(), r.uuid(), r.remaining()), (0, Uuid::nil(), &[][..]));
    let error = r.check().unwrap_err();
    assert_eq!((error.kind, error.position), (DecodeErrorKind::Truncated, 2));
    assert_eq!(error.to_string(), "length exceeds the bytes left at byte 2");
}

#[test]
fn an_array_has_a_million_elements_at_most() {
    let ask = |count: u32| {
        let mut bytes = count.to_be_bytes().to_vec();
        bytes.extend(std::iter::repeat_n(0, count as usize * 2));
        DeleteGroupsRequest::decode(&mut Reader::new(&bytes), 0).map(|one| one.groups_names.len())
    };
    assert_eq!(ask(1_000_000), Ok(1_000_000));
    assert_eq!(ask(1_000_001).unwrap_err().kind, DecodeErrorKind::TooManyElements);
}

#[test]
fn a_tagged_field_is_as_long_as_it_says() {
    let request = FetchRequest { cluster_id: Some("c"), ..Default::default() };
    let mut bytes = request.to_bytes(12).unwrap();
    // … one tagged field: number 0, two bytes, a string of one byte.
    assert_eq!(bytes[bytes.len() - 5..], [1, 0, 2, 2, b'c']);
    let size_at = bytes.len() - 3;
    bytes.push(0);
    bytes[size_at] = 3;
    let error = FetchRequest::decode(&mut Reader::new(&bytes), 12).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::InvalidTag);
    bytes[size_at] = 1;
    assert!(FetchRequest::decode(&mut Reader::new(&bytes), 12).is_err());
}

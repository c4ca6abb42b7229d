//! Lengths that lie: every length of every message at every version, told to be something else.
//!
//! Whatever it claims, the message is refused, nothing panics, and nothing at all is allocated. With
//! the allocator that counts at hand, so is what honest messages cost.

use std::alloc::{GlobalAlloc, Layout as AllocLayout, System};
use std::cell::Cell;
use std::ops::Range;

use esker_wire::api::metadata::MetadataRequest;
use esker_wire::api::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use esker_wire::testing::{Recode, SCHEMA};
use esker_wire::{
    ApiKey, DecodeErrorKind, Message as _, decode_request_header, encode_request_frame,
};
use esker_wire_schema::interpret::{Fill, Layout, LengthForm, Noise, Seeded, Value};
use esker_wire_schema::{Message, SchemaFile};

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting the bytes that this thread ever asked for.
struct Counting;

#[expect(unsafe_code, reason = "an allocator cannot be written without; it only counts")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: AllocLayout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: AllocLayout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `run` returns, and how many bytes it asked for.
fn allocated_by<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATED.get();
    let result = run();
    (result, ALLOCATED.get() - before)
}

fn messages() -> Vec<Message> {
    let files = SCHEMA.iter().map(|text| text.parse::<SchemaFile>());
    files.flat_map(|file| file.expect("the generator has read it").messages).collect()
}

/// Lies for a length that is followed by `left` bytes.
fn lies(form: LengthForm, left: usize) -> Vec<Vec<u8>> {
    let beyond = u32::try_from(left + 1).expect("a short message");
    let fixed = |values: &[i32]| values.iter().map(|value| value.to_be_bytes().to_vec()).collect();
    match form {
        LengthForm::Short => {
            let mut values = vec![i16::MAX, -2, i16::MIN];
            values.extend(i16::try_from(beyond));
            values.iter().map(|value| value.to_be_bytes().to_vec()).collect()
        }
        LengthForm::Int => fixed(&[i32::MAX, i32::MAX - 7, -2, i32::MIN, beyond.cast_signed()]),
        LengthForm::Compact | LengthForm::Varint => {
            let mut lies = vec![
                // 2^31 − 1, 2^31 and 2^32 − 1.
                vec![0xff, 0xff, 0xff, 0xff, 0x07],
                vec![0x80, 0x80, 0x80, 0x80, 0x08],
                vec![0xff, 0xff, 0xff, 0xff, 0x0f],
                // More than 32 bits, more than five bytes.
                vec![0xff, 0xff, 0xff, 0xff, 0x10],
                vec![0xff, 0xff, 0xff, 0xff, 0x7f],
                vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
                vec![0xff; 10],
            ];
            let mut varint = Vec::new();
            let mut rest = beyond + 1;
            while rest > 0x7f {
                varint.push(rest.to_be_bytes()[3] | 0x80);
                rest >>= 7;
            }
            varint.push(rest.to_be_bytes()[3]);
            lies.push(varint);
            lies
        }
    }
}

fn replaced(bytes: &[u8], range: &Range<usize>, by: &[u8]) -> Vec<u8> {
    [&bytes[..range.start], by, &bytes[range.end..]].concat()
}

#[test]
fn no_length_is_believed() {
    let mut told = 0;
    for message in messages() {
        for version in message.oldest..=message.newest {
            let value = Value::message(&message, version, Fill::Full, &mut Seeded::new(3));
            let layout = Layout::message(&message, &value, version, Noise::UnknownTags).unwrap();
            for (range, form) in &layout.lengths {
                for lie in lies(*form, layout.bytes.len() - range.end) {
                    let bytes = replaced(&layout.bytes, range, &lie);
                    let job = Recode::new(&bytes, version, version);
                    let (outcome, allocated) = allocated_by(|| job.by_name(&message.name));
                    let context = || format!("{} {version} {lie:x?} at {range:?}", message.name);
                    let error = outcome.unwrap().expect_err(&context());
                    // Refused where it stands, before anything behind it is looked at.
                    if error.kind == DecodeErrorKind::Truncated {
                        assert_eq!(error.position, range.start + lie.len(), "{}", context());
                    }
                    assert_eq!(allocated, 0, "{}", context());
                    told += 1;
                }
            }
        }
    }
    assert!(told > 30_000, "{told}");
}

/// Null in place of any length: allowed or not, never a panic and never more than a copy or two.
#[test]
fn null_anywhere_costs_nothing() {
    for message in messages() {
        for version in message.oldest..=message.newest {
            let value = Value::message(&message, version, Fill::Full, &mut Seeded::new(4));
            let layout = Layout::message(&message, &value, version, Noise::None).unwrap();
            for (range, form) in &layout.lengths {
                let null: &[u8] = match form {
                    LengthForm::Short => &[0xff; 2],
                    LengthForm::Int => &[0xff; 4],
                    LengthForm::Compact | LengthForm::Varint => &[0],
                };
                let bytes = replaced(&layout.bytes, range, null);
                let job = Recode::new(&bytes, version, version);
                let (outcome, allocated) = allocated_by(|| job.by_name(&message.name));
                assert!(outcome.is_some());
                assert!(allocated <= 8 * bytes.len() + 65_536, "{}: {allocated}", message.name);
            }
        }
    }
}

/// The way of every request through a broker: nothing allocated on the way in.
#[test]
fn decoding_and_iterating_allocates_nothing() {
    let names: Vec<_> = (0..50).map(|index| format!("topic-{index}")).collect();
    let partition = |index| PartitionProduceData { index, records: Some((&[7; 99][..]).into()) };
    let topic = |name| TopicProduceData {
        name,
        partition_data: (0..20).map(partition).collect(),
        ..Default::default()
    };
    let topic_data = names.iter().map(|name| topic(&name[..])).collect();
    let request = ProduceRequest { topic_data, ..Default::default() };
    let frame = encode_request_frame(1, Some("c"), &request, 9).unwrap();
    let (bytes, copied) = allocated_by(|| frame.to_vec());
    assert_eq!(bytes.len(), copied, "the counter counts");

    let (record_bytes, allocated): (usize, _) = allocated_by(|| {
        let (header, mut body) = decode_request_header(&bytes[4..]).unwrap();
        let request = ProduceRequest::decode(&mut body, header.api_version).unwrap();
        let partitions = request.topic_data.iter().flat_map(|topic| topic.partition_data);
        partitions.filter_map(|partition| partition.records).map(|records| records.len()).sum()
    });
    assert_eq!((record_bytes, allocated), (50 * 20 * 99, 0));
}

/// On the way out: one buffer of the right size and the list of segments.
#[test]
fn encoding_allocates_one_buffer() {
    let request = MetadataRequest::default();
    let (frame, allocated) = allocated_by(|| encode_request_frame(1, Some("c"), &request, 12));
    let len = frame.unwrap().len();
    assert!((len..len + 256).contains(&allocated), "{allocated} for {len}");
}

/// Large frames of one repeated byte: arrays as long as the bytes allow, nested where they nest.
#[test]
fn a_frame_full_of_elements_is_walked_without_allocating() {
    for byte in [0u8, 1, 2, 0x7f, 0x80, 0xff] {
        let frame = vec![byte; 1 << 16];
        for message in messages() {
            for version in message.oldest..=message.newest {
                let job = Recode::new(&frame, version, version);
                let (outcome, allocated) = allocated_by(|| job.by_name(&message.name).unwrap());
                // What decodes is encoded, too: measured first, then a few copies.
                let cap = if outcome.is_ok() { 8 * frame.len() + 65_536 } else { 0 };
                assert!(allocated <= cap, "{} {version} {byte}: {allocated}", message.name);
            }
        }
    }
}

/// A million tagged fields that nobody knows are skipped, not stored.
#[test]
fn a_million_unknown_tags_are_skipped() {
    let mut bytes = vec![0xc0, 0x84, 0x3d];
    bytes.extend([7, 0].repeat(1_000_000));
    // DescribeClusterRequest 0: one bool before the tags.
    bytes.insert(0, 1);
    let job = Recode::new(&bytes, 0, 0);
    let (outcome, allocated) = allocated_by(|| job.by_name("DescribeClusterRequest").unwrap());
    assert_eq!(outcome.unwrap().consumed, bytes.len());
    assert!(allocated < 1024, "{allocated}");

    bytes.truncate(1_000_000);
    let job = Recode::new(&bytes, 0, 0);
    let (outcome, allocated) = allocated_by(|| job.by_name("DescribeClusterRequest").unwrap());
    assert_eq!((outcome.unwrap_err().kind, allocated), (DecodeErrorKind::Truncated, 0));
}

/// A string is at most 32767 bytes long, however its length is written.
#[test]
fn no_string_is_longer_than_kafka_allows() {
    for (len, is_ok) in [(0x7fff, true), (0x8000, false)] {
        // FindCoordinatorRequest 3: a compact string, a byte, no tags.
        let varint: &[u8] = if is_ok { &[0x80, 0x80, 0x02] } else { &[0x81, 0x80, 0x02] };
        let bytes = [varint, &vec![b'g'; len], &[0, 0]].concat();
        let outcome = Recode::new(&bytes, 3, 3).by_name("FindCoordinatorRequest").unwrap();
        assert_eq!(outcome.is_ok_and(|done| done.encoded == Ok(bytes)), is_ok);
    }
}

#[test]
fn request_headers_do_not_believe_either() {
    for key in ApiKey::ALL {
        for version in key.oldest()..=key.newest() {
            let mut frame = key.code().to_be_bytes().to_vec();
            frame.extend(version.to_be_bytes());
            frame.extend([0; 4]);
            for client_id in [[0x7f, 0xff], [0xff, 0xfe], [0x80, 0]] {
                let frame = [&frame[..], &client_id].concat();
                let (outcome, allocated) = allocated_by(|| decode_request_header(&frame).is_err());
                assert!(outcome, "{key:?} {version} {client_id:?}");
                assert_eq!(allocated, 0);
            }
            let null = [&frame[..], &[0xff, 0xff], &[0]].concat();
            assert_eq!(decode_request_header(&null).unwrap().0.client_id, None);
            let invalid = [&frame[..], &[0, 1, 0xff], &[0]].concat();
            let error = decode_request_header(&invalid).unwrap_err();
            assert_eq!(error.kind, DecodeErrorKind::InvalidUtf8);
        }
    }
}

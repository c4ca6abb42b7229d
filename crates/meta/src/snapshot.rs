//! The state as bytes: `docs/formats/metadata-snapshot.md`.
//!
//! A header, then sections of (type, length, checksum, zstd-compressed postcard). A reader skips nothing: metadata of
//! a newer program could mean anything, so an unknown section is refused.

use crate::state::{Broker, BrokerState, State};
use esker_types::{BrokerId, ClusterId, Incarnation, ObjectId, PartitionId, StoreId, Timestamp};
use imbl::OrdMap;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// Longest snapshot that is read: far above ten million partitions, far below an allocation that hurts.
pub const SNAPSHOT_LEN_MAX: u64 = 8 << 30;

const MAGIC: &[u8; 8] = b"ESKMETA\x01";
const HEADER_LEN: usize = 24;
const SECTION_HEADER_LEN: usize = 20;
/// Largest section after decompression.
const SECTION_LEN_MAX: u64 = 4 << 30;

/// Why bytes are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not a metadata snapshot at all.
    #[error("this is no metadata snapshot")]
    Foreign,
    /// Written by a newer program.
    #[error(
        "section {0} is unknown: this snapshot was written by a newer Esker; run that or a later one"
    )]
    Newer(u16),
    /// Damaged.
    #[error("damaged at byte {at}: {what}")]
    Corrupt {
        /// Where.
        at: usize,
        /// What does not fit.
        what: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
struct Counters {
    applied: u64,
    clock: Timestamp,
    cluster: ClusterId,
    next_partition: PartitionId,
    next_object: ObjectId,
    next_producer: i64,
}

/// Brokers as they were before they had addresses for each other.
const BROKERS_BEFORE_PEERS: u16 = 2;

#[derive(Clone, Serialize, Deserialize)]
struct BrokerBeforePeers {
    incarnation: Incarnation,
    process: u128,
    host: String,
    port: u16,
    rack: Option<String>,
    stores: Vec<StoreId>,
    state: BrokerState,
}

impl From<BrokerBeforePeers> for Broker {
    fn from(before: BrokerBeforePeers) -> Self {
        let BrokerBeforePeers { incarnation, process, host, port, rack, stores, state } = before;
        let (peer, drained_by_operator) = (None, false);
        Self { incarnation, process, host, port, peer, rack, stores, state, drained_by_operator }
    }
}

macro_rules! sections {
    ($($number:literal => $field:ident),* $(,)?) => {
        impl State {
            fn encode_sections(&self, out: &mut Vec<u8>) {
                $(put_section(out, $number, &Rows(self.$field.clone()));)*
            }

            fn decode_section(&mut self, number: u16, body: &[u8], at: usize) -> Result<(), SnapshotError> {
                match number {
                    BROKERS_BEFORE_PEERS => {
                        let Rows(before): Rows<BrokerId, BrokerBeforePeers> = decode_body(body, at)?;
                        self.brokers = before.into_iter().map(|(id, row)| (id, Broker::from(row))).collect();
                    }
                    $($number => Rows(self.$field) = decode_body(body, at)?,)*
                    _ => return Err(SnapshotError::Newer(number)),
                }
                Ok(())
            }
        }

        /// The counters' section and those listed here.
        const SECTION_COUNT: u32 = {
            let mut count = 1;
            $(let _: u16 = $number; count += 1;)*
            count
        };
    };
}

sections! {
    3 => topics,
    4 => topic_names,
    5 => partitions,
    6 => journals,
    7 => blocks,
    8 => objects,
    9 => garbage,
    10 => configs,
    11 => producers,
    12 => times_proved,
    13 => voters,
    14 => brokers,
    15 => rescuers,
    16 => moves,
}

/// A table. Its rows are taken in one by one: the length that the bytes claim is worth nothing until they are there.
struct Rows<K, V>(OrdMap<K, V>);

impl<K: Ord + Serialize, V: Serialize> Serialize for Rows<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

impl<'de, K, V> Deserialize<'de> for Rows<K, V>
where
    K: Ord + Clone + Deserialize<'de>,
    V: Clone + Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneByOne<K, V>(PhantomData<(K, V)>);

        impl<'de, K, V> Visitor<'de> for OneByOne<K, V>
        where
            K: Ord + Clone + Deserialize<'de>,
            V: Clone + Deserialize<'de>,
        {
            type Value = OrdMap<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut rows: A) -> Result<Self::Value, A::Error> {
                let mut table = OrdMap::new();
                while let Some((key, row)) = rows.next_entry()? {
                    table.insert(key, row);
                }
                Ok(table)
            }
        }

        deserializer.deserialize_map(OneByOne(PhantomData)).map(Rows)
    }
}

impl State {
    /// The state as bytes.
    #[must_use]
    pub fn encode_snapshot(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.applied.to_le_bytes());
        out.extend_from_slice(&SECTION_COUNT.to_le_bytes());
        let crc = checksum(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        let counters = Counters {
            applied: self.applied,
            clock: self.clock,
            cluster: self.cluster,
            next_partition: self.next_partition,
            next_object: self.next_object,
            next_producer: self.next_producer,
        };
        put_section(&mut out, 1, &counters);
        self.encode_sections(&mut out);
        out
    }

    /// Reads what [`State::encode_snapshot`] wrote.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn decode_snapshot(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let corrupt = |at, what| SnapshotError::Corrupt { at, what };
        let header = bytes.get(..HEADER_LEN).ok_or(SnapshotError::Foreign)?;
        if &header[..8] != MAGIC {
            return Err(SnapshotError::Foreign);
        }
        if checksum(&header[..20]) != read_u32(header, 20) {
            return Err(corrupt(0, "header checksum"));
        }
        let mut state = Self::default();
        let mut at = HEADER_LEN;
        for expected in 0..read_u32(header, 16) {
            let head =
                bytes.get(at..at + SECTION_HEADER_LEN).ok_or_else(|| corrupt(at, "cut short"))?;
            if checksum(&head[..16]) != read_u32(head, 16) {
                return Err(corrupt(at, "section header checksum"));
            }
            let number = u16::from_le_bytes([head[0], head[1]]);
            let len = usize::try_from(read_u64(head, 4)).map_err(|_| corrupt(at, "length"))?;
            let start = at + SECTION_HEADER_LEN;
            let body = start
                .checked_add(len)
                .and_then(|end| bytes.get(start..end))
                .ok_or_else(|| corrupt(at, "cut short"))?;
            if checksum(body) != read_u32(head, 12) {
                return Err(corrupt(start, "section checksum"));
            }
            if (expected == 0) != (number == 1) {
                return Err(corrupt(at, "the counters come first, and once"));
            }
            if number == 1 {
                let counters: Counters = decode_body(body, start)?;
                state.applied = counters.applied;
                state.clock = counters.clock;
                state.cluster = counters.cluster;
                state.next_partition = counters.next_partition;
                state.next_object = counters.next_object;
                state.next_producer = counters.next_producer;
            } else {
                state.decode_section(number, body, start)?;
            }
            at = start + len;
        }
        if at == bytes.len() { Ok(state) } else { Err(corrupt(at, "bytes after the last section")) }
    }
}

fn put_section<T: Serialize>(out: &mut Vec<u8>, number: u16, content: &T) {
    let plain = postcard::to_stdvec(content).expect("metadata is plain data");
    let body = zstd::bulk::compress(&plain, 1).expect("compression into memory succeeds");
    let start = out.len();
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&(body.len() as u64).to_le_bytes());
    out.extend_from_slice(&checksum(&body).to_le_bytes());
    let crc = checksum(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&body);
}

fn decode_body<T: DeserializeOwned>(body: &[u8], at: usize) -> Result<T, SnapshotError> {
    use std::io::Read;
    let corrupt = |what| SnapshotError::Corrupt { at, what };
    let mut plain = Vec::new();
    zstd::stream::read::Decoder::new(body)
        .and_then(|decoder| decoder.take(SECTION_LEN_MAX).read_to_end(&mut plain))
        .map_err(|_| corrupt("compression"))?;
    postcard::from_bytes(&plain).map_err(|_| corrupt("content"))
}

fn checksum(bytes: &[u8]) -> u32 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(crc).expect("a 32-bit checksum has 32 bits")
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let word = bytes[at..].first_chunk::<4>().expect("the caller checked the length");
    u32::from_le_bytes(*word)
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let word = bytes[at..].first_chunk::<8>().expect("the caller checked the length");
    u64::from_le_bytes(*word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snapshot whose one table, behind right checksums, claims more rows than memory could hold.
    #[test]
    fn a_claimed_length_reserves_nothing() {
        let empty = State::default().encode_snapshot();
        for number in 2..=15 {
            let mut bytes = empty.clone();
            let last = bytes.len();
            put_section(&mut bytes, number, &(u64::MAX / 64, 1_u8));
            bytes[16..20].copy_from_slice(&(SECTION_COUNT + 1).to_le_bytes());
            let crc = checksum(&bytes[..20]);
            bytes[20..24].copy_from_slice(&crc.to_le_bytes());
            let expected =
                SnapshotError::Corrupt { at: last + SECTION_HEADER_LEN, what: "content" };
            assert_eq!(State::decode_snapshot(&bytes), Err(expected), "section {number}");
        }
    }

    #[test]
    fn brokers_of_a_snapshot_from_before_they_had_peers_are_read() {
        let before = BrokerBeforePeers {
            incarnation: Incarnation(7),
            process: 1,
            host: "a".to_owned(),
            port: 9092,
            rack: Some("r".to_owned()),
            stores: vec![StoreId(uuid::Uuid::from_u128(3))],
            state: BrokerState::Active,
        };
        let mut bytes = State::default().encode_snapshot();
        put_section(
            &mut bytes,
            BROKERS_BEFORE_PEERS,
            &Rows(OrdMap::unit(BrokerId(4), before.clone())),
        );
        bytes[16..20].copy_from_slice(&(SECTION_COUNT + 1).to_le_bytes());
        let crc = checksum(&bytes[..20]);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        let state = State::decode_snapshot(&bytes).unwrap();
        assert_eq!(state.brokers, OrdMap::unit(BrokerId(4), Broker::from(before)));
    }
}

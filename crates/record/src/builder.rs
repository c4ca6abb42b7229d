//! Writing batches: for internal topics, for our own client, for compaction, for tests.

use esker_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::compression::{Codec, compress};
use crate::control::EndTxnMarker;
use crate::header::{BatchView, HEADER_LEN, LOG_OVERHEAD, MAGIC, TimestampType, at, attribute};
use crate::records::Header;
use crate::varint::{len_i64, put_i64};

/// Collects records and writes them as one batch.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    base_offset: Offset,
    partition_leader_epoch: LeaderEpoch,
    codec: Codec,
    level: Option<i32>,
    attributes: i16,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: i32,
    base_timestamp: Option<Timestamp>,
    max_timestamp: Timestamp,
    last_offset_delta: i32,
    count: i32,
    payload: Vec<u8>,
}

fn len_as_i64(len: usize) -> i64 {
    i64::try_from(len).expect("no slice is longer than i64::MAX")
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(len_i64(-1), |bytes| len_i64(len_as_i64(bytes.len())) + bytes.len())
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_i64(out, len_as_i64(bytes.len()));
            out.extend_from_slice(bytes);
        }
        None => put_i64(out, -1),
    }
}

impl BatchBuilder {
    /// An empty batch whose first record will have `base_offset`; producers send 0.
    #[must_use]
    pub const fn new(base_offset: Offset) -> Self {
        Self {
            base_offset,
            partition_leader_epoch: LeaderEpoch::NONE,
            codec: Codec::None,
            level: None,
            attributes: 0,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch(-1),
            base_sequence: -1,
            base_timestamp: None,
            max_timestamp: Timestamp::NONE,
            last_offset_delta: -1,
            count: 0,
            payload: Vec::new(),
        }
    }

    /// Compresses the records at the codec's `level`, or at its default.
    #[must_use]
    pub const fn compression(mut self, codec: Codec, level: Option<i32>) -> Self {
        self.codec = codec;
        self.level = level;
        self
    }

    /// Marks the batch as an idempotent producer's.
    #[must_use]
    pub const fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, sequence: i32) -> Self {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = sequence;
        self
    }

    /// Marks the batch as part of its producer's transaction.
    #[must_use]
    pub const fn transactional(mut self) -> Self {
        self.attributes |= attribute::TRANSACTIONAL;
        self
    }

    /// Names the leadership under which the batch is appended.
    #[must_use]
    pub const fn partition_leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.partition_leader_epoch = epoch;
        self
    }

    /// Says that the broker set the timestamps; the largest appended one then counts for all records.
    #[must_use]
    pub const fn log_append_time(mut self) -> Self {
        self.attributes |= attribute::LOG_APPEND_TIME;
        self
    }

    /// States when compaction may drop tombstones and markers of this batch.
    ///
    /// # Panics
    /// After the first record: the horizon takes the place of the base timestamp.
    #[must_use]
    pub fn delete_horizon(mut self, horizon: Timestamp) -> Self {
        assert!(self.count == 0, "the delete horizon is set before the first record");
        self.attributes |= attribute::DELETE_HORIZON;
        self.base_timestamp = Some(horizon);
        self
    }

    /// Makes the batch end at this offset, although its last records are gone (compaction).
    ///
    /// # Panics
    /// When a record with a higher offset is there.
    #[must_use]
    pub fn last_offset_delta(mut self, delta: i32) -> Self {
        assert!(delta >= self.last_offset_delta, "records beyond the last offset");
        self.last_offset_delta = delta;
        self
    }

    /// A builder for what is left of `batch` after compaction: its offsets, producer, kind and codec, no records.
    #[must_use]
    pub fn like(batch: &BatchView<'_>) -> Self {
        let kept = attribute::TRANSACTIONAL | attribute::CONTROL | attribute::LOG_APPEND_TIME;
        let mut builder = Self::new(batch.base_offset())
            .partition_leader_epoch(batch.partition_leader_epoch())
            .compression(batch.codec().unwrap_or(Codec::None), None)
            .producer(batch.producer_id(), batch.producer_epoch(), batch.base_sequence());
        builder.attributes = batch.attributes() & kept;
        if batch.timestamp_type() == TimestampType::LogAppendTime {
            builder.max_timestamp = batch.max_timestamp();
        }
        match batch.delete_horizon() {
            Some(horizon) => builder.delete_horizon(horizon),
            None => builder,
        }
    }

    /// Number of records so far.
    #[must_use]
    pub const fn count(&self) -> i32 {
        self.count
    }

    /// Bytes of the batch so far, before compression.
    #[must_use]
    pub const fn uncompressed_len(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    /// Appends a record at the next offset.
    ///
    /// # Panics
    /// When the batch outgrows 2 GiB.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        self.append_at(self.last_offset_delta + 1, timestamp, key, value, headers);
    }

    /// Appends a record `offset_delta` behind the base offset.
    ///
    /// # Panics
    /// When the offsets do not rise, or the batch outgrows 2 GiB.
    pub fn append_at(
        &mut self,
        offset_delta: i32,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        assert!(offset_delta > self.last_offset_delta, "offsets rise within a batch");
        let base = *self.base_timestamp.get_or_insert(timestamp);
        let timestamp_delta = timestamp.get().wrapping_sub(base.get());
        let header_count = len_as_i64(headers.len());
        let headers_len: usize = headers
            .iter()
            .map(|header| nullable_len(Some(header.key)) + nullable_len(header.value))
            .sum();
        let len = 1
            + len_i64(timestamp_delta)
            + len_i64(i64::from(offset_delta))
            + nullable_len(key)
            + nullable_len(value)
            + len_i64(header_count)
            + headers_len;
        let out = &mut self.payload;
        out.reserve(len + 5);
        put_i64(out, len_as_i64(len));
        let content = out.len();
        out.push(0);
        put_i64(out, timestamp_delta);
        put_i64(out, i64::from(offset_delta));
        put_nullable(out, key);
        put_nullable(out, value);
        put_i64(out, header_count);
        for header in headers {
            put_nullable(out, Some(header.key));
            put_nullable(out, header.value);
        }
        assert!(out.len() - content == len, "the announced record length is the written one");
        assert!(i32::try_from(out.len()).is_ok(), "a batch stays below 2 GiB");
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_offset_delta = offset_delta;
        self.count += 1;
    }

    /// Writes the batch.
    ///
    /// # Panics
    /// When the batch outgrows 2 GiB.
    #[must_use]
    pub fn build(self) -> Vec<u8> {
        let payload = match self.codec {
            Codec::None => self.payload,
            // A batch without records has no payload to compress.
            _ if self.count == 0 => Vec::new(),
            codec => compress(codec, self.level, &self.payload),
        };
        let codec = if self.count == 0 { Codec::None } else { self.codec };
        let total = HEADER_LEN + payload.len();
        let length = i32::try_from(total - LOG_OVERHEAD).expect("a batch stays below 2 GiB");
        let mut out = vec![0; HEADER_LEN];
        let mut put = |at: usize, value: &[u8]| out[at..at + value.len()].copy_from_slice(value);
        put(at::BASE_OFFSET, &self.base_offset.get().to_be_bytes());
        put(at::LENGTH, &length.to_be_bytes());
        put(at::LEADER_EPOCH, &self.partition_leader_epoch.get().to_be_bytes());
        put(at::MAGIC, &MAGIC.to_be_bytes());
        put(at::ATTRIBUTES, &(self.attributes | codec.bits()).to_be_bytes());
        put(at::LAST_OFFSET_DELTA, &self.last_offset_delta.to_be_bytes());
        let base_timestamp = self.base_timestamp.unwrap_or(Timestamp::NONE);
        put(at::BASE_TIMESTAMP, &base_timestamp.get().to_be_bytes());
        put(at::MAX_TIMESTAMP, &self.max_timestamp.get().to_be_bytes());
        put(at::PRODUCER_ID, &self.producer_id.get().to_be_bytes());
        put(at::PRODUCER_EPOCH, &self.producer_epoch.get().to_be_bytes());
        put(at::BASE_SEQUENCE, &self.base_sequence.to_be_bytes());
        put(at::RECORD_COUNT, &self.count.to_be_bytes());
        out.extend_from_slice(&payload);
        let crc = BatchView::parse(&out).expect("a whole batch was written").compute_crc();
        out[at::CRC..at::ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// The control batch that ends the transaction of a producer: one record, one offset, no sequence number.
    #[must_use]
    pub fn end_txn_marker(
        base_offset: Offset,
        timestamp: Timestamp,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        marker: EndTxnMarker,
    ) -> Vec<u8> {
        let mut builder =
            Self::new(base_offset).producer(producer_id, producer_epoch, -1).transactional();
        builder.attributes |= attribute::CONTROL;
        builder.append(timestamp, Some(&marker.key()), Some(&marker.value()), &[]);
        builder.build()
    }
}

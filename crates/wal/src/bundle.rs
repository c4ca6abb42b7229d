//! The bundle: one entry of a journal, the unit that is sequenced, replicated, logged and acknowledged.
//!
//! It carries frames of any number of partitions; a frame is one Kafka record batch, verbatim, with its offsets
//! already assigned. One layout serves the wire between brokers and the write-ahead log, so a bundle is encoded
//! once, hashed once, and its payloads are copied once (into the log's write buffer).
//!
//! `docs/formats/bundle.md` draws the bytes. [`BundleView::parse`] takes bytes from anywhere: it bounds every
//! count and position by the bytes that are there.

use crate::crc::crc32c;
use crate::num::{field, to_u32, to_u64};
use bytes::Bytes;
use esker_types::{Crc32c, JournalId, LeaderEpoch, Offset, PartitionId, Seq, Timestamp};

/// Version that [`BundleBuilder`] writes.
pub const BUNDLE_VERSION: u16 = 1;
/// Bytes of the fixed header.
pub const BUNDLE_HEADER_BYTES: usize = 56;
/// Bytes of one directory entry.
pub const FRAME_ENTRY_BYTES: usize = 56;
/// Longest bundle, so that every position in it fits 32 bits with room.
pub const BUNDLE_BYTES_MAX: usize = 1 << 30;

/// Properties of a frame that readers want to know without parsing the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameFlags(pub u16);

impl FrameFlags {
    /// A control batch (transaction marker); its extension says which.
    pub const CONTROL: Self = Self(1);
    /// Part of a transaction.
    pub const TRANSACTIONAL: Self = Self(1 << 1);
    /// Written by an idempotent producer.
    pub const IDEMPOTENT: Self = Self(1 << 2);
    /// Of a topic with `cleanup.policy=compact`.
    pub const COMPACTED: Self = Self(1 << 3);
    /// Of one of the broker's own topics.
    pub const INTERNAL: Self = Self(1 << 4);
    /// Ages from its largest timestamp: that was proved. Others age from when they were taken.
    pub const AGES: Self = Self(1 << 5);

    /// Whether all of `other`'s flags are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of flags.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What the directory says about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameMeta {
    /// The partition it belongs to.
    pub partition: PartitionId,
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record (inclusive, as in the batch).
    pub last_offset: Offset,
    /// Largest record timestamp.
    pub max_timestamp: Timestamp,
    /// Leader epoch under which it was appended; not negative.
    pub leader_epoch: LeaderEpoch,
    /// Properties.
    pub flags: FrameFlags,
}

/// One finished bundle: a head (header, directory, extensions) and the frames' payloads in directory order.
#[derive(Debug, Clone)]
pub struct Bundle {
    journal: JournalId,
    seq: Seq,
    crc: u32,
    len: usize,
    head: Bytes,
    payloads: Vec<Bytes>,
}

impl Bundle {
    /// The journal it belongs to.
    #[must_use]
    pub fn journal(&self) -> JournalId {
        self.journal
    }

    /// Its place in the journal.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Its own checksum: CRC-32C of all bytes from the 8th on.
    #[must_use]
    pub fn crc(&self) -> u32 {
        self.crc
    }

    /// Length in bytes, all pieces together.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a bundle is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The pieces whose concatenation is the encoded bundle.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.head).chain(&self.payloads)
    }

    /// The encoded bundle in one piece (copies).
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut whole = Vec::with_capacity(self.len);
        for piece in self.pieces() {
            whole.extend_from_slice(piece);
        }
        whole.into()
    }

    /// Takes an encoded bundle, for example from a peer, after checking everything about it.
    ///
    /// # Errors
    /// [`BundleError`] when it is no intact bundle.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, BundleError> {
        let view = BundleView::parse(bytes)?;
        view.verify()?;
        Ok(view.into_bundle())
    }
}

/// Collects frames into a bundle.
#[derive(Debug, Default)]
pub struct BundleBuilder {
    directory: Vec<u8>,
    extensions: Vec<u8>,
    payloads: Vec<Bytes>,
    payload_bytes: usize,
    /// Checksum of all payloads so far.
    payload_crc: Crc32c,
}

impl BundleBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of frames so far.
    #[must_use]
    pub fn frame_count(&self) -> usize {
        self.payloads.len()
    }

    /// Bytes that the bundle would have now.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        BUNDLE_HEADER_BYTES + self.directory.len() + self.extensions.len() + self.payload_bytes
    }

    /// Adds a frame: `payload` is the record batch as clients will read it, `extension` the details of a marker
    /// (empty for others).
    ///
    /// # Panics
    /// When an extension has 64 KiB or more, when `last_offset < base_offset`, when the leader epoch is negative
    /// or when the bundle would exceed [`BUNDLE_BYTES_MAX`]: all of them are mistakes of ours.
    pub fn push(&mut self, meta: FrameMeta, payload: Bytes, extension: &[u8]) {
        let crc = Crc32c(crc32c(&payload));
        self.push_checked(meta, payload, crc, extension);
    }

    /// As [`Self::push`] for a payload whose CRC-32C is known to be `crc`: its bytes are not read.
    ///
    /// # Panics
    /// As [`Self::push`]; in debug builds also when the checksum is another one.
    pub fn push_checked(&mut self, meta: FrameMeta, payload: Bytes, crc: Crc32c, extension: &[u8]) {
        debug_assert_eq!(crc.0, crc32c(&payload), "the checksum of {meta:?}");
        let extension_len = u16::try_from(extension.len()).expect("an extension is a few bytes");
        let leader_epoch = u32::try_from(meta.leader_epoch.get()).expect("a leader has an epoch");
        assert!(meta.last_offset >= meta.base_offset, "{meta:?}");
        assert!(
            self.encoded_len() + FRAME_ENTRY_BYTES + extension.len() + payload.len()
                <= BUNDLE_BYTES_MAX,
            "a bundle is closed long before it reaches 1 GiB"
        );
        let mut entry = [0; FRAME_ENTRY_BYTES];
        field::put(&mut entry, 0, meta.partition.get().to_le_bytes());
        field::put(&mut entry, 8, meta.base_offset.get().to_le_bytes());
        field::put(&mut entry, 16, meta.last_offset.get().to_le_bytes());
        field::put(&mut entry, 24, meta.max_timestamp.get().to_le_bytes());
        field::put(&mut entry, 32, leader_epoch.to_le_bytes());
        field::put(&mut entry, 36, to_u32(to_u64(self.payload_bytes)).to_le_bytes());
        field::put(&mut entry, 40, to_u32(to_u64(payload.len())).to_le_bytes());
        field::put(&mut entry, 44, meta.flags.0.to_le_bytes());
        field::put(&mut entry, 46, extension_len.to_le_bytes());
        field::put(&mut entry, 48, to_u32(to_u64(self.extensions.len())).to_le_bytes());
        self.directory.extend_from_slice(&entry);
        self.extensions.extend_from_slice(extension);
        self.payload_bytes += payload.len();
        self.payload_crc = self.payload_crc.then(crc, payload.len());
        self.payloads.push(payload);
    }

    /// Finishes the bundle as entry `seq` of `journal`. `exposed` and `drained` tell stores how far the journal
    /// is committed and how far it is in the bucket.
    ///
    /// # Panics
    /// When `exposed ≥ seq`: a bundle cannot be committed before it exists.
    #[must_use]
    pub fn finish(self, journal: JournalId, seq: Seq, exposed: Seq, drained: Seq) -> Bundle {
        assert!(drained <= exposed && exposed < seq, "{drained} ≤ {exposed} < {seq}");
        let len = self.encoded_len();
        let mut head = Vec::with_capacity(len - self.payload_bytes);
        head.extend_from_slice(&to_u32(to_u64(len)).to_le_bytes());
        head.extend_from_slice(&[0; 4]);
        head.extend_from_slice(&journal.get().to_le_bytes());
        head.extend_from_slice(&seq.get().to_le_bytes());
        head.extend_from_slice(&exposed.get().to_le_bytes());
        head.extend_from_slice(&drained.get().to_le_bytes());
        head.extend_from_slice(&to_u32(to_u64(self.payloads.len())).to_le_bytes());
        let directory_len = self.directory.len() + self.extensions.len();
        head.extend_from_slice(&to_u32(to_u64(directory_len)).to_le_bytes());
        head.extend_from_slice(&BUNDLE_VERSION.to_le_bytes());
        head.extend_from_slice(&[0; 6]);
        head.extend_from_slice(&self.directory);
        head.extend_from_slice(&self.extensions);
        let Crc32c(crc) = Crc32c(crc32c(&head[8..])).then(self.payload_crc, self.payload_bytes);
        field::put(&mut head, 4, crc.to_le_bytes());
        Bundle { journal, seq, crc, len, head: head.into(), payloads: self.payloads }
    }
}

/// Why bytes are no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Fewer bytes than the bundle says it has, or than a header needs.
    #[error("the bundle is cut short")]
    Short,
    /// The version is not one that this program knows.
    #[error("bundle version {0} is not known to this program")]
    Version(u16),
    /// A field contradicts another one or the length.
    #[error("the bundle contradicts itself: {0}")]
    Malformed(&'static str),
    /// The content does not match its checksum.
    #[error("the bundle's checksum does not match its content")]
    Checksum,
}

/// A bundle read in place.
#[derive(Debug, Clone)]
pub struct BundleView {
    bytes: Bytes,
    journal: JournalId,
    seq: Seq,
    exposed: Seq,
    drained: Seq,
    frame_count: usize,
    extensions_at: usize,
    payload_at: usize,
}

/// One frame of a [`BundleView`].
#[derive(Debug, Clone)]
pub struct Frame {
    /// The directory's entry.
    pub meta: FrameMeta,
    /// Details of a marker, empty otherwise.
    pub extension: Bytes,
    /// The record batch.
    pub payload: Bytes,
}

impl BundleView {
    /// Checks the whole structure of `bytes`: lengths, counts, the directory's order and bounds. Frames tile the
    /// payload and extensions tile theirs, both in directory order. The checksum is [`Self::verify`]'s.
    ///
    /// # Errors
    /// [`BundleError`]; the bytes may come from anyone.
    pub fn parse(bytes: Bytes) -> Result<Self, BundleError> {
        let view = Self::parse_head(bytes)?;
        if view.total_len() != view.bytes.len() {
            return Err(BundleError::Malformed("length"));
        }
        Ok(view)
    }

    /// As [`Self::parse`] where only the header, the directory and the extensions are at hand: `bytes` may end
    /// anywhere from the first payload byte on. [`Self::frame`] must not be asked for payloads then.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn parse_head(bytes: Bytes) -> Result<Self, BundleError> {
        if bytes.len() < BUNDLE_HEADER_BYTES {
            return Err(BundleError::Short);
        }
        let version = field::u16(&bytes, 48);
        if version != BUNDLE_VERSION {
            return Err(BundleError::Version(version));
        }
        let number = |at| usize::try_from(field::u32(&bytes, at)).unwrap_or(usize::MAX);
        let (total_len, frame_count, directory_len) = (number(0), number(40), number(44));
        if total_len > BUNDLE_BYTES_MAX || total_len < bytes.len() {
            return Err(BundleError::Malformed("length"));
        }
        if field::u16(&bytes, 50) != 0 || field::u32(&bytes, 52) != 0 {
            return Err(BundleError::Malformed("reserved bits"));
        }
        if directory_len > total_len - BUNDLE_HEADER_BYTES {
            return Err(BundleError::Malformed("directory length"));
        }
        let payload_at = BUNDLE_HEADER_BYTES + directory_len;
        if bytes.len() < payload_at {
            return Err(BundleError::Short);
        }
        if frame_count > directory_len / FRAME_ENTRY_BYTES {
            return Err(BundleError::Malformed("frame count"));
        }
        let view = Self {
            journal: JournalId(field::u64(&bytes, 8)),
            seq: Seq(field::u64(&bytes, 16)),
            exposed: Seq(field::u64(&bytes, 24)),
            drained: Seq(field::u64(&bytes, 32)),
            frame_count,
            extensions_at: BUNDLE_HEADER_BYTES + frame_count * FRAME_ENTRY_BYTES,
            payload_at,
            bytes,
        };
        if view.drained > view.exposed || view.exposed >= view.seq {
            return Err(BundleError::Malformed("sequence numbers"));
        }
        view.check_directory()?;
        Ok(view)
    }

    fn check_directory(&self) -> Result<(), BundleError> {
        let (mut payload, mut extension) = (0usize, 0usize);
        for index in 0..self.frame_count {
            let entry = self.entry(index);
            let at = |position| usize::try_from(field::u32(entry, position)).unwrap_or(usize::MAX);
            if field::i64(entry, 16) < field::i64(entry, 8) || field::i64(entry, 8) < 0 {
                return Err(BundleError::Malformed("offsets"));
            }
            if field::u32(entry, 32) > i32::MAX.unsigned_abs() || field::u32(entry, 52) != 0 {
                return Err(BundleError::Malformed("frame entry"));
            }
            if at(36) != payload || at(48) != extension {
                return Err(BundleError::Malformed("positions"));
            }
            payload = payload.saturating_add(at(40));
            extension += usize::from(field::u16(entry, 46));
        }
        if self.extensions_at + extension != self.payload_at {
            return Err(BundleError::Malformed("extensions"));
        }
        if payload != self.total_len() - self.payload_at {
            return Err(BundleError::Malformed("payload length"));
        }
        Ok(())
    }

    /// Compares the content with the checksum.
    ///
    /// # Errors
    /// [`BundleError::Checksum`]; [`BundleError::Short`] when only the head is at hand.
    pub fn verify(&self) -> Result<(), BundleError> {
        if self.bytes.len() != self.total_len() {
            return Err(BundleError::Short);
        }
        if crc32c(&self.bytes[8..]) == self.crc() { Ok(()) } else { Err(BundleError::Checksum) }
    }

    /// The journal it belongs to.
    #[must_use]
    pub fn journal(&self) -> JournalId {
        self.journal
    }

    /// Its place in the journal.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// How far the journal was committed when this bundle was cut.
    #[must_use]
    pub fn exposed(&self) -> Seq {
        self.exposed
    }

    /// How far the journal was in the bucket when this bundle was cut.
    #[must_use]
    pub fn drained(&self) -> Seq {
        self.drained
    }

    /// The stored checksum.
    #[must_use]
    pub fn crc(&self) -> u32 {
        field::u32(&self.bytes, 4)
    }

    /// Length of the whole bundle in bytes.
    #[must_use]
    pub fn total_len(&self) -> usize {
        usize::try_from(field::u32(&self.bytes, 0)).unwrap_or(usize::MAX)
    }

    /// Header, directory and extensions: what [`Self::parse_head`] needs.
    #[must_use]
    pub fn head(&self) -> Bytes {
        self.bytes.slice(..self.payload_at)
    }

    /// Number of frames.
    #[must_use]
    pub fn frame_count(&self) -> usize {
        self.frame_count
    }

    /// Directory entry of frame `index`.
    ///
    /// # Panics
    /// When there is no such frame.
    #[must_use]
    pub fn meta(&self, index: usize) -> FrameMeta {
        let entry = self.entry(index);
        FrameMeta {
            partition: PartitionId(field::u64(entry, 0)),
            base_offset: Offset(field::i64(entry, 8)),
            last_offset: Offset(field::i64(entry, 16)),
            max_timestamp: Timestamp(field::i64(entry, 24)),
            leader_epoch: LeaderEpoch(
                i32::try_from(field::u32(entry, 32)).expect("checked when parsed"),
            ),
            flags: FrameFlags(field::u16(entry, 44)),
        }
    }

    /// Length in bytes of frame `index`'s record batch.
    ///
    /// # Panics
    /// When there is no such frame.
    #[must_use]
    pub fn payload_len(&self, index: usize) -> usize {
        usize::try_from(field::u32(self.entry(index), 40)).expect("checked when parsed")
    }

    /// Frame `index`, sharing the bundle's memory.
    ///
    /// # Panics
    /// When there is no such frame, or the payload is not at hand (see [`Self::parse_head`]).
    #[must_use]
    pub fn frame(&self, index: usize) -> Frame {
        let entry = self.entry(index);
        let at = |position| usize::try_from(field::u32(entry, position)).expect("checked");
        let payload = self.payload_at + at(36);
        let extension = self.extensions_at + at(48);
        Frame {
            meta: self.meta(index),
            payload: self.bytes.slice(payload..payload + at(40)),
            extension: self.bytes.slice(extension..extension + usize::from(field::u16(entry, 46))),
        }
    }

    /// All frames in order.
    pub fn frames(&self) -> impl Iterator<Item = Frame> + '_ {
        (0..self.frame_count).map(|index| self.frame(index))
    }

    /// The same bundle as something to append.
    ///
    /// # Panics
    /// When only the head is at hand.
    #[must_use]
    pub fn into_bundle(self) -> Bundle {
        assert_eq!(self.bytes.len(), self.total_len(), "the payload is at hand");
        Bundle {
            journal: self.journal,
            seq: self.seq,
            crc: self.crc(),
            len: self.bytes.len(),
            head: self.bytes,
            payloads: Vec::new(),
        }
    }

    fn entry(&self, index: usize) -> &[u8] {
        assert!(index < self.frame_count, "frame {index} of {}", self.frame_count);
        let start = BUNDLE_HEADER_BYTES + index * FRAME_ENTRY_BYTES;
        &self.bytes[start..start + FRAME_ENTRY_BYTES]
    }
}

#[cfg(test)]
mod tests;

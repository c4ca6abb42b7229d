//! What brokers say to each other's stores: service 2 of `docs/formats/peer-protocol.md`. All integers are little-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use esker_journal::SealAnswer;
use esker_types::{JournalId, Seq};
use esker_wal::Bundle;

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no message of the store service")]
pub(crate) struct BadMessage;

/// What is asked of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreRequest {
    /// Take the next entry of a journal: a bundle, as it stands in the log.
    Append(Bytes),
    /// How far a journal has come.
    Status(JournalId),
    /// Take no entry of a journal any more.
    Seal(JournalId),
    /// Entries of a journal that is sealed, has rolled, or is committed that far.
    Read { journal: JournalId, from: Seq, upto: Seq },
    /// Take the next entry of a sealed journal from another sealed store.
    Copy(Bytes),
}

/// How a store answers [`StoreRequest::Append`] and [`StoreRequest::Copy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Durable up to here.
    Durable(Seq),
    /// The journal is sealed here.
    Sealed,
    /// The metadata that this store sees does not list it for the journal.
    Unknown,
    /// Another entry is the next one.
    Gap(Seq),
    /// There is no room.
    Full,
    /// The store has failed, or lost what it had.
    Lost,
}

/// How a store answers [`StoreRequest::Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreStatus {
    /// Open, or not there yet, and durable up to here.
    Open(Seq),
    /// Sealed.
    Sealed,
    /// It lost what it had.
    Lost,
}

impl StoreRequest {
    pub(crate) fn append(bundle: &Bundle) -> Bytes {
        let mut out = BytesMut::with_capacity(1 + bundle.len());
        out.put_u8(1);
        bundle.pieces().for_each(|piece| out.extend_from_slice(piece));
        out.freeze()
    }

    pub(crate) fn copy(bundle: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(1 + bundle.len());
        out.put_u8(5);
        out.extend_from_slice(bundle);
        out.freeze()
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Append(bundle) => {
                out.put_u8(1);
                out.extend_from_slice(bundle);
            }
            Self::Status(journal) => {
                out.put_u8(2);
                out.put_u64_le(journal.0);
            }
            Self::Seal(journal) => {
                out.put_u8(3);
                out.put_u64_le(journal.0);
            }
            Self::Read { journal, from, upto } => {
                out.put_u8(4);
                out.put_u64_le(journal.0);
                out.put_u64_le(from.get());
                out.put_u64_le(upto.get());
            }
            Self::Copy(bundle) => return Self::copy(bundle),
        }
        out.freeze()
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Result<Self, BadMessage> {
        let kind = take_u8(&mut bytes)?;
        let request = match kind {
            1 => return Ok(Self::Append(bytes)),
            2 => Self::Status(JournalId(take_u64(&mut bytes)?)),
            3 => Self::Seal(JournalId(take_u64(&mut bytes)?)),
            4 => Self::Read {
                journal: JournalId(take_u64(&mut bytes)?),
                from: Seq(take_u64(&mut bytes)?),
                upto: Seq(take_u64(&mut bytes)?),
            },
            5 => return Ok(Self::Copy(bytes)),
            _ => return Err(BadMessage),
        };
        ended(&bytes, request)
    }
}

impl Taken {
    pub(crate) fn encode(self) -> Bytes {
        let (kind, number) = match self {
            Self::Durable(seq) => (0, seq.get()),
            Self::Sealed => (1, 0),
            Self::Unknown => (2, 0),
            Self::Gap(expected) => (3, expected.get()),
            Self::Full => (4, 0),
            Self::Lost => (5, 0),
        };
        numbers(kind, &[number])
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Result<Self, BadMessage> {
        let (kind, number) = (take_u8(&mut bytes)?, take_u64(&mut bytes)?);
        let taken = match kind {
            0 => Self::Durable(Seq(number)),
            1 => Self::Sealed,
            2 => Self::Unknown,
            3 => Self::Gap(Seq(number)),
            4 => Self::Full,
            5 => Self::Lost,
            _ => return Err(BadMessage),
        };
        ended(&bytes, taken)
    }
}

impl StoreStatus {
    pub(crate) fn encode(self) -> Bytes {
        match self {
            Self::Open(last) => numbers(0, &[last.get()]),
            Self::Sealed => numbers(1, &[0]),
            Self::Lost => numbers(2, &[0]),
        }
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Result<Self, BadMessage> {
        let (kind, number) = (take_u8(&mut bytes)?, take_u64(&mut bytes)?);
        let status = match kind {
            0 => Self::Open(Seq(number)),
            1 => Self::Sealed,
            2 => Self::Lost,
            _ => return Err(BadMessage),
        };
        ended(&bytes, status)
    }
}

pub(crate) fn encode_sealed(answer: SealAnswer) -> Bytes {
    match answer {
        SealAnswer::Sealed { durable, trimmed } => numbers(0, &[durable.get(), trimmed.get()]),
        SealAnswer::NotAuthoritative => numbers(1, &[0, 0]),
    }
}

pub(crate) fn decode_sealed(mut bytes: Bytes) -> Result<SealAnswer, BadMessage> {
    let kind = take_u8(&mut bytes)?;
    let (durable, trimmed) = (Seq(take_u64(&mut bytes)?), Seq(take_u64(&mut bytes)?));
    let answer = match kind {
        0 if trimmed <= durable => SealAnswer::Sealed { durable, trimmed },
        1 => SealAnswer::NotAuthoritative,
        _ => return Err(BadMessage),
    };
    ended(&bytes, answer)
}

/// Entries, each behind its length.
pub(crate) fn encode_entries(entries: &[Bytes]) -> Bytes {
    let mut out = BytesMut::with_capacity(entries.iter().map(|entry| 4 + entry.len()).sum());
    for entry in entries {
        out.put_u32_le(u32::try_from(entry.len()).expect("an entry is shorter than a segment"));
        out.extend_from_slice(entry);
    }
    out.freeze()
}

pub(crate) fn decode_entries(mut bytes: Bytes) -> Result<Vec<Bytes>, BadMessage> {
    let mut entries = Vec::new();
    while bytes.has_remaining() {
        let len = bytes.try_get_u32_le().map_err(|_| BadMessage)?;
        let len = usize::try_from(len).map_err(|_| BadMessage)?;
        if len > bytes.len() {
            return Err(BadMessage);
        }
        entries.push(bytes.split_to(len));
    }
    Ok(entries)
}

fn numbers(kind: u8, numbers: &[u64]) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + 8 * numbers.len());
    out.put_u8(kind);
    numbers.iter().for_each(|number| out.put_u64_le(*number));
    out.freeze()
}

fn take_u8(bytes: &mut Bytes) -> Result<u8, BadMessage> {
    bytes.try_get_u8().map_err(|_| BadMessage)
}

fn take_u64(bytes: &mut Bytes) -> Result<u64, BadMessage> {
    bytes.try_get_u64_le().map_err(|_| BadMessage)
}

fn ended<T>(rest: &Bytes, message: T) -> Result<T, BadMessage> {
    if rest.is_empty() { Ok(message) } else { Err(BadMessage) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written_and_nothing_else() {
        let journal = JournalId(7);
        for request in [
            StoreRequest::Append(Bytes::from_static(b"bundle")),
            StoreRequest::Status(journal),
            StoreRequest::Seal(journal),
            StoreRequest::Read { journal, from: Seq(3), upto: Seq(9) },
            StoreRequest::Copy(Bytes::from_static(b"bundle")),
        ] {
            assert_eq!(StoreRequest::decode(request.encode()), Ok(request));
        }
        for taken in [
            Taken::Durable(Seq(4)),
            Taken::Sealed,
            Taken::Unknown,
            Taken::Gap(Seq(5)),
            Taken::Full,
            Taken::Lost,
        ] {
            assert_eq!(Taken::decode(taken.encode()), Ok(taken));
            assert_eq!(Taken::decode(taken.encode().slice(1..)), Err(BadMessage));
        }
        for status in [StoreStatus::Open(Seq(4)), StoreStatus::Sealed, StoreStatus::Lost] {
            assert_eq!(StoreStatus::decode(status.encode()), Ok(status));
        }
        let sealed = SealAnswer::Sealed { durable: Seq(4), trimmed: Seq(2) };
        for answer in [sealed, SealAnswer::NotAuthoritative] {
            assert_eq!(decode_sealed(encode_sealed(answer)), Ok(answer));
        }
        let lie = SealAnswer::Sealed { durable: Seq(2), trimmed: Seq(4) };
        assert_eq!(decode_sealed(encode_sealed(lie)), Err(BadMessage));
        let entries = vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"three")];
        let encoded = encode_entries(&entries);
        assert_eq!(decode_entries(encoded.clone()), Ok(entries));
        assert_eq!(decode_entries(encoded.slice(..encoded.len() - 1)), Err(BadMessage));
        for bad in [&b""[..], b"\x09", b"\x02\x00", b"\x03\x01\x02\x03\x04\x05\x06\x07\x08\x09"] {
            assert_eq!(StoreRequest::decode(Bytes::from_static(bad)), Err(BadMessage));
        }
    }
}

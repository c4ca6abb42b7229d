//! How chunks stand on the disk.
//!
//! ```text
//! key:    cluster u128 | object u64 | variant u32 | chunk u32
//! value:  length u32 | crc32c of the bytes u32 | bytes
//! ```
//! All little-endian.

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use esker_cache::{CHUNK_BYTES, ChunkKey};
use esker_types::ObjectId;
use foyer::{Code, Error, ErrorKind, Result};
use std::io::{Read, Write};

/// A chunk of one cluster's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DiskKey {
    pub(crate) cluster: u128,
    pub(crate) key: ChunkKey,
}

/// A chunk's bytes. Reading them back checks them.
#[derive(Debug, Clone)]
pub(crate) struct Entry(pub(crate) Bytes);

const KEY_BYTES: usize = 32;
const HEAD_BYTES: usize = 8;

fn crc32c(bytes: &[u8]) -> u32 {
    let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(crc).expect("a 32-bit checksum has 32 bits")
}

impl Code for DiskKey {
    fn encode(&self, writer: &mut impl Write) -> Result<()> {
        let mut bytes = [0; KEY_BYTES];
        bytes[..16].copy_from_slice(&self.cluster.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.key.object.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.key.variant.to_le_bytes());
        bytes[28..].copy_from_slice(&self.key.chunk.to_le_bytes());
        writer.write_all(&bytes).map_err(Error::io_error)
    }

    fn decode(reader: &mut impl Read) -> Result<Self> {
        fn take<const N: usize>(reader: &mut impl Read) -> Result<[u8; N]> {
            let mut bytes = [0; N];
            reader.read_exact(&mut bytes).map_err(Error::io_error)?;
            Ok(bytes)
        }
        let cluster = u128::from_le_bytes(take(reader)?);
        let object = ObjectId(u64::from_le_bytes(take(reader)?));
        let variant = u32::from_le_bytes(take(reader)?);
        let chunk = u32::from_le_bytes(take(reader)?);
        Ok(Self { cluster, key: ChunkKey { object, variant, chunk } })
    }

    fn estimated_size(&self) -> usize {
        KEY_BYTES
    }
}

impl Code for Entry {
    fn encode(&self, writer: &mut impl Write) -> Result<()> {
        let len = u32::try_from(self.0.len()).expect("a chunk has at most a megabyte");
        writer.write_all(&len.to_le_bytes()).map_err(Error::io_error)?;
        writer.write_all(&crc32c(&self.0).to_le_bytes()).map_err(Error::io_error)?;
        writer.write_all(&self.0).map_err(Error::io_error)
    }

    fn decode(reader: &mut impl Read) -> Result<Self> {
        let mut head = [0; HEAD_BYTES];
        reader.read_exact(&mut head).map_err(Error::io_error)?;
        let [l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        if u64::from(len) > CHUNK_BYTES {
            return Err(Error::new(ErrorKind::OutOfRange, "longer than a chunk"));
        }
        let mut bytes = Vec::with_capacity(len as usize);
        reader.take(u64::from(len)).read_to_end(&mut bytes).map_err(Error::io_error)?;
        if bytes.len() != len as usize || crc32c(&bytes) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(Error::new(ErrorKind::ChecksumMismatch, "not what was written"));
        }
        Ok(Self(Bytes::from(bytes)))
    }

    fn estimated_size(&self) -> usize {
        HEAD_BYTES + self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let entry = Entry(Bytes::from_static(b"what was written"));
        let mut written = Vec::new();
        entry.encode(&mut written).unwrap();
        assert_eq!(written.len(), entry.estimated_size());
        assert_eq!(Entry::decode(&mut written.as_slice()).unwrap().0, entry.0);
        for bit in 0..written.len() * 8 {
            let mut damaged = written.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Entry::decode(&mut damaged.as_slice()).is_err(), "bit {bit}");
        }
        for len in 0..written.len() {
            assert!(Entry::decode(&mut &written[..len]).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn a_key_reads_back() {
        let key = ChunkKey { object: ObjectId(7), variant: 8, chunk: 9 };
        let key = DiskKey { cluster: 1 << 100, key };
        let mut written = Vec::new();
        key.encode(&mut written).unwrap();
        assert_eq!(written.len(), key.estimated_size());
        assert_eq!(DiskKey::decode(&mut written.as_slice()).unwrap(), key);
    }
}

//! The lz4 frame format, as Kafka's own reader takes it and a little more.
//!
//! ```text
//! 04 22 4d 18 | flags | block size | [content size u64] | header checksum
//! { length u32, its highest bit for bytes as they are | bytes | [checksum] } … | 00000000 | [content checksum]
//! ```
//!
//! As in Kafka, what stands behind the first frame is ignored, and so are the values of the content's size and checksum:
//! the batch has a checksum of its own. Frames with a dictionary, and of the legacy format, are refused. Blocks that refer
//! to earlier ones are read, which Kafka's reader does not do and librdkafka does.

use crate::compression::DecompressError;
use twox_hash::XxHash32;

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const FLAG_INDEPENDENT: u8 = 0x20;
const FLAG_BLOCK_CHECKSUM: u8 = 0x10;
const FLAG_CONTENT_SIZE: u8 = 0x08;
const FLAG_CONTENT_CHECKSUM: u8 = 0x04;
/// Version 1; what is reserved, and the dictionary, must be 0.
const FLAGS_FIXED: (u8, u8) = (0xc3, 0x40);
/// The block's size lies in three bits, all others must be 0.
const SIZE_FIXED: (u8, u8) = (0x8f, 0);
const CONTENT_SIZE_LEN: usize = 8;
const AS_IT_IS: u32 = 1 << 31;
/// How far a block may refer back.
const WINDOW: usize = 64 << 10;
/// A byte of a block stands for at most so many of the content.
pub(crate) const DENSITY_MAX: usize = 255;

const DAMAGED: DecompressError = DecompressError::Damaged("lz4");

/// What a frame says of itself, and the blocks behind it.
struct Frame<'a> {
    flags: u8,
    block_max: usize,
    blocks: &'a [u8],
}

impl<'a> Frame<'a> {
    fn parse(data: &'a [u8]) -> Option<Self> {
        let described = data.strip_prefix(&MAGIC)?;
        let (&flags, &size) = (described.first()?, described.get(1)?);
        if flags & FLAGS_FIXED.0 != FLAGS_FIXED.1 || size & SIZE_FIXED.0 != SIZE_FIXED.1 {
            return None;
        }
        let block_max = match size >> 4 {
            4 => 64 << 10,
            5 => 256 << 10,
            6 => 1 << 20,
            7 => 4 << 20,
            _ => return None,
        };
        let len = if flags & FLAG_CONTENT_SIZE == 0 { 2 } else { 2 + CONTENT_SIZE_LEN };
        let (header, rest) = described.split_at_checked(len)?;
        let (&checksum, blocks) = rest.split_first()?;
        let computed = XxHash32::oneshot(0, header).to_le_bytes()[1];
        (computed == checksum).then_some(Self { flags, block_max, blocks })
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Takes the next block: whether it is as it is, and its bytes. Nothing at the end mark.
    fn next(&mut self) -> Result<Option<(bool, &'a [u8])>, DecompressError> {
        let length = u32::from_le_bytes(*self.take()?);
        let Ok(len) = usize::try_from(length & !AS_IT_IS) else { return Err(DAMAGED) };
        if len == 0 {
            if self.has(FLAG_CONTENT_CHECKSUM) {
                self.take::<4>()?;
            }
            return Ok(None);
        }
        if len > self.block_max {
            return Err(DAMAGED);
        }
        let (block, rest) = self.blocks.split_at_checked(len).ok_or(DAMAGED)?;
        self.blocks = rest;
        if self.has(FLAG_BLOCK_CHECKSUM)
            && u32::from_le_bytes(*self.take()?) != XxHash32::oneshot(0, block)
        {
            return Err(DAMAGED);
        }
        Ok(Some((length & AS_IT_IS != 0, block)))
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], DecompressError> {
        let (taken, rest) = self.blocks.split_first_chunk().ok_or(DAMAGED)?;
        self.blocks = rest;
        Ok(taken)
    }
}

/// Whether the blocks of the frame refer to earlier ones, which Kafka's reader refuses.
pub(crate) fn has_linked_blocks(data: &[u8]) -> bool {
    Frame::parse(data).is_some_and(|frame| !frame.has(FLAG_INDEPENDENT))
}

/// Decompresses the first frame into `out`, at most `cap` bytes. `content` is room for one block of at most 4 MiB.
pub(crate) fn decompress(
    data: &[u8],
    cap: usize,
    out: &mut Vec<u8>,
    content: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    let mut frame = Frame::parse(data).ok_or(DAMAGED)?;
    out.reserve(data.len().saturating_mul(3).min(cap));
    let room = frame.block_max.min(data.len().saturating_mul(DENSITY_MAX));
    if content.len() < room {
        content.resize(room, 0);
    }
    while let Some((as_it_is, block)) = frame.next()? {
        let block = if as_it_is {
            block
        } else {
            let known = if frame.has(FLAG_INDEPENDENT) { 0 } else { out.len().min(WINDOW) };
            let window = &out[out.len() - known..];
            let len =
                lz4_flex::block::decompress_into_with_dict(block, &mut content[..room], window)
                    .map_err(|_| DAMAGED)?;
            &content[..len]
        };
        if block.len() > cap - out.len() {
            return Err(DecompressError::TooLarge { cap });
        }
        out.extend_from_slice(block);
    }
    Ok(())
}

//! Zstandard frames (RFC 8878), read into one buffer that is their content and their window at once.
//!
//! Clients compress with windows up to 128 MiB, and without saying how long the content is. A reader of streams needs
//! the window beside the content; here the frames are walked first, which tells how long the content can be at most, and
//! then read in one go: what they need is their content, and nothing beside it.

use crate::compression::DecompressError;
use zstd::zstd_safe::{DCtx, get_error_name};

const MAGIC: u32 = 0xfd2f_b528;
const SKIPPABLE: std::ops::RangeInclusive<u32> = 0x184d_2a50..=0x184d_2a5f;
/// Most content bytes of one block.
const BLOCK_CONTENT_MAX: u64 = 128 << 10;
/// Largest window of a frame that readers of Kafka's clients open: the library's own limit.
const WINDOW_MAX: u64 = 1 << 27;
const NO_ROOM: &str = "Destination buffer is too small";

const DAMAGED: DecompressError = DecompressError::Damaged("zstd");

/// What the frames say of themselves, together.
#[derive(Default)]
struct Walked {
    /// No more content bytes than these come out.
    content_max: u64,
    /// The largest window.
    window: u64,
}

fn take<'a, const N: usize>(data: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = data.split_first_chunk()?;
    *data = rest;
    Some(taken)
}

/// Takes a number of so many bytes.
fn number(data: &mut &[u8], len: usize) -> Option<u64> {
    let (taken, rest) = data.split_at_checked(len)?;
    *data = rest;
    Some(taken.iter().rev().fold(0, |all, &byte| all << 8 | u64::from(byte)))
}

/// The window by its descriptor: an exponent and eighths.
fn window_of(descriptor: u8) -> u64 {
    let base = 1 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

/// Walks the blocks of one frame, and tells how many content bytes they can have.
fn walk_blocks(data: &mut &[u8]) -> Option<u64> {
    let mut content_max = 0u64;
    loop {
        let header = number(data, 3)?;
        let size = header >> 3;
        if size > BLOCK_CONTENT_MAX {
            return None;
        }
        let (stored, content) = match header >> 1 & 3 {
            0 => (size, size),
            1 => (1, size),
            2 => (size, BLOCK_CONTENT_MAX),
            _ => return None,
        };
        *data = data.get(usize::try_from(stored).ok()?..)?;
        content_max = content_max.saturating_add(content);
        if header & 1 == 1 {
            return Some(content_max);
        }
    }
}

/// Walks one frame behind its magic.
fn walk_frame(data: &mut &[u8], walked: &mut Walked) -> Option<()> {
    let [descriptor] = *take(data)?;
    let is_single_segment = descriptor & 0x20 != 0;
    let window = if is_single_segment { None } else { Some(window_of(take::<1>(data)?[0])) };
    number(data, [0, 1, 2, 4][usize::from(descriptor & 3)])?;
    let size = match (descriptor >> 6, is_single_segment) {
        (0, false) => None,
        (0, true) => number(data, 1),
        (1, _) => number(data, 2).map(|size| size + 256),
        (2, _) => number(data, 4),
        (_, _) => number(data, 8),
    };
    let content_max = walk_blocks(data)?.min(size.unwrap_or(u64::MAX));
    if descriptor & 4 != 0 {
        take::<4>(data)?;
    }
    walked.content_max = walked.content_max.saturating_add(content_max);
    walked.window = walked.window.max(window.or(size)?);
    Some(())
}

fn walk(mut data: &[u8]) -> Option<Walked> {
    let mut walked = Walked::default();
    while !data.is_empty() {
        match u32::from_le_bytes(*take(&mut data)?) {
            MAGIC => walk_frame(&mut data, &mut walked)?,
            magic if SKIPPABLE.contains(&magic) => {
                let length = u32::from_le_bytes(*take(&mut data)?);
                data = data.get(usize::try_from(length).ok()?..)?;
            }
            _ => return None,
        }
    }
    Some(walked)
}

/// Whether a window is larger than what readers of streams open without being told to.
pub(crate) fn has_huge_window(data: &[u8]) -> bool {
    walk(data).is_some_and(|walked| walked.window > WINDOW_MAX)
}

/// No more bytes than these come out; none where the frames are damaged.
pub(crate) fn content_max(data: &[u8]) -> usize {
    walk(data).map_or(0, |walked| usize::try_from(walked.content_max).unwrap_or(usize::MAX))
}

/// Decompresses all frames into `out`, at most `cap` bytes. `context` is made where there is none yet: that costs more than
/// a small batch.
pub(crate) fn decompress(
    data: &[u8],
    cap: usize,
    out: &mut Vec<u8>,
    context: &mut Option<DCtx<'static>>,
) -> Result<(), DecompressError> {
    let walked = walk(data).ok_or(DAMAGED)?;
    let room = usize::try_from(walked.content_max).unwrap_or(usize::MAX).min(cap);
    out.reserve(room);
    match context.get_or_insert_with(DCtx::create).decompress(out, data) {
        Ok(_) if out.len() > cap => Err(DecompressError::TooLarge { cap }),
        Ok(_) => Ok(()),
        Err(code) if get_error_name(code) == NO_ROOM => Err(DecompressError::TooLarge { cap }),
        Err(_) => Err(DAMAGED),
    }
}

//! Snappy as Kafka has it: blocks in the framing of the Java library (snappy-java), or one bare block as
//! librdkafka and others send.
//!
//! ```text
//! 82 "SNAPPY" 00 | version i32 | oldest compatible version i32 | { length i32 | block } …
//! ```

use crate::compression::DecompressError;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const FRAME_HEADER_LEN: usize = 16;
/// Content bytes a block, as the Java library cuts them.
const BLOCK_LEN: usize = 32 * 1024;
/// A block's densest element is a copy: 3 bytes that stand for 64. A block cannot announce more than that.
pub(crate) const DENSITY_MAX: usize = 22;

const DAMAGED: DecompressError = DecompressError::Damaged("snappy");

/// Appends the content of one block to `out`.
fn decompress_block(block: &[u8], out: &mut Vec<u8>, cap: usize) -> Result<(), DecompressError> {
    let announced = snap::raw::decompress_len(block).map_err(|_| DAMAGED)?;
    if announced > block.len().saturating_mul(DENSITY_MAX) {
        return Err(DAMAGED);
    }
    let start = out.len();
    if announced > cap - start {
        return Err(DecompressError::TooLarge { cap });
    }
    out.resize(start + announced, 0);
    let written =
        snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(|_| DAMAGED)?;
    if written == announced { Ok(()) } else { Err(DAMAGED) }
}

/// Decompresses framed or bare snappy into `out`, at most `cap` bytes.
pub(crate) fn decompress(
    data: &[u8],
    cap: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    if !data.starts_with(&MAGIC) {
        return decompress_block(data, out, cap);
    }
    let mut rest = data;
    while !rest.is_empty() {
        if rest.starts_with(&MAGIC) {
            // At the start, and again where two streams were joined.
            rest = rest.get(FRAME_HEADER_LEN..).ok_or(DAMAGED)?;
            continue;
        }
        // A few bytes that are no length are the end, as for the Java library.
        let Some((length, tail)) = rest.split_first_chunk() else { break };
        let (block, tail) = usize::try_from(i32::from_be_bytes(*length))
            .ok()
            .and_then(|length| tail.split_at_checked(length))
            .ok_or(DAMAGED)?;
        decompress_block(block, out, cap)?;
        rest = tail;
    }
    Ok(())
}

/// Compresses into the framing.
pub(crate) fn compress(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_HEADER_LEN + data.len() / 2);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for content in data.chunks(BLOCK_LEN) {
        let block = encoder.compress_vec(content).expect("a block is far below the format's limit");
        let length = i32::try_from(block.len()).expect("a block is far below 2 GiB");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&block);
    }
    out
}

//! Gzip members (RFC 1952), as Java reads them: one after another, and what follows the last is ignored.

use crate::compression::DecompressError;
use flate2::bufread::GzDecoder;
use std::io::Read;

/// What stands behind a member is looked at when there is more of it than this: a header, and a trailer.
const MEMBER_LEN_MIN: usize = 10 + 8;
/// A bit of deflate stands for at most 258 bytes in two.
pub(crate) const DENSITY_MAX: usize = 1032;

const DAMAGED: DecompressError = DecompressError::Damaged("gzip");

/// Decompresses all members into `out`, at most `cap` bytes.
pub(crate) fn decompress(
    data: &[u8],
    cap: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    out.reserve(data.len().saturating_mul(3).min(cap));
    let mut member = GzDecoder::new(data);
    loop {
        // One byte more than allowed tells too much from just enough.
        let room = u64::try_from(cap - out.len()).unwrap_or(u64::MAX).saturating_add(1);
        member.by_ref().take(room).read_to_end(out).map_err(|_| DAMAGED)?;
        if out.len() > cap {
            return Err(DecompressError::TooLarge { cap });
        }
        let rest = member.into_inner();
        if rest.len() <= MEMBER_LEN_MIN {
            return Ok(());
        }
        member = GzDecoder::new(rest);
        if member.header().is_none() {
            return Ok(());
        }
    }
}

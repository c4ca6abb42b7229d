//! Compressing and decompressing the records of a batch.
//!
//! Decompression is streamed into a buffer that never grows beyond the caller's cap; working memory beside it is
//! bounded by a constant a codec (zstd window 8 MiB, lz4 blocks 4 MiB, gzip 32 KiB, snappy none).

use std::io::{Read, Write};

use crate::snappy;

/// Largest zstd window that is accepted: 2²³ bytes, what level 19 uses.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Highest level whose frames keep to [`ZSTD_WINDOW_LOG_MAX`].
const ZSTD_LEVEL_MAX: i32 = 19;
/// The frame format of lz4; the legacy and the skippable ones are not part of Kafka.
const LZ4_FRAME_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks in the framing of the Java library.
    Snappy,
    /// The lz4 frame format.
    Lz4,
    /// RFC 8878.
    Zstd,
}

impl Codec {
    /// The codec of the lowest three attribute bits.
    pub(crate) fn from_bits(bits: i16) -> Result<Self, u8> {
        Ok(match bits {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return Err(u8::try_from(bits & 0xff).expect("masked to 8 bits")),
        })
    }

    /// The attribute bits of the codec.
    pub(crate) const fn bits(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The value of `compression.type` that stands for the codec.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Why a payload does not decompress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// A codec number without a codec.
    #[error("unknown compression codec {0}")]
    UnknownCodec(u8),
    /// The bytes are not what the codec writes, or end early.
    #[error("the {0} data is damaged")]
    Damaged(&'static str),
    /// There is more content than the caller wants.
    #[error("the content is larger than {cap} bytes")]
    TooLarge {
        /// What the caller wants at most.
        cap: usize,
    },
}

/// Reads to the end, never beyond `cap` bytes.
fn read_capped(
    reader: impl Read,
    codec: Codec,
    input: usize,
    cap: usize,
) -> Result<Vec<u8>, DecompressError> {
    let mut out = Vec::with_capacity(input.saturating_mul(3).min(cap));
    // One byte more than allowed tells too much from just enough.
    let limit = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(limit).read_to_end(&mut out).map_err(|_| DecompressError::Damaged(codec.name()))?;
    if out.len() > cap { Err(DecompressError::TooLarge { cap }) } else { Ok(out) }
}

/// Decompresses `data` into at most `cap` bytes. As in Kafka, data after the end of a gzip or zstd frame is read
/// as a further frame, and data after the end of an lz4 frame is ignored.
///
/// # Errors
/// [`DecompressError::Damaged`] for bytes that the codec did not write or that end early,
/// [`DecompressError::TooLarge`] as soon as the cap is passed.
pub fn decompress(codec: Codec, data: &[u8], cap: usize) -> Result<Vec<u8>, DecompressError> {
    let damaged = DecompressError::Damaged(codec.name());
    match codec {
        Codec::None if data.len() > cap => Err(DecompressError::TooLarge { cap }),
        Codec::None => Ok(data.to_vec()),
        Codec::Gzip => {
            read_capped(flate2::bufread::MultiGzDecoder::new(data), codec, data.len(), cap)
        }
        Codec::Snappy => snappy::decompress(data, cap),
        Codec::Lz4 => {
            if !data.starts_with(&LZ4_FRAME_MAGIC) {
                return Err(damaged);
            }
            read_capped(lz4_flex::frame::FrameDecoder::new(data), codec, data.len(), cap)
        }
        Codec::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(data).map_err(|_| damaged)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| damaged)?;
            read_capped(decoder, codec, data.len(), cap)
        }
    }
}

/// Compresses `data`. `level` is the codec's own scale, cut to what it knows; `None` is the codec's default.
#[must_use]
pub fn compress(codec: Codec, level: Option<i32>, data: &[u8]) -> Vec<u8> {
    const IN_MEMORY: &str = "writing to memory does not fail";
    match codec {
        Codec::None => data.to_vec(),
        Codec::Gzip => {
            let level = match level.and_then(|level| u32::try_from(level).ok()) {
                Some(level) => flate2::Compression::new(level.min(9)),
                None => flate2::Compression::default(),
            };
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(data).expect(IN_MEMORY);
            encoder.finish().expect(IN_MEMORY)
        }
        Codec::Snappy => snappy::compress(data),
        Codec::Lz4 => {
            // Kafka's own reader refuses blocks that depend on earlier ones.
            let info = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(data).expect(IN_MEMORY);
            encoder.finish().expect(IN_MEMORY)
        }
        Codec::Zstd => {
            let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL).min(ZSTD_LEVEL_MAX);
            zstd::bulk::compress(data, level).expect(IN_MEMORY)
        }
    }
}

//! Compressing and decompressing the records of a batch.
//!
//! What is decompressed never grows beyond the caller's cap; working memory beside it is bounded by a constant a codec
//! (zstd 160 KiB, lz4 one block of 4 MiB, gzip 32 KiB, snappy none), whatever window the data was written with.
//! [`content_max`] tells before how much it can be, for callers with a budget.

use std::io::Write;

use crate::{gzip, lz4, snappy, zstd_frames};

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

/// Memory to decompress into, used again from one batch to the next.
#[derive(Default)]
pub struct Decompressor {
    content: Vec<u8>,
    block: Vec<u8>,
    zstd: Option<zstd::zstd_safe::DCtx<'static>>,
}

impl Decompressor {
    /// Most bytes that are kept from one batch to the next.
    const KEPT_MAX: usize = 4 << 20;

    /// Decompresses `data` into at most `cap` bytes. Takes all that Kafka's own readers take: several gzip members, zstd
    /// frames or snappy streams count as one, and what follows a gzip member or an lz4 frame and is none is ignored.
    ///
    /// # Errors
    /// [`DecompressError::Damaged`] for bytes that the codec did not write or that end early,
    /// [`DecompressError::TooLarge`] as soon as the cap is passed.
    pub fn decompress(
        &mut self,
        codec: Codec,
        data: &[u8],
        cap: usize,
    ) -> Result<&[u8], DecompressError> {
        self.content.clear();
        self.content.shrink_to(Self::KEPT_MAX);
        let out = &mut self.content;
        match codec {
            Codec::None if data.len() > cap => return Err(DecompressError::TooLarge { cap }),
            Codec::None => out.extend_from_slice(data),
            Codec::Gzip => gzip::decompress(data, cap, out)?,
            Codec::Snappy => snappy::decompress(data, cap, out)?,
            Codec::Lz4 => lz4::decompress(data, cap, out, &mut self.block)?,
            Codec::Zstd => zstd_frames::decompress(data, cap, out, &mut self.zstd)?,
        }
        Ok(&self.content)
    }
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor")
            .field("kept", &self.content.capacity())
            .finish_non_exhaustive()
    }
}

/// As [`Decompressor::decompress`], into memory of its own.
///
/// # Errors
/// As there.
pub fn decompress(codec: Codec, data: &[u8], cap: usize) -> Result<Vec<u8>, DecompressError> {
    let mut decompressor = Decompressor::default();
    decompressor.decompress(codec, data, cap)?;
    Ok(decompressor.content)
}

/// No more bytes than these come out of `data`: what the codec can express, and for zstd what the frames say.
#[must_use]
pub fn content_max(codec: Codec, data: &[u8]) -> usize {
    let density = match codec {
        Codec::None => 1,
        Codec::Gzip => gzip::DENSITY_MAX,
        Codec::Snappy => snappy::DENSITY_MAX,
        Codec::Lz4 => lz4::DENSITY_MAX,
        Codec::Zstd => return zstd_frames::content_max(data),
    };
    data.len().saturating_mul(density)
}

/// Why Kafka's own readers refuse data that [`decompress`] takes, as others do: a Java consumer does not get past it.
#[must_use]
pub fn unreadable_in_java(codec: Codec, data: &[u8]) -> Option<&'static str> {
    match codec {
        Codec::Lz4 if lz4::has_linked_blocks(data) => Some("lz4 blocks that refer to earlier ones"),
        Codec::Zstd if zstd_frames::has_huge_window(data) => Some("a zstd window above 128 MiB"),
        _ => None,
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
            let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
            zstd::bulk::compress(data, level).expect(IN_MEMORY)
        }
    }
}

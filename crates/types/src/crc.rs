//! CRC-32C (Castagnoli) as a value that can be continued.
//!
//! Every record batch brings its own checksum, which is compared when it arrives. What is built of batches (entries of the
//! log, blocks of objects) has checksums of its own; they are put together from those of the batches instead of reading
//! all bytes again, so that a byte that changes in memory after it was checked is found by whoever reads it back.

/// The polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// Bytes of a length.
const LEN_BYTES: usize = 4;

/// `POWERS[k][b]` is x to the power of 8 · b · 256^k, modulo the polynomial.
static POWERS: [[u32; 256]; LEN_BYTES] = powers();

/// CRC-32C of a run of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crc32c(pub u32);

impl Crc32c {
    /// The checksum of no bytes.
    pub const EMPTY: Self = Self(0);

    /// The checksum of these bytes followed by `len` others whose checksum is `next`.
    ///
    /// # Panics
    /// When `len` is 4 GiB or more.
    #[must_use]
    pub fn then(self, next: Self, len: usize) -> Self {
        let len = u32::try_from(len).expect("what is checked at once is below 4 GiB");
        let mut shifted = self.0;
        for (powers, byte) in POWERS.iter().zip(len.to_le_bytes()) {
            if byte != 0 {
                shifted = times(shifted, powers[usize::from(byte)]);
            }
        }
        Self(shifted ^ next.0)
    }
}

impl std::fmt::Display for Crc32c {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// Product of two polynomials, modulo the polynomial; the highest bit is the coefficient of x⁰.
const fn times(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 32;
    while bit > 0 {
        bit -= 1;
        product ^= b & 0_u32.wrapping_sub(a >> bit & 1);
        b = (b >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(b & 1));
    }
    product
}

const fn powers() -> [[u32; 256]; LEN_BYTES] {
    let mut table = [[0; 256]; LEN_BYTES];
    // x⁸: one byte further.
    let mut step = 1 << (31 - 8);
    let mut place = 0;
    while place < LEN_BYTES {
        table[place][0] = 1 << 31;
        let mut byte = 1;
        while byte < 256 {
            table[place][byte] = times(table[place][byte - 1], step);
            byte += 1;
        }
        step = times(table[place][255], step);
        place += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, as the standard says.
    fn crc32c(bytes: &[u8]) -> Crc32c {
        let mut crc = !0;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(crc & 1));
            }
        }
        Crc32c(!crc)
    }

    #[test]
    fn pieces_make_the_whole() {
        assert_eq!(crc32c(b"123456789"), Crc32c(0xe306_9283));
        let bytes: Vec<u8> =
            (0..70_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let whole = crc32c(&bytes);
        for cut in [0, 1, 2, 21, 255, 256, 257, 4_463, 65_535, 65_536, 69_999, 70_000] {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(crc32c(head).then(crc32c(tail), tail.len()), whole, "cut at {cut}");
        }
        let thirds = bytes.chunks(23_334).map(|piece| (crc32c(piece), piece.len()));
        assert_eq!(thirds.fold(Crc32c::EMPTY, |crc, (next, len)| crc.then(next, len)), whole);
    }

    #[test]
    fn long_lengths_shift_as_often_as_short_ones() {
        // 2²⁴ + 3 zero bytes in steps of 3 and of 2¹².
        let zeros = |len: usize| crc32c(&vec![0; len]);
        let mut slow = zeros(3);
        let step = zeros(1 << 12);
        for _ in 0..1 << 12 {
            slow = slow.then(step, 1 << 12);
        }
        let half = (0..1 << 11).fold(Crc32c::EMPTY, |crc, _| crc.then(step, 1 << 12));
        assert_eq!(zeros(3).then(half, 1 << 23).then(half, 1 << 23), slow);
        let whole = half.then(half, 1 << 23);
        assert_eq!(zeros(3).then(whole, 1 << 24), slow);
    }
}

//! Conversions between the sizes of memory and the sizes of files.

/// A file position or length as an index into memory.
///
/// # Panics
/// On platforms whose addresses have less than 64 bits, when it does not fit.
pub(crate) fn to_usize(value: u64) -> usize {
    usize::try_from(value).expect("addresses have 64 bits")
}

/// A length in memory as a length in a file.
pub(crate) fn to_u64(value: usize) -> u64 {
    u64::try_from(value).expect("no memory is larger than 2⁶⁴ bytes")
}

/// A length that an earlier check has bounded below 4 GiB.
///
/// # Panics
/// When no check has.
pub(crate) fn to_u32(value: u64) -> u32 {
    u32::try_from(value).expect("lengths and positions in a segment are bounded below 4 GiB")
}

/// `value` rounded up to a multiple of `unit`, a power of two.
pub(crate) const fn align_up(value: u64, unit: u64) -> u64 {
    (value + (unit - 1)) & !(unit - 1)
}

/// `value` rounded down to a multiple of `unit`, a power of two.
pub(crate) const fn align_down(value: u64, unit: u64) -> u64 {
    value & !(unit - 1)
}

/// Little-endian fields of a byte slice whose length the caller has checked.
pub(crate) mod field {
    pub(crate) fn u16(bytes: &[u8], at: usize) -> u16 {
        u16::from_le_bytes(array(bytes, at))
    }

    pub(crate) fn u32(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(array(bytes, at))
    }

    pub(crate) fn u64(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(array(bytes, at))
    }

    pub(crate) fn i64(bytes: &[u8], at: usize) -> i64 {
        i64::from_le_bytes(array(bytes, at))
    }

    pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
        bytes[at..at + N].try_into().expect("the slice has the array's length")
    }

    pub(crate) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
        bytes[at..at + N].copy_from_slice(&value);
    }
}

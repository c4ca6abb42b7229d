//! Zigzag varints as Kafka's records use them: at most 5 bytes for 32 bits, at most 10 for 64.

/// A varint that ends beyond the input, or has more bytes than its width allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadVarint;

/// Splits an unsigned varint of at most `bytes_max` bytes off the front of `data`.
///
/// Bits beyond the 64th in a tenth byte are dropped, as Kafka drops them.
fn split_unsigned(data: &mut &[u8], bytes_max: usize) -> Result<u64, BadVarint> {
    // Nearly all lengths and deltas fit one byte.
    if let Some((&first, rest)) = data.split_first()
        && first < 0x80
    {
        *data = rest;
        return Ok(u64::from(first));
    }
    let mut value = 0u64;
    for (index, &byte) in data.iter().take(bytes_max).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *data = &data[index + 1..];
            return Ok(value);
        }
    }
    Err(BadVarint)
}

/// Splits a 32-bit zigzag varint off the front of `data`.
pub(crate) fn split_i32(data: &mut &[u8]) -> Result<i32, BadVarint> {
    let raw = split_unsigned(data, 5)?;
    // Five groups of seven bits carry 35 bits; Kafka keeps the lower 32.
    let raw = u32::try_from(raw & u64::from(u32::MAX)).expect("masked to 32 bits");
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Splits a 64-bit zigzag varint off the front of `data`.
pub(crate) fn split_i64(data: &mut &[u8]) -> Result<i64, BadVarint> {
    let raw = split_unsigned(data, 10)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).expect("masked to 7 bits");
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends a 64-bit zigzag varint. A 32-bit value has the same encoding in both widths.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Number of bytes that [`put_i64`] writes.
pub(crate) const fn len_i64(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let bits = 64 - (zigzag | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_round_trip_with_the_announced_length() {
        for value in [0, 1, -1, 63, -64, 64, 8191, 8192, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            put_i64(&mut bytes, value);
            assert_eq!(bytes.len(), len_i64(value), "{value}");
            let mut rest = bytes.as_slice();
            assert_eq!(split_i64(&mut rest), Ok(value));
            assert!(rest.is_empty());
        }
        for value in [0, 1, -1, i32::MAX, i32::MIN] {
            let mut bytes = Vec::new();
            put_i64(&mut bytes, i64::from(value));
            assert_eq!(split_i32(&mut bytes.as_slice()), Ok(value));
        }
    }

    #[test]
    fn overlong_and_cut_varints_are_refused() {
        assert_eq!(split_i32(&mut [0x80; 5].as_slice()), Err(BadVarint));
        assert_eq!(split_i32(&mut [0x80, 0x80, 0x80, 0x80, 0x80, 0x01].as_slice()), Err(BadVarint));
        assert_eq!(split_i64(&mut [0xff; 11].as_slice()), Err(BadVarint));
        assert_eq!(split_i32(&mut [0x80].as_slice()), Err(BadVarint));
        assert_eq!(split_i32(&mut [].as_slice()), Err(BadVarint));
    }
}

//! Which partition a record goes to: the same as Java's client chooses, so that keys stay where they are.

/// Kafka's 32-bit murmur2 (the seed is Kafka's).
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let len = u32::try_from(data.len() & 0xffff_ffff).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ len;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key among `count`, which is at least 1.
#[must_use]
pub fn partition_for_key(key: &[u8], count: i32) -> i32 {
    let hash = i32::try_from(murmur2(key) & 0x7fff_ffff).expect("31 bits");
    hash % count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As computed by Java's `Utils.murmur2` (kafka-clients 4.3.1).
    #[test]
    fn hashes_are_javas() {
        for (text, hash) in JAVA {
            assert_eq!(murmur2(text.as_bytes()), hash.cast_unsigned(), "{text}");
        }
        assert_eq!(partition_for_key(b"21", 1), 0);
        assert!((0..7).contains(&partition_for_key(b"\xff\xff\xff\xff\x00", 7)));
    }

    const JAVA: [(&str, i32); 8] = [
        ("", 275_646_681),
        ("2", 648_968_168),
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
        ("ä€", -199_914_715),
    ];
}

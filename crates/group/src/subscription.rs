//! What the metadata of a consumer tells: the topics it wants. The coordinator needs no more of it.

use std::collections::BTreeSet;

use crate::codec::{Damaged, Reader};

/// Protocol type of consumer groups; other types have metadata of their own.
pub(crate) const CONSUMER: &str = "consumer";

/// Adds the topics of a consumer's subscription to `topics`. All versions begin alike; later fields are skipped.
pub(crate) fn add_topics(metadata: &[u8], topics: &mut BTreeSet<String>) -> Result<(), Damaged> {
    let mut reader = Reader::new(metadata);
    if reader.i16()? < 0 {
        return Err(Damaged);
    }
    for _ in 0..reader.count(2)? {
        topics.insert(reader.str()?.to_owned());
    }
    reader.nullable_bytes()?;
    Ok(())
}

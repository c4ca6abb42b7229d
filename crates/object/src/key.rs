//! Names of objects.

use crate::field::crc32c;
use esker_types::{Incarnation, ObjectId};

/// Key of a data object: `d/<xx>/<oid>-<incarnation>`, in hexadecimal. `xx` is a hash of the id: it spreads keys
/// over the partitions of the store's key space. Two writers never meet at a key, even if an id were issued twice,
/// because their incarnations differ.
#[must_use]
pub fn data_key(object: ObjectId, incarnation: Incarnation) -> String {
    key('d', object, incarnation)
}

/// Key of a manifest segment: `m/<xx>/<oid>-<incarnation>`.
#[must_use]
pub fn manifest_key(object: ObjectId, incarnation: Incarnation) -> String {
    key('m', object, incarnation)
}

fn key(kind: char, object: ObjectId, incarnation: Incarnation) -> String {
    let spread = crc32c(&object.get().to_le_bytes()) & 0xFF;
    format!("{kind}/{spread:02x}/{:016x}-{:x}", object.get(), incarnation.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_object_and_writer() {
        let spread = crc32c(&77u64.to_le_bytes()) & 0xFF;
        let key = data_key(ObjectId(77), Incarnation(0xAB));
        assert_eq!(key, format!("d/{spread:02x}/000000000000004d-ab"));
        assert_eq!(manifest_key(ObjectId(77), Incarnation(0xAB)), key.replacen('d', "m", 1));
    }
}

//! Which partition of `__consumer_offsets`, hence which coordinator, a group belongs to.

use esker_types::{GroupId, PartitionIndex};

/// Java's `String.hashCode`: over UTF-16 units, so that groups stay where Kafka put them.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The partition of a group among `count`.
///
/// # Panics
/// When `count` is not positive.
#[must_use]
pub fn partition_for(group: &GroupId, count: i32) -> PartitionIndex {
    assert!(count > 0, "a topic has partitions");
    // Java's absolute value, except that the smallest number counts as 0.
    let hash = java_hash(group.as_str()).checked_abs().unwrap_or(0);
    PartitionIndex(hash % count)
}

//! Which files hold the spans of which offsets.
//!
//! Each file has an entry in a topic of one partition. An entry counts if it begins where the entries before it of the same
//! partition end, or later, where retention took what was between. So of two indexers that made files of the same records, in a
//! move or after a pause, the first entry counts and the other is nothing. No name, no listing and no clock decides.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A file of spans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The partition of the topic of spans.
    pub partition: i32,
    /// The first offset whose spans are in the file.
    pub first: i64,
    /// The offset behind the last.
    pub end: i64,
    /// The file's key in the bucket; none where the offsets held no spans.
    pub key: Option<String>,
    /// Its length.
    pub bytes: u64,
    /// Spans in it.
    pub spans: u64,
    /// When the earliest of them began, in nanoseconds since 1970.
    pub start_ns: i64,
    /// When the latest of them ended.
    pub end_ns: i64,
}

/// The entries that count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    entries: BTreeMap<i32, Vec<Entry>>,
}

impl Catalogue {
    /// Takes the next entry of the topic; whether it counts.
    pub fn apply(&mut self, entry: Entry) -> bool {
        let is_next = self.end(entry.partition).is_none_or(|end| entry.first >= end);
        let counts = is_next && entry.end > entry.first;
        if counts {
            self.entries.entry(entry.partition).or_default().push(entry);
        }
        counts
    }

    /// Up to where the spans of a partition are in files; `None` where no file has any.
    #[must_use]
    pub fn end(&self, partition: i32) -> Option<i64> {
        self.entries.get(&partition)?.last().map(|entry| entry.end)
    }

    /// All files, newest records first within each partition.
    pub fn files(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .values()
            .flat_map(|entries| entries.iter().rev())
            .filter(|entry| entry.key.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(partition: i32, first: i64, end: i64, key: &str) -> Entry {
        let key = Some(key.to_owned());
        Entry { partition, first, end, key, bytes: 1, spans: 1, start_ns: 0, end_ns: 0 }
    }

    #[test]
    fn of_two_files_of_the_same_records_the_first_counts() {
        let mut catalogue = Catalogue::default();
        assert!(catalogue.apply(entry(0, 5, 10, "a")), "what was before it retention took");
        assert!(catalogue.apply(entry(1, 0, 3, "b")));
        assert!(!catalogue.apply(entry(0, 5, 12, "again")));
        assert!(!catalogue.apply(entry(0, 9, 12, "one more")));
        assert!(!catalogue.apply(entry(0, 10, 10, "nothing")));
        assert!(catalogue.apply(entry(0, 11, 12, "c")), "retention took one");
        assert_eq!(
            (catalogue.end(0), catalogue.end(1), catalogue.end(2)),
            (Some(12), Some(3), None)
        );
        let keys: Vec<_> = catalogue.files().filter_map(|entry| entry.key.as_deref()).collect();
        assert_eq!(keys, ["c", "a", "b"]);
    }
}

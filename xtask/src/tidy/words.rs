//! Public types that Kafka does not name stand in the glossary.

use std::collections::BTreeSet;

/// Crates whose public types are held against the glossary.
pub(super) const CRATES: &[&str] = &["crates/engine/src/", "crates/broker/src/"];

/// The types that a glossary names: whatever stands between back quotes.
pub(super) fn known(glossary: &str) -> BTreeSet<&str> {
    glossary.split('`').skip(1).step_by(2).collect()
}

/// The types that a source file makes public, with their lines. Errors explain themselves.
pub(super) fn public_types(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let rest = line.strip_prefix("pub ")?;
        let kinds = ["struct ", "enum ", "trait ", "type "];
        let name = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
        let end = name.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
        let name = &name[..end.unwrap_or(name.len())];
        (!name.ends_with("Error")).then_some((number, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_types_are_found_and_others_are_not() {
        let text = "pub struct Ack {\n    pub struct Inner;\n}\npub(crate) enum Hidden {}\n\
                    pub trait Resolve: Send {\npub type Wake = u8;\npub enum WakeError {}\npub fn f() {}\n";
        let found: Vec<_> = public_types(text).collect();
        assert_eq!(found, [(1, "Ack"), (5, "Resolve"), (6, "Wake")]);
    }

    #[test]
    fn a_glossary_names_what_stands_between_back_quotes() {
        let words = known("| ack | `Ack`, `AckWait` | the `Engine`'s answer |");
        assert_eq!(words.into_iter().collect::<Vec<_>>(), ["Ack", "AckWait", "Engine"]);
    }
}

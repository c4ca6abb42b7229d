//! The order of rooms inside a crate: a module imports from its own room or from rooms below it.

use std::collections::BTreeMap;

/// The rooms of a crate, lowest first: the top-level modules that its files lie in or are.
pub(super) struct Rooms {
    /// Where the crate's sources are.
    pub(super) sources: &'static str,
    pub(super) order: &'static [&'static str],
    /// Modules of tests, which may import everything.
    pub(super) tests: &'static [&'static str],
}

/// The crates that have rooms.
pub(super) const ROOMS: &[Rooms] = &[Rooms {
    sources: "crates/engine/src/",
    order: &[
        "options",
        "context",
        "partition",
        "objects",
        "stores",
        "journal",
        "start",
        "follow",
        "background",
        "engine",
        "serve",
    ],
    tests: &["testing"],
}];

impl Rooms {
    /// The room that a source file of the crate lies in; `None` of its root.
    fn room_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let inside = path.strip_prefix(self.sources)?;
        let room = inside.split('/').next()?.trim_end_matches(".rs");
        (room != "lib").then_some(room)
    }

    /// What is wrong with the imports of the files, given as path and text.
    pub(super) fn problems<'a>(
        &self,
        files: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Vec<String> {
        let floor: BTreeMap<_, _> =
            self.order.iter().enumerate().map(|(floor, room)| (*room, floor)).collect();
        let mut problems = Vec::new();
        for (path, text) in files {
            let Some(room) = self.room_of(path).filter(|room| !self.tests.contains(room)) else {
                continue;
            };
            let Some(own) = floor.get(room) else {
                problems.push(format!("{path}: give `{room}` a floor in xtask/src/tidy/rooms.rs"));
                continue;
            };
            for (line, used) in imports(text) {
                if floor.get(used).is_none_or(|other| other > own) {
                    let what =
                        if floor.contains_key(used) { "lies above it" } else { "is no room" };
                    problems.push(format!("{path}:{line}: `{room}` uses `{used}`, which {what}"));
                }
            }
        }
        problems
    }
}

/// The rooms that production code names by `crate::`, with their lines. Tests may build what they test from anything,
/// and comments may point anywhere.
fn imports(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let production = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    (1..).zip(production.lines()).flat_map(|(number, line)| {
        let code = line.split("//").next().unwrap_or_default();
        code.split("crate::").skip(1).map(move |rest| {
            let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
            (number, &rest[..end.unwrap_or(rest.len())])
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUSE: Rooms =
        Rooms { sources: "crates/x/src/", order: &["cellar", "hall", "roof"], tests: &["testing"] };

    fn problems(path: &str, text: &str) -> Vec<String> {
        HOUSE.problems([(path, text)].into_iter())
    }

    #[test]
    fn an_import_from_below_is_fine_and_one_from_above_is_told_with_its_line() {
        let text = "use crate::cellar::Wine;\nuse crate::hall::door::Door;\n";
        assert_eq!(problems("crates/x/src/hall/stairs.rs", text), Vec::<String>::new());
        assert_eq!(problems("crates/x/src/roof.rs", text), Vec::<String>::new());
        assert_eq!(
            problems("crates/x/src/cellar.rs", text),
            ["crates/x/src/cellar.rs:2: `cellar` uses `hall`, which lies above it"]
        );
        let inline = "fn f() { crate::roof::open(); }";
        assert_eq!(problems("crates/x/src/hall/stairs.rs", inline).len(), 1);
    }

    #[test]
    fn a_room_without_a_floor_is_told_and_so_is_what_is_imported_from_the_root() {
        let told = problems("crates/x/src/attic/box.rs", "");
        assert_eq!(
            told,
            ["crates/x/src/attic/box.rs: give `attic` a floor in xtask/src/tidy/rooms.rs"]
        );
        let told = problems("crates/x/src/hall.rs", "use crate::Door;");
        assert_eq!(told, ["crates/x/src/hall.rs:1: `hall` uses `Door`, which is no room"]);
    }

    #[test]
    fn tests_comments_the_root_and_other_crates_are_not_asked() {
        let text = "//! See [`crate::roof`].\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::roof::Tile;\n}\n";
        assert_eq!(problems("crates/x/src/cellar.rs", text), Vec::<String>::new());
        let up = "use crate::roof::Tile;";
        for path in ["crates/x/src/lib.rs", "crates/x/src/testing.rs", "crates/y/src/cellar.rs"] {
            assert_eq!(problems(path, up), Vec::<String>::new(), "{path}");
        }
    }
}

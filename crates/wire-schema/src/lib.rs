//! The notation in which Esker writes down Kafka's messages.
//!
//! One file describes one API: what it is called, who serves it, and the fields of its request and
//! its response at every version. The generator of `esker-wire` turns these files into code; the
//! tests of `esker-wire` interpret them a second time, independently of that code.
//!
//! ```text
//! api Fetch key 1 listeners broker controller
//!
//! request 4..18 flexible 12.. {
//!     cluster_id: string? = null @12.. tag 0 ignorable
//!     replica_id: i32 = -1 @..14
//!     topics: [FetchTopic] {
//!         topic: string @..12 ignorable
//!         partitions: [FetchPartition] {
//!             ...
//!         }
//!     }
//! }
//! ```
//!
//! * Versions are inclusive on both ends: `3..7`, `3..` (to the newest), `..7` (from the oldest),
//!   `3` alone. A field without `@` is there whenever its parent is.
//! * `?` makes a string, bytes, records, array or struct nullable; `?7..` only in those versions.
//! * `= value` is the default: what a reader sees where a version has no such field, and what a
//!   tagged field is when it is left out. Without it: zero, false, empty, the nil id; `null` for
//!   nullable records only.
//! * `tag n` makes it a tagged field. `ignorable`: a value may be dropped silently when the version
//!   has no room for it; otherwise encoding fails.
//! * `{` at the end of a field opens the definition of its struct. `struct Name {` at the end of a
//!   message defines a struct that several fields use.
//! * Messages outside any request are `data Name 0..3 flexible none {`.

pub mod interpret;
mod model;
mod parse;
mod print;

pub use model::{
    Api, DefaultValue, Field, Listener, Message, MessageKind, SchemaFile, StructDef, Type, Versions,
};
pub use parse::ParseError;

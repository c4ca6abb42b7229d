//! Objects in the bucket: their ids, footers and blocks, and what is damaged of them.

pub(crate) mod error;
pub(crate) mod fetched;
pub(crate) mod footers;
pub(crate) mod object_ids;
pub(crate) mod part_flags;
pub(crate) mod producer_state;
pub(crate) mod quarantine;
pub(crate) mod readahead;
pub(crate) mod stored;
pub(crate) mod tiered;

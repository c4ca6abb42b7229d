//! What requests ask for: appends, reads, offsets by time, the state of producers.

pub(crate) mod append;
pub(crate) mod lookup;
pub(crate) mod producer_state;
pub(crate) mod read;

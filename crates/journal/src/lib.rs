//! The journal protocol, as state machines without I/O, clock or randomness.
//!
//! A journal is a log with one writer and a fixed set of stores. It is never repaired: when anything goes wrong it
//! is sealed, and the next one is opened. Four parts play together:
//!
//! | part | lives | decides |
//! |---|---|---|
//! | [`Owner`] | in the broker that writes | which entries count as acknowledged, when to roll |
//! | [`Replica`] | in each store | which entries it takes, when it never takes any again |
//! | [`Rescuer`] | in any broker, after the owner was fenced | where the journal ends |
//! | [`Row`] | in the metadata log | what happened first |
//!
//! # Invariants
//! 1. *Single writer.* One owner, in one registration, gives an entry its content; a sequence number never gets
//!    another one. A journal's id is never used again.
//! 2. *Acknowledgement.* An entry is acknowledged, and visible to readers, only when it is exposed: at most the
//!    commit point (the A-th largest durable point of the stores) and at most the freeze point.
//! 3. *Prefix.* A store whose durable point is `d` holds exactly the entries after its trim point up to `d`.
//! 4. *Roll.* The owner freezes before it proposes an end. Nothing after the end is ever acknowledged; everything
//!    acknowledged is at or before it.
//! 5. *Seal.* S = N − A + 1 sealed stores leave at most A − 1 that could take another entry: none can be
//!    acknowledged any more.
//! 6. *Tail.* A tail is at or after every acknowledged entry, because S sealed stores and A acknowledging ones have
//!    one in common; and every entry up to it is in the bucket or on A stores, because it becomes visible with it.
//! 7. *Authority.* A store that lost durable data, or is another one under the same name, is never counted.
//! 8. *Give-away.* Partitions get a new leader only when all journals of the old one have an end.
//! 9. *Continuity.* Entries go to the bucket in order, each once: a commit names where the last one ended.
//! 10. *Trim.* A store gives up an entry only when the metadata says that it is in the bucket.
//!
//! # What production runs
//! `tests/model.rs` searches all states of small instances of these very types, and shows that each rule is needed.
//! A broker is alone so far, and its journals have one store. Of the types here it runs
//! - [`Owner`] and [`Quorum`]: what it acknowledges and exposes, in `esker-engine`. It does not roll yet;
//! - [`Row`]: every change of a journal in the metadata (opening apart, which makes a new one), in `esker-meta`. That
//!   adds who may propose and what repeats an earlier command, and refuses drains while a tail is looked for;
//! - [`Replica`] and [`Rescuer`]: at a start, what the sealed store answers, with authority or without, and where the
//!   journal ends, in `esker-engine`.
//!
//! For several brokers waits what happens between stores: copies, and the creation and forgetting of journals by what a
//! store sees of the metadata. While the one local store appends, `esker-wal` decides by the rules of [`Replica`] in code
//! of its own (the next entry only, none after a seal), because it knows of full disks and damage as well.

mod owner;
mod quorum;
mod replica;
mod rescuer;
mod row;
mod rules;

pub use owner::{Owner, OwnerPhase, RollAnswer};
pub use quorum::{ENSEMBLE_MAX, Quorum};
pub use replica::{Answer, Refusal, Replica, ReplicaPhase, RowSeen, SealAnswer, SealStep};
pub use rescuer::{Copy, Next, Rescuer};
pub use row::{Refused, Row, RowState};
pub use rules::Rules;

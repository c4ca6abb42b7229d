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
//! Of the types here production runs
//! - [`Owner`] and [`Quorum`]: what a broker acknowledges and exposes, and where a journal ends that rolls, in `esker-engine`. It rolls
//!   when everything on its way is acknowledged, so nothing is cut again for a successor. And it exposes nothing that its own
//!   store lacks, however many others have it: it reads and flushes from there;
//! - [`Row`]: every change of a journal in the metadata (opening apart, which makes a new one), in `esker-meta`. That
//!   adds who may propose and what repeats an earlier command, and refuses drains while a tail is looked for;
//! - [`Replica`]: what a store takes of other brokers' journals, and what it answers to a seal, in `esker-engine`. `esker-wal` holds to
//!   the same rules in code of its own (the next entry only, none after a seal), because it knows of full disks and damage as
//!   well; a broker's own entries meet those alone;
//! - [`Rescuer`]: where the journals of a dead broker end, in `esker-engine`; and what its own store says at the start of a broker
//!   that is alone. Where [`Next::DrainFirst`] asks for the bucket first, a broker waits for another store for a second and
//!   fixes the tail then: the last entries are on one store until they are in the bucket.

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

//! All states of small instances of the journal protocol, searched breadth first over the very state machines of
//! `src/`. Which of them production runs today is said in `src/lib.rs`.
//!
//! # The world
//! One owner (which may be fenced and go on acting, as a paused process does), three stores of which two acknowledge
//! (other numbers in one test), up to two rescuers, a journal and its successor, and the metadata as one total order.
//! - *Messages.* An entry that was given a number may arrive at a store at any time, again, and before earlier ones; so
//!   may every durable point that a store has told. An action that is never taken covers loss.
//! - *Stores.* With `in_flight` an entry is taken, and becomes durable in another step, and so is a seal; in between
//!   the store may crash or refuse what it took, any number of times, and entries may come before the seal unheard.
//!   Without it both are one step, for larger instances of the rest. One store may lose its disk for good.
//! - *Metadata.* A roll is proposed, applied and answered in three steps; a tail may be proposed after another one has
//!   decided. With `images` each store's view lags by itself, and stores create and forget journals by it.
//!   With `restarts` a store's process starts anew at any time, with a view that has its new registration.
//! - *Draining.* Objects are written and committed in two steps, by chunks of any length, by owner and rescuers.
//! - *Idle partitions* are released with `release` as soon as a seal quorum has answered.
//!
//! Bounds: two entries in the first journal (three in one large instance), one in the second; two rescuers; one lost
//! disk; one roll. Not modelled: what is in an entry, the bucket and the metadata's own log (both are taken to be
//! linearizable), and a second lost disk, which may lose data.
//!
//! # What is checked
//! In every state: whatever was acknowledged or became visible is at or before the journal's end once that is decided,
//! and is in the bucket or on a store that has it in truth and still has its disk; flushes join; nobody is acknowledged
//! after the partitions were given away. Over each search: every kind of answer and step that it is there for has
//! happened.
//!
//! Then each safety rule is switched off alone, and the search has to find the loss.
//!
//! `ESKER_MODEL_LARGE=1` searches larger instances (some minutes, some gigabytes).

#![expect(clippy::print_stdout, reason = "the sizes of the searches are worth reading")]

#[path = "model/search.rs"]
mod search;
#[path = "model/world.rs"]
mod world;

use esker_journal::Rules;
use search::search;
use world::{Bounds, Event, Goal, World};

/// One journal, two entries, two rescuers, a lost disk.
const RESCUE: Bounds = Bounds {
    entries: [2, 0],
    ack: 2,
    rescuers: 2,
    in_flight: false,
    wipes: 1,
    roll: false,
    flushes: false,
    images: false,
    restarts: false,
    trims: false,
    release: false,
    release_early: false,
    goal: Goal::None,
};

/// Every answer to an entry that a store gives without a lagging view, and what the owner makes of them.
const APPENDS: [Event; 5] =
    [Event::Taken, Event::HadAlready, Event::Gap, Event::RefusedSealed, Event::ToldAgain];

/// Nothing is lost, and each of these has happened: what holds does not hold because the search stops short.
fn holds(name: &str, bounds: Bounds, happens: &[Event]) {
    match search(World::new(bounds, Rules::SOUND)) {
        Ok(searched) => {
            println!("{name}: {} states, no violation; {:?}", searched.states, searched.events);
            let missing: Vec<_> =
                happens.iter().filter(|event| !searched.events.contains_key(event)).collect();
            assert!(missing.is_empty(), "{name}: never happened: {missing:?}");
        }
        Err(trace) => panic!("{name}: {trace}"),
    }
}

/// The rule is needed: without it something is lost.
fn breaks(name: &str, bounds: Bounds, rules: Rules) {
    match search(World::new(bounds, rules)) {
        Ok(searched) => panic!("{name}: nothing was lost in {} states", searched.states),
        Err(trace) => println!("{name}: {trace}"),
    }
}

/// The search gets as far as it should: what holds does not hold because nothing happens.
fn reaches(goal: Goal, bounds: Bounds) {
    match search(World::new(Bounds { goal, ..bounds }, Rules::SOUND)) {
        Ok(searched) => panic!("{goal:?} is not among {} states", searched.states),
        Err(trace) => assert!(trace.starts_with("reached"), "{trace}"),
    }
}

fn large() -> bool {
    std::env::var_os("ESKER_MODEL_LARGE").is_some()
}

#[test]
fn two_rescuers_and_a_lost_disk_lose_nothing() {
    let happens = [
        &APPENDS[..],
        &[Event::SealAnswered, Event::NotCounted, Event::Copied, Event::TailFixed],
        &[Event::TailFixedBefore, Event::Chunk, Event::LastChunk, Event::DrainRefused],
        &[Event::RefusedLost, Event::GivenAway],
    ];
    holds("rescue", RESCUE, &happens.concat());
    if large() {
        // Three entries with a lost disk are more states than a machine holds.
        let happens: Vec<_> = happens.concat();
        let without: Vec<_> = happens
            .into_iter()
            .filter(|event| !matches!(event, Event::NotCounted | Event::RefusedLost))
            .collect();
        holds("rescue, large", Bounds { entries: [3, 0], wipes: 0, ..RESCUE }, &without);
    }
}

#[test]
fn a_rescue_amid_flushes_and_trims_loses_nothing() {
    let bounds = Bounds { rescuers: 1, flushes: true, trims: true, release: true, ..RESCUE };
    let happens = [Event::Trimmed, Event::Released, Event::DrainRefused, Event::GivenAway];
    holds("flushes", bounds, &happens);
    if large() {
        holds("flushes, large", Bounds { rescuers: 2, wipes: 0, ..bounds }, &happens);
    }
}

#[test]
fn crashes_between_taking_and_syncing_lose_nothing() {
    let bounds = Bounds { rescuers: 1, in_flight: true, ..RESCUE };
    let happens = [
        &APPENDS[..],
        &[Event::Told, Event::Silent, Event::LostInFlight, Event::SealBegun, Event::SealAwaited],
        &[Event::SealAnswered, Event::SealCounted, Event::Copied, Event::TailFixed],
    ];
    holds("in flight", bounds, &happens.concat());
    if large() {
        // Two rescuers and a lost disk are more states than a machine holds.
        holds("in flight, large", Bounds { rescuers: 2, wipes: 0, ..bounds }, &happens.concat());
    }
}

#[test]
fn a_roll_at_any_moment_loses_nothing() {
    let bounds = Bounds { entries: [2, 1], rescuers: 1, roll: true, wipes: 0, ..RESCUE };
    let happens = [Event::Rolled, Event::RollRefused, Event::TailFixed, Event::LastChunk];
    holds("roll", bounds, &happens);
    holds("roll, lost disk", Bounds { entries: [1, 1], wipes: 1, ..bounds }, &happens);
    if large() {
        holds("roll, large", Bounds { wipes: 1, flushes: true, ..bounds }, &happens);
    }
}

#[test]
fn stores_create_and_forget_by_the_metadata() {
    let bounds = Bounds { rescuers: 1, images: true, ..RESCUE };
    let happens = [Event::RefusedUnknown, Event::Forgotten, Event::SealAnswered];
    holds("images", bounds, &happens);
    if large() {
        holds("images, large", Bounds { rescuers: 2, ..bounds }, &happens);
    }
}

#[test]
fn stores_that_start_anew_do_not_bring_a_closed_journal_back() {
    let bounds = Bounds { rescuers: 1, images: true, restarts: true, wipes: 0, ..RESCUE };
    let happens = [Event::RefusedUnknown, Event::Forgotten, Event::Restarted, Event::GivenAway];
    holds("restarts", bounds, &happens);
    if large() {
        holds("restarts, large", Bounds { rescuers: 2, wipes: 1, ..bounds }, &happens);
    }
}

#[test]
fn other_quorums_hold_too() {
    holds("3 of 3", Bounds { ack: 3, ..RESCUE }, &[Event::DrainedFirst, Event::Copied]);
    // One copy: a lost disk is a lost journal.
    holds("1 of 3", Bounds { ack: 1, wipes: 0, ..RESCUE }, &[Event::SealAnswered]);
}

#[test]
fn the_search_gets_everywhere() {
    let rolling = Bounds { entries: [1, 1], roll: true, rescuers: 1, ..RESCUE };
    reaches(Goal::Rescued, RESCUE);
    reaches(Goal::Rolled, rolling);
    reaches(Goal::Forgotten, Bounds { images: true, rescuers: 1, ..RESCUE });
    reaches(Goal::DrainedFirst, Bounds { ack: 3, ..RESCUE });
}

#[test]
fn a_tail_from_too_few_sealed_stores_loses() {
    breaks("seal quorum S−1", RESCUE, Rules { seal_quorum: false, ..Rules::SOUND });
}

#[test]
fn a_recovery_that_only_reads_loses() {
    breaks("no seal", RESCUE, Rules { recovery_seals: false, ..Rules::SOUND });
}

#[test]
fn a_sealed_store_that_takes_entries_loses() {
    breaks("append after seal", RESCUE, Rules { sealed_refuses: false, ..Rules::SOUND });
}

#[test]
fn a_store_that_takes_entries_with_a_gap_loses() {
    breaks("gap taken", RESCUE, Rules { no_gaps: false, ..Rules::SOUND });
    let in_flight = Bounds { rescuers: 1, wipes: 0, in_flight: true, ..RESCUE };
    breaks("gap taken, in flight", in_flight, Rules { no_gaps: false, ..Rules::SOUND });
}

#[test]
fn a_wiped_store_that_is_counted_loses() {
    breaks("wiped store counted", RESCUE, Rules { lost_is_not_counted: false, ..Rules::SOUND });
}

#[test]
fn the_smallest_answer_as_tail_loses() {
    breaks("tail is min", RESCUE, Rules { tail_is_max: false, ..Rules::SOUND });
}

#[test]
fn a_tail_on_one_store_loses() {
    breaks("tail not copied", RESCUE, Rules { tail_is_copied: false, ..Rules::SOUND });
}

#[test]
fn acknowledging_copied_entries_loses() {
    breaks("copies acknowledged", RESCUE, Rules { copies_are_silent: false, ..Rules::SOUND });
}

#[test]
fn a_roll_below_what_was_acknowledged_loses() {
    let bounds = Bounds { entries: [2, 1], roll: true, rescuers: 0, ..RESCUE };
    breaks("roll end too low", bounds, Rules { roll_ends_at_commit: false, ..Rules::SOUND });
}

#[test]
fn acknowledging_during_a_roll_loses() {
    let bounds = Bounds { entries: [2, 1], roll: true, rescuers: 0, ..RESCUE };
    breaks("no freeze", bounds, Rules { roll_freezes: false, ..Rules::SOUND });
}

#[test]
fn rolling_while_being_sealed_loses() {
    let bounds = Bounds { entries: [1, 1], roll: true, rescuers: 1, wipes: 0, ..RESCUE };
    breaks("roll while sealing", bounds, Rules { sealing_does_not_roll: false, ..Rules::SOUND });
}

#[test]
fn flushes_out_of_order_repeat_entries() {
    breaks("no compare on drain", RESCUE, Rules { drain_in_order: false, ..Rules::SOUND });
}

#[test]
fn creating_without_the_metadata_loses() {
    let bounds = Bounds { rescuers: 1, images: true, wipes: 0, ..RESCUE };
    breaks("created by a message", bounds, Rules { created_by_row: false, ..Rules::SOUND });
}

#[test]
fn forgetting_a_seal_too_early_loses() {
    let bounds = Bounds { rescuers: 1, images: true, wipes: 0, ..RESCUE };
    breaks("forgotten too early", bounds, Rules { forgotten_by_row: false, ..Rules::SOUND });
}

#[test]
fn an_old_view_after_a_restart_loses() {
    let bounds = Bounds { rescuers: 1, images: true, restarts: true, wipes: 0, ..RESCUE };
    breaks("old view after a restart", bounds, Rules { registered_first: false, ..Rules::SOUND });
}

#[test]
fn trimming_what_is_not_drained_loses() {
    let bounds = Bounds { rescuers: 0, trims: true, wipes: 0, ..RESCUE };
    breaks("trim at commit", bounds, Rules { trim_after_drain: false, ..Rules::SOUND });
}

#[test]
fn releasing_idle_partitions_before_the_seal_loses() {
    let bounds = Bounds { release: true, release_early: true, wipes: 0, rescuers: 1, ..RESCUE };
    breaks("early release", bounds, Rules::SOUND);
}

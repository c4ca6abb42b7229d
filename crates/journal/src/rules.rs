//! The safety rules, one switch each, so that the model can show what each of them prevents.

/// Safety rules in force. Production code uses [`Rules::SOUND`] and nothing else; the model switches single rules
/// off and expects to lose data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    /// A tail needs S sealed stores; off: S − 1.
    pub seal_quorum: bool,
    /// A sealed store takes no entries.
    pub sealed_refuses: bool,
    /// A store takes only the entry that continues its copy; off: any later one too.
    pub no_gaps: bool,
    /// A store that lost data is not counted; off: it answers "nothing here".
    pub lost_is_not_counted: bool,
    /// The tail is the largest durable point of the sealed stores; off: the smallest.
    pub tail_is_max: bool,
    /// Entries up to a tail are on A stores before it is fixed.
    pub tail_is_copied: bool,
    /// A roll's end is the commit point; off: one entry before it.
    pub roll_ends_at_commit: bool,
    /// Nothing is exposed beyond the end that a roll proposes.
    pub roll_freezes: bool,
    /// A journal that is being sealed does not roll.
    pub sealing_does_not_roll: bool,
    /// A flush names where the last one ended.
    pub drain_in_order: bool,
    /// A store creates a journal only when its view of the metadata says that it is open.
    pub created_by_row: bool,
    /// A store forgets a journal only when its view of the metadata says that it is closed.
    pub forgotten_by_row: bool,
    /// A store that starts anew takes entries only when its view of the metadata has its own registration, and by that all that it
    /// had seen before; off: its first view may be an old one.
    pub registered_first: bool,
    /// A sealed store does not acknowledge the entries that a rescuer copies to it.
    pub copies_are_silent: bool,
    /// A store trims what the metadata says is drained; off: what the owner says is committed.
    pub trim_after_drain: bool,
    /// Asking for a durable point seals; off: recovery just reads it.
    pub recovery_seals: bool,
}

impl Rules {
    /// All rules.
    pub const SOUND: Self = Self {
        seal_quorum: true,
        sealed_refuses: true,
        no_gaps: true,
        lost_is_not_counted: true,
        tail_is_max: true,
        tail_is_copied: true,
        roll_ends_at_commit: true,
        roll_freezes: true,
        sealing_does_not_roll: true,
        drain_in_order: true,
        created_by_row: true,
        forgotten_by_row: true,
        registered_first: true,
        copies_are_silent: true,
        trim_after_drain: true,
        recovery_seals: true,
    };
}

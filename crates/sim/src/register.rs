//! A number that clients set to ever larger ones, and which of them it may be now.
//!
//! A request that was not answered may take effect long after its connection broke: its bytes were under way. So an attempt
//! stays possible behind later ones that were acknowledged, until the node that could get it is no more.

use std::collections::BTreeMap;

/// How often a request may have been sent for one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Once: with its answer it has had its effect.
    Once,
    /// Again where no answer came: one of them may come after the answer.
    Repeatedly,
}

/// What is known of such a number.
#[derive(Debug, Clone)]
pub struct Register {
    /// The largest that was acknowledged, -1 for none.
    acked: i64,
    /// The largest that was tried, -1 for none.
    tried: i64,
    /// What may take effect yet, or has: the life of the nodes in which it was sent.
    under_way: BTreeMap<i64, u64>,
}

impl Default for Register {
    fn default() -> Self {
        Self { acked: -1, tried: -1, under_way: BTreeMap::new() }
    }
}

impl Register {
    /// The largest that was tried, -1 for none.
    #[must_use]
    pub fn tried(&self) -> i64 {
        self.tried
    }

    /// Whether anything was ever acknowledged.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.acked >= 0
    }

    /// Notes an attempt.
    pub fn attempt(&mut self, value: i64, life: u64) {
        self.tried = self.tried.max(value);
        self.under_way.insert(value, life);
    }

    /// Notes an acknowledgement in `life`. What was sent in earlier ones lies before it or never happened.
    pub fn acknowledge(&mut self, value: i64, life: u64, sent: Sent) {
        self.acked = self.acked.max(value);
        self.under_way.retain(|_, of| *of >= life);
        if sent == Sent::Once {
            self.under_way.remove(&value);
        }
    }

    /// Whether it may be `value` now.
    #[must_use]
    pub fn allows(&self, value: i64) -> bool {
        value == self.acked || self.under_way.contains_key(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(register: &Register) -> Vec<i64> {
        (-1..10).filter(|value| register.allows(*value)).collect()
    }

    #[test]
    fn what_was_not_answered_may_come_late_and_what_was_overwritten_may_not() {
        let mut register = Register::default();
        assert_eq!(allowed(&register), [-1]);
        register.attempt(1, 1);
        assert_eq!(allowed(&register), [-1, 1]);
        register.acknowledge(1, 1, Sent::Once);
        register.attempt(2, 1);
        register.attempt(3, 1);
        register.acknowledge(3, 1, Sent::Once);
        assert_eq!(allowed(&register), [2, 3]);
        register.attempt(4, 1);
        register.acknowledge(4, 1, Sent::Once);
        assert_eq!(allowed(&register), [2, 4]);
    }

    #[test]
    fn what_was_sent_to_a_node_that_is_no_more_comes_before_the_next_acknowledgement() {
        let mut register = Register::default();
        register.attempt(1, 1);
        register.attempt(2, 1);
        register.acknowledge(2, 1, Sent::Repeatedly);
        register.attempt(3, 1);
        register.acknowledge(3, 1, Sent::Repeatedly);
        assert_eq!(allowed(&register), [1, 2, 3]);
        register.attempt(4, 2);
        assert_eq!(allowed(&register), [1, 2, 3, 4]);
        register.acknowledge(4, 2, Sent::Once);
        assert_eq!(allowed(&register), [4]);
    }
}

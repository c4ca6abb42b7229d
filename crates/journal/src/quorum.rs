//! Numbers of stores.

use esker_types::Seq;
use serde::{Deserialize, Serialize};

/// Most stores that a journal can have.
pub const ENSEMBLE_MAX: usize = 7;

/// How many stores a journal has and how many acknowledge an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quorum {
    stores: u8,
    ack: u8,
}

impl Quorum {
    /// `ack` of `stores`; `None` unless `1 ≤ ack ≤ stores ≤ `[`ENSEMBLE_MAX`].
    #[must_use]
    pub fn new(stores: u8, ack: u8) -> Option<Self> {
        let sound = ack >= 1 && ack <= stores && usize::from(stores) <= ENSEMBLE_MAX;
        sound.then_some(Self { stores, ack })
    }

    /// N: stores of the journal.
    #[must_use]
    pub fn stores(self) -> usize {
        usize::from(self.stores)
    }

    /// A: stores that have to hold an entry before it is acknowledged.
    #[must_use]
    pub fn ack(self) -> usize {
        usize::from(self.ack)
    }

    /// S = N − A + 1: stores that have to be sealed before a tail is known.
    #[must_use]
    pub fn seal(self) -> usize {
        self.stores() + 1 - self.ack()
    }

    /// The largest entry that A of these durable points have reached.
    #[must_use]
    pub fn commit(self, durable: &[Seq; ENSEMBLE_MAX]) -> Seq {
        let mut sorted = *durable;
        let points = &mut sorted[..self.stores()];
        points.sort_unstable();
        points[self.stores() - self.ack()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledging_and_a_sealed_set_always_meet() {
        for stores in 1..=7 {
            for ack in 1..=stores {
                let quorum = Quorum::new(stores, ack).unwrap();
                assert_eq!(quorum.ack() + quorum.seal(), quorum.stores() + 1);
            }
        }
        assert_eq!(Quorum::new(3, 4), None);
        assert_eq!(Quorum::new(3, 0), None);
        assert_eq!(Quorum::new(8, 1), None);
    }

    #[test]
    fn the_commit_point_is_what_the_quorum_has() {
        let quorum = Quorum::new(3, 2).unwrap();
        let mut durable = [Seq::NONE; ENSEMBLE_MAX];
        durable[..3].copy_from_slice(&[Seq(7), Seq(2), Seq(5)]);
        assert_eq!(quorum.commit(&durable), Seq(5));
        assert_eq!(Quorum::new(1, 1).unwrap().commit(&durable), Seq(7));
    }
}

//! Who takes over from a registration that is dead.

use super::Outcome;
use crate::reply::{Rejected, Reply};
use crate::state::{RegistrationId, State};

impl State {
    pub(super) fn claim_rescue(
        &mut self,
        dead: RegistrationId,
        rescuer: RegistrationId,
    ) -> Outcome {
        if self.is_registered(dead) {
            return Err(Rejected::BrokerAlive(dead.broker));
        }
        let taken = self.rescuers.get(&dead).copied();
        if let Some(other) = taken.filter(|other| *other != rescuer && self.is_registered(*other)) {
            return Err(Rejected::RescuedBy(other.broker));
        }
        // Who had taken over from it is dead, too, and has written behind it: both go to one.
        let dead = taken
            .filter(|other| *other != rescuer && self.leaves_something(*other))
            .unwrap_or(dead);
        // What it had taken over comes along: a partition's records may stand in the journals of both.
        let inherited = self.rescuers.iter().filter(|(_, by)| **by == dead).map(|(of, _)| *of);
        let claimed: Vec<_> = inherited.chain([dead]).collect();
        let rescuers = self.rescuers.iter().filter(|(of, _)| self.leaves_something(**of));
        self.rescuers = rescuers.map(|(of, by)| (*of, *by)).collect();
        for of in claimed {
            self.rescuers.insert(of, rescuer);
        }
        Ok(Reply::Done)
    }

    /// Whether this registration is its broker's current one, and thought alive.
    #[must_use]
    pub fn is_registered(&self, id: RegistrationId) -> bool {
        let row = self.brokers.get(&id.broker);
        row.is_some_and(|row| row.is_alive() && row.incarnation == id.incarnation)
    }

    /// Whether it still has journals or leads partitions.
    fn leaves_something(&self, id: RegistrationId) -> bool {
        let of_journal =
            |j: &crate::Journal| (j.owner, j.incarnation) == (id.broker, id.incarnation);
        let leads =
            |p: &crate::Partition| (p.leader, p.leader_incarnation) == (id.broker, id.incarnation);
        self.journals.values().any(of_journal) || self.partitions.values().any(|row| leads(row))
    }

    /// Registrations that are dead, have left journals or partitions, and that nobody who is alive has taken over. Who takes
    /// over from one of them takes over, too, what that had taken over: what comes along so is not among them.
    #[must_use]
    pub fn orphans(&self) -> Vec<RegistrationId> {
        let owners = self.journals.values().map(|j| (j.owner, j.incarnation));
        let leaders = self.partitions.values().map(|p| (p.leader, p.leader_incarnation));
        let all = owners.chain(leaders);
        let all = all.map(|(broker, incarnation)| RegistrationId { broker, incarnation });
        let distinct: std::collections::BTreeSet<_> = all.collect();
        let comes_along = |id: &RegistrationId| {
            let rescuer = self.rescuers.get(id);
            rescuer.is_some_and(|by| self.is_registered(*by) || distinct.contains(by))
        };
        let orphan = |id: &&RegistrationId| !self.is_registered(**id) && !comes_along(id);
        distinct.iter().filter(orphan).copied().collect()
    }
}

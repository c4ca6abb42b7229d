//! Founding, registration, settings.

use super::Outcome;
use crate::command::{ConfigChange, Registration};
use crate::reply::{Rejected, Reply};
use crate::state::{Broker, BrokerState, State};
use esker_types::{BrokerId, ClusterId, Incarnation};
use std::sync::Arc;

impl State {
    pub(super) fn found_cluster(&mut self, cluster: ClusterId) -> Outcome {
        if self.cluster == ClusterId::ZERO {
            self.cluster = cluster;
        }
        if self.cluster == cluster {
            Ok(Reply::Done)
        } else {
            Err(Rejected::OtherCluster(self.cluster))
        }
    }

    /// Refuses a second process under the number of one that is thought alive. The same disk may come back at once: its lock
    /// says that the process before is gone.
    pub(super) fn check_disk(&self, id: BrokerId, new: &Registration) -> Result<(), Rejected> {
        let Some(known) = self.brokers.get(&id) else { return Ok(()) };
        let is_same = known.process == new.process
            || known.stores.iter().any(|store| new.stores.contains(store));
        if is_same || !known.is_alive() { Ok(()) } else { Err(Rejected::BrokerIdInUse(id)) }
    }

    pub(super) fn register_broker(
        &mut self,
        id: BrokerId,
        incarnation: Incarnation,
        new: &Registration,
    ) -> Reply {
        let known = self.brokers.get(&id);
        if let Some(known) = known
            && known.process == new.process
        {
            return Reply::Registered(known.incarnation);
        }
        let drained_by_operator = known.is_some_and(|known| known.drained_by_operator);
        // Whatever the broker's earlier registrations were doing ends here.
        self.seal_journals(id);
        let row = Broker {
            incarnation,
            process: new.process,
            host: new.host.clone(),
            port: new.port,
            peer: new.peer.clone(),
            rack: new.rack.clone(),
            stores: new.stores.clone(),
            state: serving(drained_by_operator),
            drained_by_operator,
        };
        self.brokers.insert(id, row);
        Reply::Registered(incarnation)
    }

    fn seal_journals(&mut self, owner: BrokerId) {
        let owned = self.journals.iter().filter(|(_, journal)| journal.owner == owner);
        let owned: Vec<_> = owned.map(|(journal, stored)| (*journal, stored.row())).collect();
        for (journal, mut row) in owned {
            row.fence();
            self.store_row(journal, &row);
        }
    }

    pub(super) fn fence_broker(&mut self, id: BrokerId, incarnation: Incarnation) {
        let Some(row) = self.brokers.get_mut(&id) else { return };
        if row.incarnation == incarnation && row.is_alive() {
            row.state = BrokerState::Fenced;
            self.seal_journals(id);
        }
    }

    pub(super) fn set_drained(&mut self, id: BrokerId, drained: bool) -> Outcome {
        let row = self.brokers.get_mut(&id).ok_or(Rejected::UnknownBroker(id))?;
        row.drained_by_operator = drained;
        if row.is_alive() {
            row.state = serving(drained);
        }
        Ok(Reply::Done)
    }

    pub(super) fn remove_broker(&mut self, id: BrokerId) -> Outcome {
        let Some(row) = self.brokers.get(&id) else { return Ok(Reply::Done) };
        if row.is_alive() {
            return Err(Rejected::BrokerAlive(id));
        }
        let led = self.partitions.values().filter(|row| row.leader == id).count();
        let held = self.journals.values().filter(|journal| {
            journal.owner == id || journal.ensemble.iter().any(|store| row.stores.contains(store))
        });
        let held = held.count();
        if led > 0 || held > 0 {
            return Err(Rejected::BrokerHolds { broker: id, partitions: led, journals: held });
        }
        self.brokers.remove(&id);
        self.moves =
            self.moves.iter().filter(|(_, to)| **to != id).map(|(pid, to)| (*pid, *to)).collect();
        Ok(Reply::Done)
    }

    pub(super) fn alter_configs(&mut self, changes: &[ConfigChange]) -> Outcome {
        for change in changes {
            if let ConfigChange::Topic(topic, ..) = change
                && !self.topics.contains_key(topic)
            {
                return Err(Rejected::UnknownTopic(*topic));
            }
        }
        for change in changes {
            match change {
                ConfigChange::Topic(id, key, value) => {
                    if let Some(topic) = self.topics.get_mut(id) {
                        let configs = &mut Arc::make_mut(topic).configs;
                        match value {
                            Some(value) => configs.insert(key.clone(), value.clone()),
                            None => configs.remove(key),
                        };
                    }
                }
                ConfigChange::Resource(resource, key, value) => {
                    let configs = self.configs.entry(resource.clone()).or_default();
                    match value {
                        Some(value) => configs.insert(key.clone(), value.clone()),
                        None => configs.remove(key),
                    };
                    if configs.is_empty() {
                        self.configs.remove(resource);
                    }
                }
            }
        }
        Ok(Reply::Done)
    }

    /// The registration of `broker` that may lead now.
    pub(super) fn current_incarnation(&self, broker: BrokerId) -> Option<Incarnation> {
        self.brokers.get(&broker).map(|row| row.incarnation)
    }
}

/// What a broker is that is there.
const fn serving(drained: bool) -> BrokerState {
    if drained { BrokerState::Draining } else { BrokerState::Active }
}

//! Founding, registration, settings.

use super::Outcome;
use crate::command::ConfigChange;
use crate::reply::{Rejected, Reply};
use crate::state::{Broker, BrokerState, State};
use esker_types::{BrokerId, ClusterId, Incarnation, StoreId};
use std::sync::Arc;

/// The row of a broker that registers.
pub(super) fn registration(
    incarnation: Incarnation,
    process: u128,
    host: &str,
    port: u16,
    rack: Option<&str>,
    stores: &[StoreId],
) -> Broker {
    Broker {
        incarnation,
        process,
        host: host.to_owned(),
        port,
        rack: rack.map(str::to_owned),
        stores: stores.to_vec(),
        state: BrokerState::Active,
    }
}

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

    pub(super) fn register_broker(&mut self, id: BrokerId, entry: Broker) -> Reply {
        if let Some(known) = self.brokers.get(&id)
            && known.process == entry.process
        {
            return Reply::Registered(known.incarnation);
        }
        // Whatever the broker's earlier registrations were doing ends here.
        let owned = self.journals.iter().filter(|(_, journal)| journal.owner == id);
        let owned: Vec<_> = owned.map(|(journal, stored)| (*journal, stored.row())).collect();
        for (journal, mut row) in owned {
            row.fence();
            self.store_row(journal, &row);
        }
        let incarnation = entry.incarnation;
        self.brokers.insert(id, entry);
        Reply::Registered(incarnation)
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

//! The pure function: state and command to state and reply.
//!
//! Every handler first checks everything, then changes: a rejected command leaves nothing behind but the clock and
//! the index.

mod broker;
mod journal;
mod object;
mod producers;
mod rescue;
mod topic;

use crate::command::{Command, Proposal, Registration};
use crate::reply::{Rejected, Reply};
use crate::state::{RegistrationId, State};
use esker_types::{BrokerId, Bug, Incarnation, planted};

/// What a handler returns; a rejection becomes a reply.
type Outcome = Result<Reply, Rejected>;

impl State {
    /// Applies the command at log index `index`.
    ///
    /// # Panics
    /// When `index` is not above the last applied one: the log was not replayed in order.
    pub fn apply(&mut self, index: u64, proposal: &Proposal) -> Reply {
        assert!(index > self.applied, "metadata index {index} after {}", self.applied);
        self.applied = index;
        self.clock = self.clock.max(proposal.now);
        self.dispatch(index, &proposal.command).unwrap_or_else(Reply::Rejected)
    }

    fn dispatch(&mut self, index: u64, command: &Command) -> Outcome {
        match command {
            Command::Noop => Ok(Reply::Done),
            Command::FoundCluster { cluster } => self.found_cluster(*cluster),
            Command::RegisterBroker { broker, process, host, port, rack, stores } => {
                let registration = Registration {
                    process: *process,
                    host: host.clone(),
                    port: *port,
                    peer: None,
                    rack: rack.clone(),
                    stores: stores.clone(),
                };
                Ok(self.register_broker(*broker, Incarnation(index), &registration))
            }
            Command::Register { broker, registration } => {
                self.check_disk(*broker, registration)?;
                Ok(self.register_broker(*broker, Incarnation(index), registration))
            }
            Command::FenceBroker { broker, incarnation } => {
                self.fence_broker(*broker, *incarnation);
                Ok(Reply::Done)
            }
            Command::DrainBroker { broker } => self.set_drained(*broker, true),
            Command::ResumeBroker { broker } => self.set_drained(*broker, false),
            Command::RemoveBroker { broker } => self.remove_broker(*broker),
            Command::ClaimRescue { broker, incarnation, dead } => {
                self.fence(*broker, *incarnation)?;
                let (broker, incarnation) = (*broker, *incarnation);
                self.claim_rescue(*dead, RegistrationId { broker, incarnation })
            }
            Command::TransferLeaders { broker, incarnation, partitions } => {
                self.fence(*broker, *incarnation)?;
                Ok(self.transfer_leaders(*broker, *incarnation, partitions))
            }
            Command::MoveLeaders { moves } => self.move_leaders(moves),
            Command::CreateTopic { topic, name, partitions, replication_factor, configs } => {
                self.create_topic(*topic, name, partitions, *replication_factor, configs)
            }
            Command::DeleteTopic { topic } => self.delete_topic(*topic),
            Command::CreatePartitions { topic, expect, partitions } => {
                self.create_partitions(*topic, *expect, partitions)
            }
            Command::AlterConfigs { changes } => self.alter_configs(changes),
            Command::AllocateObjectIds { broker, incarnation, count } => {
                self.fence(*broker, *incarnation)?;
                Ok(self.allocate_object_ids(*broker, *incarnation, *count))
            }
            Command::ExpireBlock { first } => {
                self.expire_block(*first);
                Ok(Reply::Done)
            }
            Command::GiveUpObjectIds { broker, incarnation, objects } => {
                self.fence(*broker, *incarnation)?;
                self.give_up_object_ids(*broker, *incarnation, objects);
                Ok(Reply::Done)
            }
            Command::AllocateProducerIds { broker, incarnation, count } => {
                self.fence(*broker, *incarnation)?;
                let first = self.next_producer;
                if !planted(Bug::ProducerIdsReused) {
                    self.next_producer += i64::from(*count);
                }
                Ok(Reply::ProducerIds(first))
            }
            Command::OpenJournal { broker, incarnation, shard, ensemble, ack_quorum, request } => {
                self.fence(*broker, *incarnation)?;
                let opening = journal::Opening {
                    owner: *broker,
                    incarnation: *incarnation,
                    shard: *shard,
                    ensemble,
                    ack_quorum: *ack_quorum,
                    request: *request,
                };
                self.open_journal(index, &opening)
            }
            Command::RollJournal {
                broker,
                incarnation,
                journal,
                end,
                ensemble,
                ack_quorum,
                request,
            } => {
                self.fence(*broker, *incarnation)?;
                self.roll_journal(index, *journal, *end, ensemble, *ack_quorum, *request)
            }
            Command::FixTail { journal, tail } => self.fix_tail(*journal, *tail),
            Command::ElectLeaders { broker, incarnation, partitions } => {
                self.fence(*broker, *incarnation)?;
                Ok(self.elect_leaders(*broker, *incarnation, partitions))
            }
            Command::CommitFlush { broker, incarnation, journal, after, upto, objects, parts } => {
                self.fence(*broker, *incarnation)?;
                let flush = journal::Flush { journal: *journal, after: *after, upto: *upto };
                self.commit_flush(*broker, *incarnation, &flush, objects, parts)
            }
            Command::SetLogStart { broker, incarnation, partitions } => {
                self.fence(*broker, *incarnation)?;
                self.set_log_start(partitions);
                Ok(Reply::Done)
            }
            Command::ReplaceExtents { broker, incarnation, objects, swaps } => {
                self.fence(*broker, *incarnation)?;
                self.replace_extents(*broker, *incarnation, objects, swaps)
            }
            Command::SpillManifest { broker, incarnation, partition, expect, manifest, len } => {
                self.fence(*broker, *incarnation)?;
                self.spill_manifest(*broker, *incarnation, *partition, expect, manifest, *len)
            }
            Command::KeepProducers { broker, incarnation, objects, partitions } => {
                self.fence(*broker, *incarnation)?;
                self.keep_producers(*broker, *incarnation, objects, partitions)
            }
            Command::BindVoter { node, directory } => match self.voters.get(node) {
                Some(known) if known != directory => Err(Rejected::OtherVoter(*node, *known)),
                _ => {
                    self.voters.insert(*node, *directory);
                    Ok(Reply::Done)
                }
            },
            Command::ProveTimes { broker, incarnation } => {
                self.fence(*broker, *incarnation)?;
                if self.times_proved.is_empty() {
                    self.times_proved.insert(self.next_object, self.clock);
                }
                Ok(Reply::Done)
            }
            Command::ConfirmDeleted { objects } => {
                for object in objects {
                    self.garbage.remove(object);
                }
                Ok(Reply::Done)
            }
        }
    }

    /// Refuses a proposer that is not the broker's current registration, or is thought dead.
    fn fence(&self, broker: BrokerId, incarnation: Incarnation) -> Result<(), Rejected> {
        match self.brokers.get(&broker) {
            None => Err(Rejected::UnknownBroker(broker)),
            Some(current) if current.incarnation == incarnation && current.is_alive() => Ok(()),
            Some(_) => Err(Rejected::Fenced(broker)),
        }
    }
}

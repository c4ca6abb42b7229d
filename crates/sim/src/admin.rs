//! Clients that change things: topics, settings, trims; and members of a group.

use crate::clients::{Clients, RETAINED, TOPICS, pick, targets};
use crate::effects::Effect;
use crate::model::{Oracle, Target};
use crate::readers::{SET, SETTING, consumer_options};
use crate::register::Sent;
use crate::time::within;
use bytes::Bytes;
use esker_client::{
    At, ClientError, ConfigOp, ConfigResource, Consumer, GroupMember, GroupOptions, NewTopic,
    Outgoing, Position, Producer, ProducerOptions,
};
use esker_env::Entropy;
use esker_wire::ErrorCode;
use std::collections::BTreeMap;
use std::time::Duration;

/// The group with members.
pub(crate) const MEMBERS: &str = "sim-members";
/// The topic that is deleted and made again.
const AGAIN: &str = "sim-again";
/// The topic whose records are stamped by one clock and then by the other.
pub(crate) const STAMPED: &str = "sim-b";
/// Smallest value of the setting that is raised: above any batch.
const SETTING_BASE: i64 = 2_000_000;

/// Twenty years.
const RETENTION_MS: i64 = 20 * 365 * 86_400_000;

impl Clients {
    /// Makes the lasting topics where they are not there.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn make_topics(&self) -> Result<(), ClientError> {
        for (name, partitions) in TOPICS {
            // Walls jump here, and no jump comes near it: what it takes, it takes by a header that lied.
            let mut configs = vec![("retention.ms".to_owned(), RETENTION_MS.to_string())];
            if name == RETAINED {
                let bytes = 50_000;
                configs.push(("retention.bytes".to_owned(), bytes.to_string()));
                self.may_retain(bytes);
            }
            self.make_topic(name, partitions, configs).await?;
        }
        Ok(())
    }

    /// Retention may be told to leave so little from now on.
    fn may_retain(&self, bytes: u64) {
        let mut model = self.model.lock();
        for target in targets().filter(|(name, _)| *name == RETAINED) {
            let retained = &mut model.partitions.entry(target).or_default().retained;
            *retained = Some(retained.map_or(bytes, |least| least.min(bytes)));
        }
    }

    pub(crate) async fn make_topic(
        &self,
        name: &str,
        partitions: i32,
        configs: Vec<(String, String)>,
    ) -> Result<(), ClientError> {
        let topic = NewTopic { name: name.to_owned(), partitions, replication_factor: 1, configs };
        match self.client.create_topic(&topic, false).await {
            Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Deletes the oldest records of a partition.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn trim(&self) -> Result<(), ClientError> {
        let target = pick(&self.entropy);
        let offset = {
            let time = self.time();
            let mut model = self.model.lock();
            let Some(known) = model.partitions.get_mut(&target) else { return Ok(()) };
            let (low, high) = (known.trim_tried, known.end());
            let some = u64::try_from((high - low).max(1) / 2 + 1).expect("at least 1");
            let offset = low + i64::try_from(self.entropy.below(some)).expect("below an offset");
            let offset = if self.entropy.chance(25) { high } else { offset.min(high) };
            known.trim_tried = offset;
            model.tell(|h| h.trim(time, target, offset));
            offset
        };
        self.client.delete_records(target.0, &BTreeMap::from([(target.1, offset)])).await?;
        let mut model = self.model.lock();
        let known = model.partitions.entry(target).or_default();
        if offset > known.trimmed {
            self.trace.count(Effect::Trimmed);
        }
        known.trimmed = known.trimmed.max(offset);
        Ok(())
    }

    /// Makes a topic, writes to it, adds partitions, and mostly deletes it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn churn(&self) -> Result<(), ClientError> {
        let name = format!("churn-{:016x}", self.entropy.next_u64());
        self.make_topic(&name, 2, Vec::new()).await?;
        self.model.lock().topics.insert(name.clone(), true);
        self.trace.count(Effect::TopicMade);
        let mut producer = Producer::new(self.client.clone(), ProducerOptions::default())?;
        for _ in 0..20 {
            let value = Some(Bytes::from_static(&[b'c'; 300]));
            producer.send(&Outgoing { topic: name.clone(), value, ..Default::default() }).await?;
        }
        producer.flush().await?;
        if self.entropy.chance(30) {
            self.client.create_partitions(&name, 3, false).await?;
            self.trace.count(Effect::PartitionsAdded);
        }
        if self.entropy.chance(80) {
            self.model.lock().topics.insert(name.clone(), false);
            self.client.delete_topic(&name).await?;
            self.trace.count(Effect::TopicDeleted);
        }
        Ok(())
    }

    /// Makes the topic that comes and goes, writes to it, reads all of it, and deletes it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn again(&self) -> Result<(), ClientError> {
        self.make_topic(AGAIN, 1, Vec::new()).await?;
        let mut producer = Producer::new(self.client.clone(), ProducerOptions::default())?;
        let mut sent = Vec::new();
        for _ in 0..self.entropy.between(1, 8) {
            let value = Bytes::from(format!("again-{:016x}", self.entropy.next_u64()));
            sent.push(value.clone());
            let topic = AGAIN.to_owned();
            producer.send(&Outgoing { topic, value: Some(value), ..Default::default() }).await?;
        }
        producer.flush().await?;
        let wanted = [At::Start, At::End].map(|at| (AGAIN.to_owned(), 0, at));
        let mut edges = [0; 2];
        for (wanted, edge) in wanted.into_iter().zip(&mut edges) {
            let found = self.client.list_offsets(&[wanted], false).await?;
            *edge = found.into_values().next().map_or(0, |found| found.offset);
        }
        let [offset, end] = edges;
        let position = Position { topic: AGAIN.into(), partition: 0, offset, end: Some(end) };
        let mut consumer = Consumer::new(self.client.clone(), consumer_options(), vec![position]);
        while let Some(records) = consumer.next().await? {
            let mut model = self.model.lock();
            for record in records {
                model.again_read(AGAIN, &record.value.unwrap_or_default());
            }
        }
        if self.model.lock().deleted.contains_key(AGAIN) {
            self.trace.count(Effect::ComeAgain);
        }
        if self.entropy.chance(60) {
            self.client.delete_topic(AGAIN).await?;
            self.model.lock().deleted.entry(AGAIN).or_default().extend(sent);
            self.trace.count(Effect::DeletedToComeAgain);
        }
        Ok(())
    }

    /// Raises a setting of a topic, puts a new limit to the retained one, or has another one stamp its records by the
    /// broker's clock or the clients'.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn configure(&self) -> Result<(), ClientError> {
        let number = self.entropy.below(4);
        if number == 3 {
            let stamp = if self.entropy.chance(50) { "LogAppendTime" } else { "CreateTime" };
            let change = [ConfigOp::Set("message.timestamp.type".to_owned(), stamp.to_owned())];
            self.client.alter_configs(ConfigResource::Topic(STAMPED), &change, false).await?;
            self.trace.count(Effect::StampsChanged);
            return Ok(());
        }
        if number == 2 {
            let bytes = self.entropy.between(20_000, 90_000);
            self.may_retain(bytes);
            let change = [ConfigOp::Set("retention.bytes".to_owned(), bytes.to_string())];
            let topic = ConfigResource::Topic(RETAINED);
            self.client.alter_configs(topic, &change, false).await?;
            self.trace.count(Effect::RetentionChanged);
            return Ok(());
        }
        let topic = SET[usize::try_from(number).expect("0 or 1")];
        let value = {
            let mut model = self.model.lock();
            let life = model.life;
            let known = model.settings.entry(topic).or_default();
            let value = known.tried().max(SETTING_BASE) + 1;
            known.attempt(value, life);
            value
        };
        let change = [ConfigOp::Set(SETTING.to_owned(), value.to_string())];
        self.client.alter_configs(ConfigResource::Topic(topic), &change, false).await?;
        let mut model = self.model.lock();
        let life = model.life;
        model.settings.entry(topic).or_default().acknowledge(value, life, Sent::Once);
        self.trace.count(Effect::SettingRaised);
        Ok(())
    }

    /// Joins the group, reads and commits for a while, and leaves or just stops.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn be_a_member(&self) -> Result<(), ClientError> {
        let options = GroupOptions {
            session_timeout: Duration::from_secs(6),
            rebalance_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(1),
            reset: At::Start,
            consumer: consumer_options(),
        };
        let topics = vec!["sim-b".to_owned(), "sim-a".to_owned()];
        let mut member = GroupMember::new(self.client.clone(), MEMBERS.to_owned(), topics, options);
        for _ in 0..self.entropy.between(1, 12) {
            let patience = Duration::from_secs(20);
            let Some(records) = within(patience, member.next()).await else { break };
            let mut ends: BTreeMap<Target, i64> = BTreeMap::new();
            {
                let mut model = self.model.lock();
                for record in records? {
                    let target = targets().find(|(name, index)| {
                        **name == *record.topic && *index == record.partition
                    });
                    let Some(target) = target else {
                        let what = format!("a member was given {}", record.topic);
                        model.problem(Oracle::Group, ("?", record.partition), &what);
                        continue;
                    };
                    model.received(target, &record);
                    self.trace.count(Effect::MemberRead);
                    let end = ends.entry(target).or_default();
                    *end = record.offset + 1;
                }
                let life = model.life;
                for (target, end) in &ends {
                    model.committed.entry((MEMBERS, *target)).or_default().attempt(*end, life);
                }
            }
            let offsets =
                ends.iter().map(|((name, index), end)| ((String::from(*name), *index), *end));
            member.commit(&offsets.collect()).await?;
            let mut model = self.model.lock();
            let life = model.life;
            for (target, end) in ends {
                let known = model.committed.entry((MEMBERS, target)).or_default();
                known.acknowledge(end, life, Sent::Repeatedly);
                self.trace.count(Effect::MemberCommitted);
            }
        }
        if self.entropy.chance(60) {
            member.leave().await?;
            self.trace.count(Effect::MemberLeft);
        }
        Ok(())
    }
}

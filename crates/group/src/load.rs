//! Filling a shard from its log, and opening it.

use bytes::Bytes;
use esker_types::{MonoTime, Offset, Timestamp};

use crate::api::Effects;
use crate::classic::group::Group;
use crate::records::{Key, parse_group_value, parse_key, parse_offset_value};
use crate::shard::{Cx, GroupShard, Phase};

/// A record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {part} of the record at offset {offset} is damaged or of an unknown version")]
pub struct ReplayError {
    /// `key` or `value`.
    pub part: &'static str,
    /// Where it is in the partition.
    pub offset: Offset,
}

impl GroupShard {
    /// Applies a record of the log. Records of unknown types are kept for snapshots and otherwise ignored.
    ///
    /// # Errors
    /// [`ReplayError`]; the record has changed nothing, and the caller decides whether to go on.
    ///
    /// # Panics
    /// After [`Self::on_loaded`].
    pub fn replay(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        offset: Offset,
    ) -> Result<(), ReplayError> {
        assert!(self.phase == Phase::Loading, "records are replayed before the shard serves");
        let bad_value = |_| ReplayError { part: "value", offset };
        match parse_key(key).map_err(|_| ReplayError { part: "key", offset })? {
            Key::Offset(group, topic, partition) => {
                let parsed = value.map(parse_offset_value).transpose().map_err(bad_value)?;
                if parsed.is_some() {
                    self.groups.entry(group.clone()).or_insert_with(|| Group::new(group.clone()));
                }
                self.offsets.load(&group, &topic, partition, parsed);
            }
            Key::Group(id) => {
                let Some(value) = value else {
                    self.groups.remove(&id);
                    self.durable_groups.remove(&id);
                    return Ok(());
                };
                let record = parse_group_value(value).map_err(bad_value)?;
                let consistent =
                    record.consistent().ok_or(ReplayError { part: "value", offset })?;
                self.groups.insert(id.clone(), Group::from_record(id.clone(), consistent));
                self.durable_groups.insert(id, Bytes::copy_from_slice(value));
            }
            Key::Other => {
                let key = Bytes::copy_from_slice(key);
                match value {
                    Some(value) => self.opaque.insert(key, Bytes::copy_from_slice(value)),
                    None => self.opaque.remove(&key),
                };
            }
        }
        Ok(())
    }

    /// The log is replayed: the shard serves. Every member gets a full session to make itself heard.
    ///
    /// # Panics
    /// When called twice.
    pub fn on_loaded(&mut self, now: MonoTime, wall: Timestamp, out: &mut Effects) {
        assert!(self.phase == Phase::Loading, "a shard is loaded once");
        self.phase = Phase::Active;
        let mut cx = Cx { now, wall, out };
        let max = self.options.group_size_max();
        for id in self.groups.keys().cloned().collect::<Vec<_>>() {
            for member in self.group_mut(&id).member_ids() {
                self.restart_session(&id, &member, &cx);
            }
            if self.group_mut(&id).members().len() > max {
                self.prepare_rebalance(&id, "the group is larger than it may be", &mut cx);
            }
        }
        self.schedule_expiry(now);
    }
}

//! Raft's nouns as bytes, in a layout of our own: openraft may change its structs, the disk does not.

use crate::types::{Entry, LogId, Membership, Payload, Vote};
use esker_meta::Envelope;
use openraft::vote::{RaftLeaderId, RaftVote};
use openraft::{BasicNode, EntryPayload};
use std::collections::{BTreeMap, BTreeSet};

type LeaderId = openraft::alias::LeaderIdOf<crate::types::TypeConfig>;

/// Appends fixed-width little-endian fields.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A length, then the bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.u64(value as u64);
    }

    pub(crate) fn log_id(&mut self, id: &LogId) {
        let leader = id.committed_leader_id();
        self.u64(leader.term);
        self.u64(leader.node_id);
        self.u64(id.index());
    }

    pub(crate) fn maybe_log_id(&mut self, id: Option<&LogId>) {
        self.u8(u8::from(id.is_some()));
        if let Some(id) = id {
            self.log_id(id);
        }
    }

    pub(crate) fn vote(&mut self, vote: &Vote) {
        self.u64(vote.leader_id().term);
        self.u64(vote.leader_id().node_id);
        self.u8(u8::from(vote.is_committed()));
    }

    pub(crate) fn membership(&mut self, membership: &Membership) {
        let configs = membership.get_joint_config();
        self.count(configs.len());
        for config in configs {
            self.count(config.len());
            for voter in config {
                self.u64(*voter);
            }
        }
        let nodes: Vec<_> = membership.nodes().collect();
        self.count(nodes.len());
        for (id, node) in nodes {
            self.u64(*id);
            self.count(node.addr.len());
            self.0.extend_from_slice(node.addr.as_bytes());
        }
    }

    pub(crate) fn entry(&mut self, entry: &Entry) {
        self.log_id(&entry.log_id);
        match &entry.payload {
            EntryPayload::Blank => self.u8(0),
            EntryPayload::Normal(Payload(proposal)) => {
                self.u8(1);
                self.0.extend_from_slice(&Envelope::encode(proposal));
            }
            EntryPayload::Membership(membership) => {
                self.u8(2);
                self.membership(membership);
            }
        }
    }
}

/// Takes fields off the front. Every length is bounded by what is there.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

/// What a failed read says.
pub(crate) type Bad = String;

impl Reader<'_> {
    fn take(&mut self, len: usize) -> Result<&[u8], Bad> {
        let (head, rest) =
            self.0.split_at_checked(len).ok_or_else(|| "a record is cut short".to_owned())?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Bad> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Bad> {
        let word = self.take(8)?.first_chunk::<8>().expect("eight bytes were taken");
        Ok(u64::from_le_bytes(*word))
    }

    /// Bytes behind their length.
    pub(crate) fn bytes(&mut self) -> Result<&[u8], Bad> {
        let len = self.count(1)?;
        self.take(len)
    }

    /// A count of things that take at least `size` bytes each.
    pub(crate) fn count(&mut self, size: usize) -> Result<usize, Bad> {
        let count = usize::try_from(self.u64()?).map_err(|e| e.to_string())?;
        if count > self.0.len() / size {
            return Err(format!("{count} items do not fit in {} bytes", self.0.len()));
        }
        Ok(count)
    }

    pub(crate) fn log_id(&mut self) -> Result<LogId, Bad> {
        let (term, node) = (self.u64()?, self.u64()?);
        let index = self.u64()?;
        Ok(LogId::new(LeaderId::new(term, node).to_committed(), index))
    }

    pub(crate) fn maybe_log_id(&mut self) -> Result<Option<LogId>, Bad> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.log_id().map(Some),
            other => Err(format!("flag {other}")),
        }
    }

    pub(crate) fn vote(&mut self) -> Result<Vote, Bad> {
        let leader = LeaderId::new(self.u64()?, self.u64()?);
        match self.u8()? {
            0 => Ok(Vote::from_leader_id(leader, false)),
            1 => Ok(Vote::from_leader_id(leader, true)),
            other => Err(format!("flag {other}")),
        }
    }

    pub(crate) fn membership(&mut self) -> Result<Membership, Bad> {
        let mut configs = Vec::new();
        for _ in 0..self.count(8)? {
            let voters =
                (0..self.count(8)?).map(|_| self.u64()).collect::<Result<BTreeSet<_>, _>>()?;
            configs.push(voters);
        }
        let mut nodes = BTreeMap::new();
        for _ in 0..self.count(16)? {
            let id = self.u64()?;
            let len = self.count(1)?;
            let address = std::str::from_utf8(self.take(len)?).map_err(|e| e.to_string())?;
            nodes.insert(id, BasicNode::new(address));
        }
        Membership::new(configs, nodes).map_err(|e| e.to_string())
    }

    pub(crate) fn entry(&mut self) -> Result<Entry, Bad> {
        let log_id = self.log_id()?;
        let payload = match self.u8()? {
            0 => EntryPayload::Blank,
            1 => {
                let body = std::mem::take(&mut self.0);
                EntryPayload::Normal(Payload(Envelope::decode(body)?))
            }
            2 => EntryPayload::Membership(self.membership()?),
            other => return Err(format!("an entry of unknown kind {other}")),
        };
        Ok(Entry { log_id, payload })
    }

    pub(crate) fn end(&self) -> Result<(), Bad> {
        if self.0.is_empty() { Ok(()) } else { Err(format!("{} bytes too many", self.0.len())) }
    }
}

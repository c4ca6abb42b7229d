//! Objects: who may commit an id, who refers to it, when it may be deleted.
//!
//! An id commits only while its block is reserved, and a block is expired by a command: the log orders the two, so an
//! id of an expired block that is not committed can never be committed later, and its object may be deleted without
//! asking the bucket what it holds.

use super::Outcome;
use crate::command::{ExtentSwap, FlushedObject};
use crate::reply::{Rejected, Reply};
use crate::state::{Block, Extent, Garbage, ManifestRef, ObjectKind, ObjectRow, Partition, State};
use esker_types::{BrokerId, Bug, Incarnation, ObjectId, Offset, PartitionId, TopicId, planted};
use std::sync::Arc;

impl State {
    pub(super) fn allocate_object_ids(
        &mut self,
        broker: BrokerId,
        incarnation: Incarnation,
        count: u32,
    ) -> Reply {
        let first = self.next_object;
        self.next_object = ObjectId(first.0 + u64::from(count));
        self.blocks.insert(first, Block::new(count, broker, incarnation));
        Reply::ObjectIds(first)
    }

    pub(super) fn expire_block(&mut self, first: ObjectId) {
        let Some(block) = self.blocks.remove(&first) else { return };
        let (incarnation, since) = (block.incarnation, self.clock);
        for nth in (0..block.count).filter(|nth| !block.is_committed(*nth)) {
            let id = ObjectId(first.0 + u64::from(nth));
            self.garbage
                .insert(id, Garbage { incarnation, kind: ObjectKind::Flush, len: 0, since });
        }
    }

    /// Takes ids out of the hands of a registration that goes on. Their bits are set as if they had been committed: a
    /// proposal with one of them that was on its way all the while does nothing any more.
    pub(super) fn give_up_object_ids(
        &mut self,
        broker: BrokerId,
        incarnation: Incarnation,
        objects: &[ObjectId],
    ) {
        let since = self.clock;
        for id in objects {
            let Some((first, nth)) = self.place_of(*id) else { continue };
            let block = self.blocks.get_mut(&first).expect("it was found");
            if (block.owner, block.incarnation) == (broker, incarnation) && !block.is_committed(nth)
            {
                block.set_committed(nth);
                let garbage = Garbage { incarnation, kind: ObjectKind::Flush, len: 0, since };
                self.garbage.insert(*id, garbage);
            }
        }
    }

    /// Whether the id was committed before. Blocks of a running proposer are never expired, so a repeat of a command
    /// finds its answer here.
    pub(super) fn object_known(&self, id: ObjectId) -> bool {
        self.block_of(id).is_some_and(|(block, nth)| block.is_committed(nth))
    }

    fn block_of(&self, id: ObjectId) -> Option<(&Block, u32)> {
        let (first, nth) = self.place_of(id)?;
        Some((&self.blocks[&first], nth))
    }

    /// The first id of the block that an id is in, and its place there.
    fn place_of(&self, id: ObjectId) -> Option<(ObjectId, u32)> {
        let (first, block) = self.blocks.range(..=id).next_back()?;
        let nth = u32::try_from(id.0 - first.0).ok()?;
        (nth < block.count).then_some((*first, nth))
    }

    pub(super) fn check_new_objects(
        &self,
        broker: BrokerId,
        incarnation: Incarnation,
        objects: &[FlushedObject],
    ) -> Result<(), Rejected> {
        for new in objects {
            let (block, nth) =
                self.block_of(new.object).ok_or(Rejected::ForeignObject(new.object))?;
            if (block.owner, block.incarnation) != (broker, incarnation) {
                return Err(Rejected::ForeignObject(new.object));
            }
            if block.is_committed(nth) {
                return Err(Rejected::ObjectExists(new.object));
            }
        }
        Ok(())
    }

    pub(super) fn insert_object(&mut self, incarnation: Incarnation, new: &FlushedObject) {
        let row = ObjectRow {
            incarnation,
            kind: new.kind,
            len: new.len,
            meta_position: new.meta_position,
            references: Vec::new(),
            live_bytes: 0,
        };
        self.objects.insert(new.object, row);
        let place = self.place_of(new.object);
        let (first, nth) = place.expect("the object was checked to be in a block");
        self.blocks.get_mut(&first).expect("just found").set_committed(nth);
    }

    pub(super) fn reference_extent(&mut self, topic: TopicId, extent: &Extent) {
        self.reference(topic, extent.object, extent.bytes);
    }

    pub(super) fn reference(&mut self, topic: TopicId, object: ObjectId, bytes: u64) {
        let row = self.objects.get_mut(&object).expect("an extent refers to a committed object");
        match row.references.binary_search_by_key(&topic, |(topic, _)| *topic) {
            Ok(place) => row.references[place].1 += 1,
            Err(place) => row.references.insert(place, (topic, 1)),
        }
        row.live_bytes += bytes;
    }

    pub(super) fn release_extents(&mut self, topic: TopicId, extents: &[Extent]) {
        for extent in extents {
            self.release_object(topic, extent.object, extent.bytes);
        }
    }

    /// Takes one reference of `topic` away; the last one makes the object garbage.
    pub(super) fn release_object(&mut self, topic: TopicId, object: ObjectId, bytes: u64) {
        let row = self.objects.get_mut(&object).expect("a reference is to a committed object");
        let place = row
            .references
            .binary_search_by_key(&topic, |(topic, _)| *topic)
            .expect("a released reference was counted");
        row.references[place].1 -= 1;
        if row.references[place].1 == 0 {
            row.references.remove(place);
        }
        row.live_bytes -= bytes;
        self.bury_if_unreferenced(object);
    }

    pub(super) fn bury_if_unreferenced(&mut self, object: ObjectId) {
        let early = |row: &ObjectRow| {
            planted(Bug::ReferenceDropped) && row.references.len() == 1 && row.references[0].1 == 1
        };
        let dead = |row: &ObjectRow| row.references.is_empty() || early(row);
        let dead = self.objects.get(&object).is_some_and(dead);
        if dead && let Some(row) = self.objects.remove(&object) {
            let since = self.clock;
            let (incarnation, kind, len) = (row.incarnation, row.kind, row.len);
            self.garbage.insert(object, Garbage { incarnation, kind, len, since });
        }
    }

    pub(super) fn replace_extents(
        &mut self,
        broker: BrokerId,
        incarnation: Incarnation,
        objects: &[FlushedObject],
        swaps: &[ExtentSwap],
    ) -> Outcome {
        if !objects.is_empty() && objects.iter().all(|new| self.object_known(new.object)) {
            return Ok(Reply::Skipped(Vec::new()));
        }
        self.check_new_objects(broker, incarnation, objects)?;
        for swap in swaps {
            let foreign =
                swap.new.iter().find(|e| !objects.iter().any(|new| new.object == e.object));
            if let Some(extent) = foreign {
                return Err(Rejected::ForeignObject(extent.object));
            }
            if !covers_the_same(&swap.expect, &swap.new) {
                return Err(Rejected::BadSwap(Box::new(swap.clone())));
            }
        }
        for new in objects {
            self.insert_object(incarnation, new);
        }
        let mut skipped = Vec::new();
        for swap in swaps {
            if !self.swap_extents(swap) {
                skipped.push(swap.partition);
            }
        }
        // All references before any release: one partition's log start must not bury an object that another needs.
        for swap in swaps {
            if let Some(row) = self.partitions.get(&swap.partition) {
                let mut partition = Partition::clone(row);
                self.drop_below_log_start(swap.partition, &mut partition);
                self.partitions.insert(swap.partition, Arc::new(partition));
            }
        }
        for new in objects {
            self.bury_if_unreferenced(new.object);
        }
        Ok(Reply::Skipped(skipped))
    }

    fn swap_extents(&mut self, swap: &ExtentSwap) -> bool {
        let Some(row) = self.partitions.get(&swap.partition) else { return false };
        let Some(place) = row.extents.iter().position(|e| Some(e) == swap.expect.first()) else {
            return false;
        };
        let range = place..place + swap.expect.len();
        if row.extents.get(range.clone()) != Some(&swap.expect[..]) {
            return false;
        }
        let mut partition = Partition::clone(row);
        for extent in &swap.new {
            self.reference_extent(partition.topic, extent);
        }
        let old: Vec<_> = partition.extents.splice(range, swap.new.iter().copied()).collect();
        self.release_extents(partition.topic, &old);
        self.partitions.insert(swap.partition, Arc::new(partition));
        true
    }

    pub(super) fn spill_manifest(
        &mut self,
        broker: BrokerId,
        incarnation: Incarnation,
        pid: PartitionId,
        expect: &[Extent],
        manifest: &ManifestRef,
        len: u64,
    ) -> Outcome {
        if self.object_known(manifest.object) {
            return Ok(Reply::Done);
        }
        let new = FlushedObject {
            object: manifest.object,
            kind: ObjectKind::Manifest,
            len,
            meta_position: 0,
        };
        self.check_new_objects(broker, incarnation, &[new])?;
        let row = self.partitions.get(&pid).ok_or(Rejected::ExtentsChanged(pid))?;
        // Only objects of this partition alone may lose their rows: nobody else could release them later.
        let alone = |extent: &Extent| {
            self.objects.get(&extent.object).is_some_and(|object| {
                object.kind == ObjectKind::Segment && object.references == [(row.topic, 1)]
            })
        };
        let described = expect.first().map(|e| e.base) == Some(manifest.base)
            && expect.last().map(|e| e.end) == Some(manifest.end)
            && u32::try_from(expect.len()).ok() == Some(manifest.count)
            && expect.iter().map(|e| e.bytes).sum::<u64>() == manifest.bytes;
        if row.extents.get(..expect.len()) != Some(expect)
            || !described
            || !expect.iter().all(alone)
        {
            return Err(Rejected::ExtentsChanged(pid));
        }
        let mut partition = Partition::clone(row);
        self.insert_object(incarnation, &new);
        self.reference(partition.topic, manifest.object, manifest.bytes);
        for extent in partition.extents.drain(..expect.len()) {
            self.objects.remove(&extent.object);
        }
        partition.manifests.push(*manifest);
        self.partitions.insert(pid, Arc::new(partition));
        Ok(Reply::Done)
    }
}

/// Whether `new` covers the same offsets as `old`, without gap or overlap.
fn covers_the_same(old: &[Extent], new: &[Extent]) -> bool {
    let ends = |extents: &[Extent]| -> Option<(Offset, Offset)> {
        let contiguous = extents.windows(2).all(|pair| pair[0].end == pair[1].base);
        let rising = extents.iter().all(|extent| extent.base < extent.end);
        (contiguous && rising).then_some((extents.first()?.base, extents.last()?.end))
    };
    ends(old).is_some() && ends(old) == ends(new)
}

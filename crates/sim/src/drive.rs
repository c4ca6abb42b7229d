//! What a disk in memory holds, and how it loses and damages it.
//!
//! Contents are kept in sectors of 512 bytes, the unit that a device writes whole. What a sync has not covered survives
//! a power failure in part, in any order: some sectors of a write and not others (torn), a later write and not an
//! earlier one (reordered), none (lost). Names survive as a journaling file system keeps them: some first part of the
//! changes that no sync of a directory covered. Directories themselves are not lost.
//!
//! Rot and misdirected writes change what *was* durable. They keep to sectors that something synced later vouches for:
//! damage to the very last sync of a lone disk cannot be told from a write that never finished.

use crate::effects::Effect;
use crate::entropy::SimEntropy;
use esker_env::Entropy;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

const SECTOR: usize = 512;
/// What a misdirected write moves.
const PAGE: usize = 4096;

/// A lie that a disk tells. Planted by tests: the oracles must find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A sync of contents does nothing and succeeds.
    SyncNothing,
    /// A sync covers only what the one before should have: the acknowledgement comes before the write.
    SyncLate,
    /// A sync of a directory does nothing and succeeds.
    ForgetNames,
    /// Now and then a write of the write-ahead log goes nowhere and is reported as done.
    LoseWrite,
    /// A sync that fails reports success.
    HideFailure,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Inode {
    pub(crate) now: Vec<u8>,
    durable: Vec<u8>,
    pub(crate) dirty: BTreeSet<usize>,
    /// For [`Lie::SyncLate`]: what the next sync makes durable.
    late: BTreeSet<usize>,
    /// Sectors of the last sync: nothing later vouches for them.
    last: BTreeSet<usize>,
    /// Sectors of a sync that failed, which are forgotten when their process ends.
    failed: BTreeSet<usize>,
    /// Durable bytes that are not what was written, until something is written there.
    bad: Vec<Bad>,
}

#[derive(Debug, Clone)]
struct Bad {
    place: Range<usize>,
    misdirected: bool,
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

impl Inode {
    pub(crate) fn sync(&mut self, lie: Option<Lie>) {
        let covered = match lie {
            Some(Lie::SyncNothing) => return,
            Some(Lie::SyncLate) => {
                let fresh = std::mem::take(&mut self.dirty);
                // What was written again since is as late as if it had been written now.
                std::mem::replace(&mut self.late, fresh)
            }
            _ => std::mem::take(&mut self.dirty),
        };
        self.durable.resize(self.now.len(), 0);
        for sector in &covered {
            copy_sector(&self.now, &mut self.durable, *sector);
        }
        if !covered.is_empty() {
            self.last = covered;
        }
    }

    /// The kernel takes the pages for written, and forgets them sooner or later: what reached the device is anyone's
    /// guess, and what is read until then may be nowhere else.
    pub(crate) fn fail_sync(&mut self, entropy: &SimEntropy) {
        let soon = entropy.chance(50);
        self.durable.resize(self.now.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            if entropy.chance(50) {
                copy_sector(&self.now, &mut self.durable, sector);
            } else if soon {
                self.failed.insert(sector);
            }
        }
    }

    /// Whether something was written that no sync has covered.
    fn lose_process(&mut self) -> bool {
        for sector in std::mem::take(&mut self.failed) {
            if !self.dirty.contains(&sector) {
                copy_sector(&self.durable, &mut self.now, sector);
            }
        }
        !self.dirty.is_empty()
    }

    /// What is written heals what was damaged there.
    pub(crate) fn write(&mut self, place: Range<usize>, data: &[u8]) {
        self.bad.retain(|bad| !overlap(&bad.place, &place));
        self.touch(place.clone());
        self.now[place].copy_from_slice(data);
    }

    /// What is there has yet to be synced.
    pub(crate) fn touch(&mut self, place: Range<usize>) {
        self.dirty.extend(place.start / SECTOR..place.end.div_ceil(SECTOR));
    }

    /// Whose fault it is if what is read at `place` is not what was written.
    pub(crate) fn damage(&self, place: &Range<usize>) -> Option<Effect> {
        let bad = self.bad.iter().find(|bad| overlap(&bad.place, place))?;
        Some(if bad.misdirected { Effect::MisdirectedRead } else { Effect::RotRead })
    }

    fn lose_power(&mut self, kept: u64, entropy: &SimEntropy) -> Loss {
        let len = match kept {
            0 => self.durable.len(),
            100 => self.now.len(),
            _ if entropy.chance(50) => self.durable.len(),
            _ => self.now.len(),
        };
        self.durable.resize(len, 0);
        let (mut some_kept, mut some_lost) = (false, false);
        for sector in std::mem::take(&mut self.dirty) {
            let changed = sector_of(&self.now, sector) != sector_of(&self.durable, sector);
            if entropy.chance(kept) {
                copy_sector(&self.now, &mut self.durable, sector);
                // Written after the last sync: nothing vouches for it.
                self.last.insert(sector);
                some_kept |= changed;
            } else {
                some_lost |= changed;
            }
        }
        self.late.clear();
        self.failed.clear();
        self.now.clone_from(&self.durable);
        Loss { writes: some_lost, torn: some_lost && some_kept, names: false }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Change {
    Add(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Change {
    pub(crate) fn is_in(&self, dir: &Path) -> bool {
        let (Self::Add(path, _) | Self::Rename(_, path) | Self::Remove(path)) = self;
        path.parent() == Some(dir)
    }

    pub(crate) fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Add(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Platter {
    pub(crate) inodes: BTreeMap<u64, Inode>,
    pub(crate) names: BTreeMap<PathBuf, u64>,
    pub(crate) durable_names: BTreeMap<PathBuf, u64>,
    pub(crate) changes: Vec<Change>,
    pub(crate) locks: BTreeSet<PathBuf>,
    pub(crate) next_inode: u64,
    /// Bytes that fit.
    pub(crate) capacity: Option<u64>,
}

impl Platter {
    pub(crate) fn used(&self) -> u64 {
        let named = self.names.values().filter_map(|inode| self.inodes.get(inode));
        named.map(|inode| inode.now.len() as u64).sum()
    }
}

/// What a power failure took, or would have taken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Loss {
    /// Something that was written.
    pub(crate) writes: bool,
    /// A part of what was written to a file, and not another.
    pub(crate) torn: bool,
    /// A change of a name.
    pub(crate) names: bool,
}

/// What outlives a power failure.
#[derive(Debug, Default)]
pub struct Drive {
    pub(crate) platter: Mutex<Platter>,
    pub(crate) lie: Option<Lie>,
}

/// Everything on a drive at one moment.
#[derive(Debug)]
pub struct Copy(Platter);

/// Durable bytes that are not what was written, and what was.
#[derive(Debug)]
pub struct Injury {
    /// What was done, where.
    pub what: String,
    /// The files that were damaged.
    pub files: Vec<PathBuf>,
    /// Whether a write went elsewhere.
    pub misdirected: bool,
    patches: Vec<Patch>,
}

#[derive(Debug)]
struct Patch {
    inode: u64,
    at: usize,
    good: Vec<u8>,
    bad: Vec<u8>,
}

impl Drive {
    /// An empty drive that may lie.
    #[must_use]
    pub fn new(lie: Option<Lie>) -> Self {
        Self { platter: Mutex::default(), lie }
    }

    /// Loses what was not synced: all of it, or any part.
    pub(crate) fn lose_power(&self, entropy: &SimEntropy) -> Loss {
        let mut platter = self.platter.lock();
        let platter = &mut *platter;
        let kept = [0, 50, 100][usize::try_from(entropy.below(3)).expect("below 3")];
        let changes = std::mem::take(&mut platter.changes);
        let survive = match kept {
            0 => 0,
            100 => changes.len() as u64,
            _ => entropy.below(changes.len() as u64 + 1),
        };
        let survivors = usize::try_from(survive).expect("no more than there are changes");
        for change in &changes[..survivors] {
            change.apply(&mut platter.durable_names);
        }
        platter.names = platter.durable_names.clone();
        platter.locks.clear();
        let named: BTreeSet<u64> = platter.names.values().copied().collect();
        platter.inodes.retain(|inode, _| named.contains(inode));
        let mut loss = Loss { names: survivors < changes.len(), ..Loss::default() };
        for inode in platter.inodes.values_mut() {
            let lost = inode.lose_power(kept, entropy);
            loss.writes |= lost.writes;
            loss.torn |= lost.torn;
        }
        loss
    }

    /// Forgets the process that worked with it. Answers what is there and was not synced.
    pub(crate) fn lose_process(&self) -> Loss {
        let mut platter = self.platter.lock();
        platter.locks.clear();
        let writes =
            platter.inodes.values_mut().fold(false, |any, inode| inode.lose_process() | any);
        Loss { writes, torn: false, names: !platter.changes.is_empty() }
    }

    /// Lets so many more bytes fit than are there, or any number.
    pub fn leave_room(&self, room: Option<u64>) {
        let mut platter = self.platter.lock();
        platter.capacity = room.map(|room| platter.used() + room);
    }

    /// Copies everything.
    #[must_use]
    pub fn copy(&self) -> Copy {
        Copy(self.platter.lock().clone())
    }

    /// Puts everything back as it was copied.
    pub fn restore(&self, copy: Copy) {
        *self.platter.lock() = copy.0;
    }

    /// Flips bits in durable bytes, or exchanges pages as a write that went elsewhere leaves them. `None` where
    /// nothing can be damaged that something later vouches for.
    #[must_use]
    pub fn injure(&self, entropy: &SimEntropy, misdirect: bool) -> Option<Injury> {
        let mut platter = self.platter.lock();
        let platter = &mut *platter;
        let unit = if misdirect { PAGE } else { SECTOR };
        let candidates: Vec<(PathBuf, u64, Vec<usize>)> = platter
            .names
            .iter()
            .filter_map(|(path, inode)| {
                let units = platter.inodes.get(inode)?.sound_units(unit);
                (!units.is_empty()).then(|| (path.clone(), *inode, units))
            })
            .collect();
        let pick = |len: usize| usize::try_from(entropy.below(len as u64)).expect("below a length");
        if candidates.is_empty() {
            return None;
        }
        // Most of what a disk holds is the write-ahead log; its files are few.
        let of_log = |(path, ..): &&(PathBuf, u64, Vec<usize>)| {
            path.parent().is_some_and(|dir| dir.ends_with("wal"))
        };
        let log: Vec<_> = candidates.iter().filter(of_log).collect();
        let (path, inode, units) = if !log.is_empty() && entropy.chance(50) {
            log[pick(log.len())]
        } else {
            &candidates[pick(candidates.len())]
        };
        let at = units[pick(units.len())] * unit;
        let mut patches = Vec::new();
        let mut files = vec![path.clone()];
        let what = if misdirect {
            let (other_path, other, other_units) = &candidates[pick(candidates.len())];
            let there = other_units[pick(other_units.len())] * unit;
            let stray = platter.inodes[inode].durable[at..at + unit].to_vec();
            // The place that it was meant for keeps what a new file holds.
            patches.push(Patch::of(platter, *inode, at, vec![0; unit]));
            if (*other, there) != (*inode, at) {
                patches.push(Patch::of(platter, *other, there, stray));
                files.push(other_path.clone());
            }
            let (from, to) = (path.display(), other_path.display());
            format!("a page meant for {from} at {at} went to {to} at {there}")
        } else {
            let mut bytes = platter.inodes[inode].durable[at..at + unit].to_vec();
            for _ in 0..=entropy.below(8) {
                bytes[pick(unit)] ^= 1 << entropy.below(8);
            }
            patches.push(Patch::of(platter, *inode, at, bytes));
            format!("bits flipped in {} at {at}", path.display())
        };
        patches.retain(|patch| patch.good != patch.bad);
        if patches.is_empty() {
            return None;
        }
        for patch in &patches {
            patch.apply(platter, &patch.bad);
            if let Some(inode) = platter.inodes.get_mut(&patch.inode) {
                inode.bad.push(Bad { place: patch.place(), misdirected: misdirect });
            }
        }
        Some(Injury { what, files, misdirected: misdirect, patches })
    }

    /// Puts back what an injury damaged, as far as nothing has been written there since.
    pub fn mend(&self, injury: &Injury) {
        let mut platter = self.platter.lock();
        for patch in injury.patches.iter().rev() {
            patch.apply_if_untouched(&mut platter);
        }
    }
}

impl Inode {
    /// Durable units that hold something and that a later sync vouches for.
    fn sound_units(&self, unit: usize) -> Vec<usize> {
        let sectors = unit / SECTOR;
        (0..self.durable.len() / unit)
            .filter(|number| {
                let mut own = number * sectors..(number + 1) * sectors;
                let vouched = own.all(|s| !self.last.contains(&s) && !self.dirty.contains(&s));
                let bytes = &self.durable[number * unit..(number + 1) * unit];
                vouched && bytes.iter().any(|byte| *byte != 0)
            })
            .collect()
    }
}

impl Patch {
    fn of(platter: &Platter, inode: u64, at: usize, bad: Vec<u8>) -> Self {
        let good = platter.inodes[&inode].durable[at..at + bad.len()].to_vec();
        Self { inode, at, good, bad }
    }

    fn place(&self) -> Range<usize> {
        self.at..self.at + self.bad.len()
    }

    fn apply(&self, platter: &mut Platter, bytes: &[u8]) {
        let Some(inode) = platter.inodes.get_mut(&self.inode) else { return };
        for content in [&mut inode.now, &mut inode.durable] {
            if let Some(place) = content.get_mut(self.place()) {
                place.copy_from_slice(bytes);
            }
        }
    }

    fn apply_if_untouched(&self, platter: &mut Platter) {
        let untouched = platter
            .inodes
            .get(&self.inode)
            .is_some_and(|inode| inode.now.get(self.place()) == Some(&self.bad[..]));
        if untouched {
            self.apply(platter, &self.good);
        }
        if let Some(inode) = platter.inodes.get_mut(&self.inode) {
            inode.bad.retain(|bad| !overlap(&bad.place, &self.place()));
        }
    }
}

fn sector_of(bytes: &[u8], sector: usize) -> &[u8] {
    let start = (sector * SECTOR).min(bytes.len());
    &bytes[start..(start + SECTOR).min(bytes.len())]
}

fn copy_sector(from: &[u8], to: &mut [u8], sector: usize) {
    let start = sector * SECTOR;
    let end = (start + SECTOR).min(from.len()).min(to.len());
    if start < end {
        to[start..end].copy_from_slice(&from[start..end]);
    }
}

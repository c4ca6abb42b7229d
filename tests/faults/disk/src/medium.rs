//! The medium and its volatile cache.

use crate::random::Random;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What a drive writes as a whole or not at all. Nothing larger may be assumed: file systems have blocks of 1 KiB.
pub const SECTOR: usize = 512;

type Sector = Box<[u8; SECTOR]>;

/// Which of the requests of one kind fail.
#[derive(Debug, Default)]
struct Plan {
    /// Requests until the one that fails; 0: none is planned.
    countdown: u64,
    always: bool,
    failing: bool,
    failed: u64,
}

impl Plan {
    fn set(&mut self, countdown: u64, always: bool) {
        *self = Self { countdown, always, failing: false, failed: self.failed };
    }

    /// Counts a request; whether it fails.
    fn next(&mut self) -> bool {
        let due = self.countdown == 1;
        self.countdown = self.countdown.saturating_sub(1);
        if due && self.always {
            self.failing = true;
        }
        let fails = due || self.failing;
        self.failed += u64::from(fails);
        fails
    }
}

/// How the cache ends at a power cut.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    Drop,
    Subset,
    Torn,
}

pub struct Medium {
    file: File,
    len: u64,
    random: Random,
    /// Sectors written since the last flush, in all their versions, each with the number of its write.
    cache: BTreeMap<u64, Vec<(u64, Sector)>>,
    /// Number of the last write.
    write_number: u64,
    /// Number of the last write before the last flush.
    flushed_number: u64,
    off: bool,
    /// A cut that waits for a write: how many more, and what then.
    cut_at: Option<(u64, Cut)>,
    pub delay_ms: u64,
    flushes: Plan,
    writes: Plan,
    reads: Plan,
    /// Sectors that cannot be read.
    bad: Vec<Range<u64>>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    reads: u64,
    writes: u64,
    flushes: u64,
    /// Cached sectors that were lost by a cut or by a failed flush, wholly or in their newest version.
    discarded: u64,
    /// Cached sectors that reached the medium although no flush had asked for it.
    kept: u64,
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

impl Medium {
    pub fn open(image: &Path, seed: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(image)?;
        let len = file.metadata()?.len();
        Ok(Self {
            file,
            len,
            random: Random::new(seed),
            cache: BTreeMap::new(),
            write_number: 0,
            flushed_number: 0,
            off: false,
            cut_at: None,
            delay_ms: 0,
            flushes: Plan::default(),
            writes: Plan::default(),
            reads: Plan::default(),
            bad: Vec::new(),
            counters: Counters::default(),
        })
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// Reads what a machine sees that is on: the cache over the medium.
    pub fn read(&mut self, position: u64, len: usize) -> io::Result<Vec<u8>> {
        self.counters.reads += 1;
        let end = position + len as u64;
        let sector = SECTOR as u64;
        let bad = self
            .bad
            .iter()
            .any(|range| range.start * sector < end && position < range.end * sector);
        self.reads.failed += u64::from(bad && !self.off);
        if self.off || bad || self.reads.next() {
            return Err(broken());
        }
        let len = len.min(usize::try_from(self.len.saturating_sub(position)).unwrap_or(usize::MAX));
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, position)?;
        let first = position / SECTOR as u64;
        let end = (position + len as u64).div_ceil(SECTOR as u64);
        for (number, versions) in self.cache.range(first..end) {
            let Some((_, sector)) = versions.last() else { continue };
            let start = number * SECTOR as u64;
            for (at, byte) in sector.iter().enumerate() {
                if let Some(place) = (start + at as u64).checked_sub(position)
                    && let Some(slot) = bytes.get_mut(place as usize)
                {
                    *slot = *byte;
                }
            }
        }
        Ok(bytes)
    }

    /// Writes whole sectors into the cache.
    pub fn write(&mut self, position: u64, data: &[u8]) -> io::Result<()> {
        self.counters.writes += 1;
        if self.off || self.writes.next() {
            return Err(broken());
        }
        let aligned = position.is_multiple_of(SECTOR as u64) && data.len().is_multiple_of(SECTOR);
        if !aligned || position + data.len() as u64 > self.len {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        self.write_number += 1;
        for (sector, bytes) in (position / SECTOR as u64..).zip(data.chunks_exact(SECTOR)) {
            let bytes: Sector = Box::new(bytes.try_into().expect("chunks have this length"));
            self.cache.entry(sector).or_default().push((self.write_number, bytes));
        }
        if let Some((left, how)) = self.cut_at {
            self.cut_at = Some((left - 1, how));
            if left == 1 {
                self.cut(how)?;
            }
        }
        Ok(())
    }

    /// Cuts the power when the `countdown`th write from now is in the cache.
    pub fn cut_at(&mut self, countdown: u64, how: Cut) {
        self.cut_at = Some((countdown.max(1), how));
    }

    /// Makes the cache durable. A flush that fails loses a part of it for good, and says so once.
    pub fn flush(&mut self) -> io::Result<()> {
        self.counters.flushes += 1;
        if self.off {
            return Err(broken());
        }
        if self.flushes.next() {
            self.settle(Cut::Subset)?;
            return Err(broken());
        }
        let last = u64::MAX;
        for (sector, versions) in std::mem::take(&mut self.cache) {
            self.keep(sector, &versions, last)?;
        }
        self.flushed_number = self.write_number;
        Ok(())
    }

    /// Cuts the power.
    pub fn cut(&mut self, how: Cut) -> io::Result<()> {
        self.settle(how)?;
        self.off = true;
        self.cut_at = None;
        Ok(())
    }

    /// Decides what of the cache reaches the medium; the rest is gone.
    fn settle(&mut self, how: Cut) -> io::Result<()> {
        let cache = std::mem::take(&mut self.cache);
        // For a torn end: the last write that arrived, of which only the first sectors did.
        let span = self.write_number - self.flushed_number;
        let last = self.flushed_number + self.random.below(span + 1);
        let of_last = cache.values().flatten().filter(|(number, _)| *number == last).count() as u64;
        let mut torn_left = self.random.below(of_last + 1);
        for (sector, versions) in cache {
            let newest = versions.last().map_or(0, |(number, _)| *number);
            let limit = match how {
                Cut::Drop => 0,
                Cut::Subset => {
                    let count = versions.len() as u64;
                    match self.random.below(count + 1) {
                        0 => 0,
                        place => versions[place as usize - 1].0,
                    }
                }
                Cut::Torn if versions.iter().any(|(number, _)| *number == last) => {
                    let arrived = torn_left > 0;
                    torn_left = torn_left.saturating_sub(1);
                    if arrived { last } else { last - 1 }
                }
                Cut::Torn => last,
            };
            self.keep(sector, &versions, limit)?;
            if newest > limit {
                self.counters.discarded += 1;
            } else {
                self.counters.kept += 1;
            }
        }
        self.flushed_number = self.write_number;
        Ok(())
    }

    /// Writes the newest version up to a write's number.
    fn keep(&mut self, sector: u64, versions: &[(u64, Sector)], limit: u64) -> io::Result<()> {
        match versions.iter().rev().find(|(number, _)| *number <= limit) {
            Some((_, bytes)) => self.file.write_all_at(&**bytes, sector * SECTOR as u64),
            None => Ok(()),
        }
    }

    pub fn plan(&mut self, kind: &str, countdown: u64, always: bool) -> bool {
        let plan = match kind {
            "flush" => &mut self.flushes,
            "write" => &mut self.writes,
            "read" => &mut self.reads,
            _ => return false,
        };
        plan.set(countdown, always);
        true
    }

    pub fn add_bad(&mut self, sectors: Range<u64>) {
        self.bad.push(sectors);
    }

    pub fn heal(&mut self) {
        self.bad.clear();
        self.delay_ms = 0;
        for plan in [&mut self.flushes, &mut self.writes, &mut self.reads] {
            plan.set(0, false);
        }
    }

    pub fn stats(&self) -> String {
        let Counters { reads, writes, flushes, discarded, kept } = &self.counters;
        format!(
            r#"{{"off":{},"reads":{reads},"writes":{writes},"flushes":{flushes},"discarded":{discarded},"kept":{kept},"cached":{},"failed_reads":{},"failed_writes":{},"failed_flushes":{}}}"#,
            self.off,
            self.cache.len(),
            self.reads.failed,
            self.writes.failed,
            self.flushes.failed,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medium(seed: u64) -> (Medium, std::path::PathBuf) {
        let path = std::env::temp_dir().join(format!("medium-{}-{seed}", std::process::id()));
        std::fs::write(&path, vec![0; 64 * SECTOR]).unwrap();
        (Medium::open(&path, seed).unwrap(), path)
    }

    #[test]
    fn only_what_was_flushed_survives_a_cut_that_drops() {
        let (mut medium, path) = medium(1);
        medium.write(0, &[1; 1024]).unwrap();
        medium.flush().unwrap();
        medium.write(512, &[2; 1024]).unwrap();
        assert_eq!(medium.read(0, 1536).unwrap()[512..], [2; 1024]);
        medium.cut(Cut::Drop).unwrap();
        assert!(medium.flush().is_err() && medium.read(0, 512).is_err());
        let left = std::fs::read(&path).unwrap();
        assert_eq!((&left[..1024], &left[1024..1536]), (&[1; 1024][..], &[0; 512][..]));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_torn_cut_keeps_a_prefix_and_a_subset_cut_any_versions() {
        let (mut kept_all, mut kept_some, mut mixed) = (false, false, false);
        for seed in 0..200 {
            let (mut torn, path) = medium(seed);
            for number in 1..=4_u8 {
                torn.write(u64::from(number) * 1024, &[number; 1024]).unwrap();
            }
            torn.cut(Cut::Torn).unwrap();
            let left = std::fs::read(&path).unwrap();
            let sectors: Vec<bool> = left[1024..5120].chunks(SECTOR).map(|s| s[0] != 0).collect();
            let arrived = sectors.iter().take_while(|here| **here).count();
            assert!(sectors[arrived..].iter().all(|here| !here), "not a prefix: {sectors:?}");
            kept_all |= arrived == 8;
            kept_some |= arrived % 2 == 1;
            let (mut subset, path) = medium(seed);
            for number in 1..=2_u8 {
                subset.write(0, &[number; 2048]).unwrap();
            }
            subset.cut(Cut::Subset).unwrap();
            let left = std::fs::read(&path).unwrap();
            let versions: Vec<u8> = left[..2048].chunks(SECTOR).map(|sector| sector[0]).collect();
            mixed |= versions.contains(&0) && versions.contains(&1) && versions.contains(&2);
            std::fs::remove_file(path).unwrap();
        }
        assert!(kept_all && kept_some && mixed);
    }

    #[test]
    fn a_failed_flush_is_told_once_and_loses_what_it_had() {
        let (mut medium, path) = medium(7);
        medium.plan("flush", 2, false);
        medium.flush().unwrap();
        medium.write(0, &[3; 32 * SECTOR]).unwrap();
        assert!(medium.flush().is_err());
        medium.flush().unwrap();
        let left = medium.read(0, 32 * SECTOR).unwrap();
        assert!(left.contains(&0), "nothing was lost");
        assert!(medium.stats().contains(r#""failed_flushes":1"#));
        std::fs::remove_file(path).unwrap();
    }
}

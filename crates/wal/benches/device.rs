//! What the log makes of a device: group commits by many producers, and recovery.
//!
//! `cargo bench -p esker-wal -- <directory>`; the directory should be on the device in question and is emptied of
//! the files that this makes. Numbers mean something only beside those of the bare device.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use bytes::Bytes;
use esker_env::Env;
use esker_env::real::Runtimes;
use esker_types::{ClusterId, JournalId, LeaderEpoch, Offset, PartitionId, Seq, Timestamp};
use esker_wal::{
    BundleBuilder, DurableSink, FrameFlags, FrameMeta, JournalStatus, OpenedWal, Wal, WalFailure,
    WalOptions,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// Producers, each with one bundle on its way.
const PRODUCERS: [(u64, usize); 4] = [(1, 16 << 10), (16, 16 << 10), (64, 16 << 10), (8, 1 << 20)];
const BYTES: u64 = 512 << 20;

struct Tell(Mutex<Sender<(JournalId, Seq)>>);

impl DurableSink for Tell {
    fn durable(&self, batch: &[JournalStatus]) {
        let sender = self.0.lock().expect("nobody panics here");
        for status in batch {
            // The measurement may be over.
            let _over = sender.send((status.journal, status.last));
        }
    }

    fn refused(&self, batch: &[(JournalId, Seq)]) {
        panic!("refused: {batch:?}");
    }

    fn failed(&self, failure: &WalFailure) {
        panic!("{failure}");
    }
}

fn append(wal: &Wal, journal: JournalId, seq: Seq, payload: &Bytes) {
    let mut builder = BundleBuilder::new();
    let meta = FrameMeta {
        partition: PartitionId(1),
        base_offset: Offset(0),
        last_offset: Offset(0),
        max_timestamp: Timestamp(0),
        leader_epoch: LeaderEpoch(0),
        flags: FrameFlags::default(),
    };
    builder.push(meta, payload.clone(), b"");
    wal.append(builder.finish(journal, seq, Seq(0), Seq(0))).expect("there is room");
}

fn options() -> WalOptions {
    WalOptions { capacity_bytes: 2 << 30, ..WalOptions::default() }
}

/// Runs `producers` of `len` bytes until `BYTES` are durable, giving up entries as it goes.
fn produce(
    env: &Env,
    wal: &Wal,
    heard: &Receiver<(JournalId, Seq)>,
    round: u64,
    shape: (u64, usize),
) {
    let (producers, len) = shape;
    let payload = Bytes::from(vec![7; len]);
    let ids: Vec<_> = (0..producers).map(|number| JournalId((round << 16) + number)).collect();
    for &id in &ids {
        wal.open_journal(id, Bytes::new()).expect("there is room");
        append(wal, id, Seq(1), &payload);
    }
    let (before, began) = (wal.stats(), env.clock.now());
    let total = BYTES / u64::try_from(len).expect("a length");
    let mut sent: BTreeMap<JournalId, Seq> = ids.iter().map(|&id| (id, Seq(1))).collect();
    let mut done = 0;
    while done < total {
        let (id, last) = heard.recv().expect("the log lives");
        // A report of a trim, or of another round, is nothing new.
        let Some(seq) = sent.get_mut(&id).filter(|seq| **seq == last) else { continue };
        done += 1;
        *seq = last.next();
        if done + producers <= total {
            append(wal, id, *seq, &payload);
        }
        if last.get().is_multiple_of(64) {
            wal.trim(id, last).expect("the log lives");
        }
    }
    let seconds = env.clock.now().since(began).as_secs_f64();
    let stats = wal.stats();
    let commits = stats.commits - before.commits;
    let rate = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds;
    println!(
        "{producers:>3} x {:>4} KiB: {:>6.0} MB/s, {:>6.0} entries/s, {:>5.0} commits/s, write {} us, sync {} us",
        len >> 10,
        rate(BYTES / 1_000_000),
        rate(total),
        rate(commits),
        (stats.write_nanos - before.write_nanos) / commits / 1000,
        (stats.sync_nanos - before.sync_nanos) / commits / 1000,
    );
    for id in ids {
        wal.drop_journal(id).expect("the log lives");
    }
}

fn recover(env: &Env, dir: &Path, cluster: ClusterId) -> Result<(), Box<dyn Error>> {
    let began = env.clock.now();
    let (_opened, recovered) = OpenedWal::open(env, dir, cluster, options())?;
    let seconds = env.clock.now().since(began).as_secs_f64();
    let megabytes = f64::from(u32::try_from(recovered.scanned_bytes / 1_000_000)?);
    println!(
        "recovery: {megabytes:.0} MB in {:.0} ms, {:.0} MB/s, {} entries",
        seconds * 1000.0,
        megabytes / seconds,
        recovered.entry_count()
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let chosen = std::env::args().nth(1).filter(|word| !word.starts_with("--"));
    let dir = chosen.map_or_else(|| temporary.path().to_owned(), PathBuf::from).join("wal-bench");
    let runtimes = Runtimes::start(1, 1)?;
    let env = Env::real(&runtimes);
    let cluster = ClusterId::ZERO;
    let (send, heard) = channel();
    let (opened, _) = OpenedWal::open(&env, &dir, cluster, options())?;
    let wal = opened.start(Arc::new(Tell(Mutex::new(send))));
    for (round, shape) in (1..).zip(PRODUCERS) {
        produce(&env, &wal, &heard, round, shape);
    }
    // Something to recover: a gibibyte in bundles of 256 KiB.
    let (id, payload) = (JournalId(1), Bytes::from(vec![7; 256 << 10]));
    wal.open_journal(id, Bytes::new())?;
    for seq in 1..=4096 {
        append(&wal, id, Seq(seq), &payload);
        while seq % 16 == 0 && wal.status(id).is_none_or(|status| status.last < Seq(seq)) {
            heard.recv()?;
        }
    }
    wal.close();
    drop(wal);
    while heard.recv().is_ok() {}
    for _ in 0..3 {
        recover(&env, &dir, cluster)?;
    }
    for name in env.disk.list(&dir)? {
        env.disk.remove(&dir.join(name))?;
    }
    Ok(())
}

//! A bare group-commit loop.

use anyhow::{Result, ensure};
use esker_env::{AlignedBuffer, Clock, DiskFile, Env, Open};
use esker_types::MonoTime;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// The file is written once before it is measured: extents that were never written cost a journal entry each.
const FILE_BYTES: u64 = 512 << 20;
const FILL_BYTES: usize = 1 << 20;
/// Most bytes of a commit.
const COMMIT_BYTES_MAX: usize = 4 << 20;

/// `writers` threads that each have one write of `bytes` under way; one thread that writes what waits, syncs, and says
/// so.
pub(crate) fn group_commit(
    env: &Env,
    dir: &Path,
    writers: usize,
    bytes: usize,
    seconds: f64,
) -> Result<Value> {
    ensure!(bytes > 0 && bytes.is_multiple_of(4096), "bytes of a write are a multiple of 4096");
    ensure!(writers > 0, "one writer at least");
    let path = dir.join("esker-machine.tmp");
    let _left_by_another_run = env.disk.remove(&path);
    env.disk.open(&path, Open::CreateNew)?;
    let file = env.disk.open(&path, Open::WriteDirect)?;
    let mut buffer = AlignedBuffer::with_capacity(COMMIT_BYTES_MAX.max(bytes));
    buffer.bytes_mut(FILL_BYTES).fill(7);
    for position in (0..FILE_BYTES).step_by(FILL_BYTES) {
        file.write_all_at(buffer.bytes(FILL_BYTES), position)?;
    }
    file.sync_data()?;

    let clock = &env.clock;
    let begin = clock.now();
    let end = begin.plus(Duration::from_secs_f64(seconds));
    let (send, waiting) = mpsc::channel::<mpsc::SyncSender<()>>();
    let (times, commits) = std::thread::scope(|scope| -> Result<_> {
        let running: Vec<_> = (0..writers)
            .map(|_| {
                let send = send.clone();
                scope.spawn(move || write_and_wait(&**clock, end, &send))
            })
            .collect();
        drop(send);
        let commits = commit(&*file, &buffer, bytes, &waiting)?;
        let mut times = no_times();
        for writer in running {
            let found = writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))?;
            times.add(found)?;
        }
        Ok((times, commits))
    })?;
    let took = clock.now().since(begin).as_secs_f64();
    env.disk.remove(&path)?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (acks, micros) = (times.len() as f64, |q| times.value_at_quantile(q) as f64 / 1e3);
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    Ok(json!({
        "writers": writers,
        "bytes": bytes,
        "acks_per_second": acks / took,
        "mb_per_second": acks * bytes as f64 / took / 1e6,
        "commits_per_second": commits as f64 / took,
        "p50_us": micros(0.5),
        "p99_us": micros(0.99),
        "p99_9_us": micros(0.999),
    }))
}

fn no_times() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("up to a minute, to three digits")
}

/// Has writes committed, one after the other, and notes how long each took.
fn write_and_wait(
    clock: &dyn Clock,
    end: MonoTime,
    send: &mpsc::Sender<mpsc::SyncSender<()>>,
) -> Histogram<u64> {
    let mut times = no_times();
    let (done, acknowledged) = mpsc::sync_channel(1);
    loop {
        let now = clock.now();
        if now >= end || send.send(done.clone()).is_err() || acknowledged.recv().is_err() {
            return times;
        }
        let took = clock.now().since(now);
        times.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// Commits what waits until no writer is left; how many commits that took.
fn commit(
    file: &dyn DiskFile,
    buffer: &AlignedBuffer,
    bytes: usize,
    waiting: &mpsc::Receiver<mpsc::SyncSender<()>>,
) -> Result<u64> {
    let most = (COMMIT_BYTES_MAX / bytes).max(1);
    let (mut commits, mut position) = (0, 0);
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        while batch.len() < most
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let len = batch.len() * bytes;
        if position + len as u64 > FILE_BYTES {
            position = 0;
        }
        file.write_all_at(buffer.bytes(len), position)?;
        file.sync_data()?;
        position += len as u64;
        commits += 1;
        for done in batch {
            // A writer waits for each of its writes.
            done.send(())?;
        }
    }
    Ok(commits)
}

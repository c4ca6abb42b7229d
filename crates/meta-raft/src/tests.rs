//! A real voter over real files.

use crate::disk_full_retry::DiskGate;
use crate::log_file::LogFile;
use crate::log_store::LogStore;
use crate::refusing_disk::RefusingDisk;
use crate::types::{Entry, LogId, Payload};
use crate::{LogFileError, Quorum, QuorumError, QuorumOptions};
use esker_env::real::{FileSystem, Runtimes};
use esker_env::{Disk, Env, Open};
use esker_meta::{Command, ConfigChange, ConfigResource, NewPartition, Proposal, Rejected};
use esker_meta_client::{MetaClient, MetaError};
use esker_types::{BrokerId, ClusterId, StoreId, Timestamp, TopicId, TopicName};
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use uuid::Uuid;

fn options(dir: &Path, snapshot_every: u64) -> QuorumOptions {
    QuorumOptions {
        dir: dir.to_owned(),
        node: BrokerId(1),
        voters: Vec::new(),
        election_timeout: Duration::from_millis(500),
        propose_timeout: Duration::from_secs(30),
        snapshot_every,
        snapshot_every_bytes: 1 << 20,
        reaches: 0,
    }
}

fn topic(number: u128) -> Command {
    Command::CreateTopic {
        topic: TopicId(Uuid::from_u128(number)),
        name: TopicName::new(&format!("topic-{number}")).unwrap(),
        partitions: vec![NewPartition { leader: BrokerId(1) }],
        replication_factor: 1,
        configs: vec![],
    }
}

fn register(process: u128) -> Command {
    Command::RegisterBroker {
        broker: BrokerId(1),
        process,
        host: "localhost".into(),
        port: 1,
        rack: None,
        stores: vec![StoreId(Uuid::from_u128(9))],
    }
}

/// Runs `work` against a quorum in `dir`, then closes it.
fn with_quorum<T>(
    dir: &Path,
    snapshot_every: u64,
    work: impl AsyncFnOnce(&Quorum) -> T,
) -> Result<T, QuorumError> {
    let runtimes = Runtimes::start(1, 1).unwrap();
    let env = Env::real(&runtimes);
    runtimes.block_on(async {
        let quorum = Quorum::open_alone(&env, options(dir, snapshot_every)).await?;
        let result = work(&quorum).await;
        quorum.close().await;
        Ok(result)
    })
}

#[test]
fn what_was_answered_is_there_after_a_restart_with_and_without_snapshots() {
    for snapshot_every in [10_000, 7] {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..4u128 {
            let count = with_quorum(dir.path(), snapshot_every, async |quorum| {
                let cluster = ClusterId(Uuid::from_u128(5));
                quorum.propose(Command::FoundCluster { cluster }).await.unwrap();
                quorum.propose(register(round)).await.unwrap();
                for number in 0..10 {
                    quorum.propose(topic(round * 100 + number)).await.unwrap();
                    let image = quorum.image();
                    assert!(
                        image.topics.contains_key(&TopicId(Uuid::from_u128(round * 100 + number))),
                        "a proposer reads its own write"
                    );
                }
                quorum.image().topics.len()
            })
            .unwrap();
            assert_eq!(count as u128, (round + 1) * 10);
        }
    }
}

#[test]
fn a_rejection_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let reply =
        with_quorum(dir.path(), 1000, async |quorum| quorum.propose(topic(1)).await).unwrap();
    assert_eq!(reply, Err(MetaError::Rejected(Rejected::UnknownBroker(BrokerId(1)))));
}

/// The only log file in `dir`.
fn log_path(dir: &Path) -> std::path::PathBuf {
    let names = FileSystem.list(dir).unwrap();
    let mut logs = names.iter().filter(|name| name.starts_with("log-"));
    let name = logs.next().unwrap();
    assert_eq!(logs.next(), None);
    dir.join(name)
}

#[test]
fn a_torn_end_is_cut_and_damage_before_the_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    with_quorum(dir.path(), 1000, async |quorum| {
        quorum.propose(register(1)).await.unwrap();
        for number in 0..5 {
            quorum.propose(topic(number)).await.unwrap();
        }
    })
    .unwrap();
    let path = log_path(dir.path());
    let whole = FileSystem.read(&path, u64::MAX).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FileSystem);
    let content = |bytes: &[u8]| {
        FileSystem.replace(&path, bytes).unwrap();
        LogFile::open(Arc::clone(&disk), dir.path()).map(|(_, content)| content)
    };
    let full = content(&whole).unwrap();

    for garbage in [&[0u8; 64][..], &[0xff; 13], b"torn"] {
        let mut longer = whole.clone();
        longer.extend_from_slice(garbage);
        assert_eq!(content(&longer).unwrap().entries, full.entries);
        assert_eq!(
            FileSystem.read(&path, u64::MAX).unwrap(),
            whole,
            "the torn end is cut for good"
        );
    }
    // Every prefix is what a crash could leave: it opens, with a prefix of the entries.
    for len in 24..whole.len() {
        let cut = content(&whole[..len]).unwrap();
        assert!(full.entries.values().take(cut.entries.len()).eq(cut.entries.values()));
    }
    // A flipped bit is either in the last record, and reads as a torn end, or is refused.
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        match content(&damaged) {
            Err(LogFileError::Corrupt { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
            Ok(cut) => {
                assert_eq!(cut.entries, full.entries, "byte {at}: only the commit hint may go")
            }
        }
    }
    assert!(refused > whole.len() * 9 / 10);
}

#[test]
fn a_write_whose_later_half_reached_the_disk_is_torn_and_not_damage() {
    let dir = tempfile::tempdir().unwrap();
    with_quorum(dir.path(), 1000, async |_| ()).unwrap();
    let path = log_path(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(FileSystem);
    let len = || FileSystem.open(&path, Open::Read).unwrap().len().unwrap();
    for synced_after in [false, true] {
        let (mut log, content) = LogFile::open(Arc::clone(&disk), dir.path()).unwrap();
        let vote = content.vote.unwrap();
        log.save_vote(&vote).unwrap();
        let lost = len();
        // Not synced; the sync of what follows is what the crash falls into.
        log.save_committed(content.committed.as_ref()).unwrap();
        let kept = len();
        log.save_vote(&vote).unwrap();
        if synced_after {
            log.save_committed(content.committed.as_ref()).unwrap();
        }
        drop(log);
        let file = FileSystem.open(&path, Open::Write).unwrap();
        let nothing = vec![0; usize::try_from(kept - lost).unwrap()];
        file.write_all_at(&nothing, lost).unwrap();
        let opened = LogFile::open(Arc::clone(&disk), dir.path());
        if synced_after {
            assert!(matches!(opened, Err(LogFileError::Corrupt { at, .. }) if at == lost));
        } else {
            opened.unwrap();
            assert_eq!(len(), lost, "the torn write is cut for good");
        }
    }
}

/// An entry that follows `last` after `number` others, with a value of some length.
fn entry_after(last: LogId, number: u64, len: usize) -> Entry {
    let index = last.index() + number;
    let resource = ConfigResource::Broker(None);
    let change = ConfigChange::Resource(resource, "name".into(), Some("x".repeat(len)));
    let command = Command::AlterConfigs { changes: vec![change] };
    let payload = Payload(Proposal { now: Timestamp(0), command });
    Entry::new(LogId::new(*last.committed_leader_id(), index), EntryPayload::Normal(payload))
}

#[test]
fn what_is_given_up_on_a_full_disk_is_not_followed_by_anything() {
    let dir = tempfile::tempdir().unwrap();
    with_quorum(dir.path(), 1000, async |_| ()).unwrap();
    let runtimes = Runtimes::start(1, 1).unwrap();
    let env = Env::real(&runtimes);
    let disk = RefusingDisk::default();
    let (file, content) = LogFile::open(Arc::new(disk.clone()), dir.path()).unwrap();
    let last = content.last().unwrap();
    let disk_gate = DiskGate::new(Arc::clone(&env.clock));
    let mut store = LogStore::new(Arc::clone(&env.spawner), Arc::clone(&disk_gate), file, content);
    runtimes.block_on(async {
        store.append([entry_after(last, 1, 10)], IOFlushed::noop()).await.unwrap();
        // Nobody waits for room any more; then there is some.
        disk_gate.close();
        disk.0.full.store(true, Ordering::SeqCst);
        store.append([entry_after(last, 2, 10)], IOFlushed::noop()).await.unwrap();
        disk.0.full.store(false, Ordering::SeqCst);
        store.append([entry_after(last, 3, 10)], IOFlushed::noop()).await.unwrap();
        assert!(store.save_committed(Some(last)).await.is_err());
    });
    drop(store);
    let (_, content) = LogFile::open(Arc::new(FileSystem), dir.path()).unwrap();
    assert_eq!(content.last().unwrap().index(), last.index() + 1);
}

#[test]
fn a_log_with_a_hole_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    with_quorum(dir.path(), 1000, async |quorum| {
        quorum.propose(register(1)).await.unwrap();
        quorum.propose(topic(1)).await.unwrap();
    })
    .unwrap();
    let (mut log, mut content) = LogFile::open(Arc::new(FileSystem), dir.path()).unwrap();
    content.entries.remove(&1).unwrap();
    log.rewrite(&content).unwrap();
    drop(log);
    let refused = LogFile::open(Arc::new(FileSystem), dir.path()).err().unwrap().to_string();
    assert!(refused.contains("entry 2 stands where entry 1 belongs"), "{refused}");
}

#[test]
fn files_that_are_not_of_one_time_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let write = |numbers: Range<u128>| {
        let end = with_quorum(dir.path(), 20, async |quorum| {
            quorum.propose(register(1)).await.unwrap();
            for number in numbers {
                quorum.propose(topic(number)).await.unwrap();
            }
            quorum.image().applied
        });
        end.unwrap()
    };
    let names = || FileSystem.list(dir.path()).unwrap();
    let log = || names().into_iter().find(|name| name.starts_with("log-")).unwrap();
    let copy = |name: &str| FileSystem.read(&dir.path().join(name), u64::MAX).unwrap();
    let refused = |reaches| {
        let runtimes = Runtimes::start(1, 1).unwrap();
        let env = Env::real(&runtimes);
        let options = QuorumOptions { reaches, ..options(dir.path(), 20) };
        runtimes.block_on(Quorum::open_alone(&env, options)).err().map(|error| error.to_string())
    };

    write(0..50);
    let (old_log, old_snapshot) = ((log(), copy(&log())), copy("snapshot"));
    let end = write(50..100);
    let (new_log, new_snapshot) = ((log(), copy(&log())), copy("snapshot"));
    assert_ne!(old_log.0, new_log.0, "the log was purged");

    let refusal = refused(end + 1000).unwrap();
    assert!(refusal.contains("is older than the write-ahead log"), "{refusal}");
    FileSystem.replace(&dir.path().join("snapshot"), &old_snapshot).unwrap();
    let refusal = refused(0).unwrap();
    assert!(refusal.contains("the log begins after entry"), "{refusal}");
    FileSystem.remove(&dir.path().join("snapshot")).unwrap();
    let refusal = refused(0).unwrap();
    assert!(refusal.contains("the snapshot ends at 0"), "{refusal}");
    FileSystem.replace(&dir.path().join("snapshot"), &new_snapshot).unwrap();
    FileSystem.remove(&dir.path().join(&new_log.0)).unwrap();
    FileSystem.replace(&dir.path().join(&old_log.0), &old_log.1).unwrap();
    let refusal = refused(0).unwrap();
    assert!(refusal.contains("the log is older"), "{refusal}");
    FileSystem.remove(&dir.path().join(&old_log.0)).unwrap();
    FileSystem.replace(&dir.path().join(&new_log.0), &new_log.1).unwrap();
    assert_eq!(refused(end), None, "the newest is served");
}

#[test]
#[should_panic(expected = "does not follow what the log holds")]
fn a_hole_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    with_quorum(dir.path(), 1000, async |_| ()).unwrap();
    let (mut log, content) = LogFile::open(Arc::new(FileSystem), dir.path()).unwrap();
    let _refused = log.append(&[entry_after(content.last().unwrap(), 2, 1)]);
}

#[test]
fn a_long_append_that_finds_no_room_half_way_is_tried_again_from_where_it_began() {
    let dir = tempfile::tempdir().unwrap();
    with_quorum(dir.path(), 1000, async |_| ()).unwrap();
    let disk = RefusingDisk::default();
    let (mut log, content) = LogFile::open(Arc::new(disk.clone()), dir.path()).unwrap();
    let last = content.last().unwrap();
    let entries: Vec<_> = (1..=4).map(|number| entry_after(last, number, 7 << 20)).collect();
    disk.0.full_soon.store(true, Ordering::SeqCst);
    assert!(log.append(&entries).is_err());
    disk.0.full.store(false, Ordering::SeqCst);
    log.append(&entries).unwrap();
    drop(log);
    let (_, content) = LogFile::open(Arc::new(FileSystem), dir.path()).unwrap();
    assert!(entries.iter().eq(content.entries.values().rev().take(4).rev()));
}

#[test]
fn a_long_append_is_synced_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    with_quorum(dir.path(), 1000, async |_| ()).unwrap();
    let path = log_path(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(FileSystem);
    let (mut log, content) = LogFile::open(Arc::clone(&disk), dir.path()).unwrap();
    let before = FileSystem.open(&path, Open::Read).unwrap().len().unwrap();
    let last = content.last().unwrap();
    let entries: Vec<_> = (1..=4).map(|number| entry_after(last, number, 7 << 20)).collect();
    log.append(&entries).unwrap();
    drop(log);
    let (_, content) = LogFile::open(Arc::clone(&disk), dir.path()).unwrap();
    assert!(entries.iter().eq(content.entries.values().rev().take(4).rev()));
    // The last one was written when the first was synced, and proves that it was.
    let file = FileSystem.open(&path, Open::Write).unwrap();
    file.write_all_at(b"damage", before + 1000).unwrap();
    let opened = LogFile::open(disk, dir.path());
    assert!(matches!(opened, Err(LogFileError::Corrupt { at, .. }) if at == before));
}

#[test]
fn nothing_is_written_after_a_failed_sync() {
    let dir = tempfile::tempdir().unwrap();
    let failing: Arc<dyn Disk> = Arc::new(FailingDisk);
    let (mut log, _) = LogFile::open(failing, dir.path()).unwrap();
    let before = FileSystem.read(&log_path(dir.path()), u64::MAX).unwrap();
    assert!(log.append(&[]).is_err());
    assert!(log.save_committed(None).is_err(), "it would succeed: but the log has failed");
    assert_eq!(FileSystem.read(&log_path(dir.path()), u64::MAX).unwrap(), before);
}

/// A disk whose reopened files cannot be synced.
struct FailingDisk;
struct FailingFile(Arc<dyn esker_env::DiskFile>);

impl Disk for FailingDisk {
    fn open(&self, path: &Path, how: Open) -> std::io::Result<Arc<dyn esker_env::DiskFile>> {
        let file = FileSystem.open(path, how)?;
        Ok(if how == Open::Write { Arc::new(FailingFile(file)) } else { file })
    }
    fn create_dir_all(&self, path: &Path) -> std::io::Result<()> {
        FileSystem.create_dir_all(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        FileSystem.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        FileSystem.remove(path)
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<String>> {
        FileSystem.list(dir)
    }
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        FileSystem.sync_dir(dir)
    }
    fn free_bytes(&self, dir: &Path) -> std::io::Result<u64> {
        FileSystem.free_bytes(dir)
    }
    fn lock(&self, path: &Path) -> std::io::Result<Box<dyn esker_env::DiskLock>> {
        FileSystem.lock(path)
    }
}

impl esker_env::DiskFile for FailingFile {
    fn write_all_at(&self, data: &[u8], position: u64) -> std::io::Result<()> {
        self.0.write_all_at(data, position)
    }
    fn read_at(&self, buffer: &mut [u8], position: u64) -> std::io::Result<usize> {
        self.0.read_at(buffer, position)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        Err(std::io::Error::other("injected"))
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
}

#[test]
fn a_full_disk_is_waited_for() {
    for snapshot_every in [10_000, 7] {
        let dir = tempfile::tempdir().unwrap();
        let runtimes = Runtimes::start(1, 1).unwrap();
        let disk = RefusingDisk::default();
        let env = Env { disk: Arc::new(disk.clone()), ..Env::real(&runtimes) };
        runtimes.block_on(async {
            let quorum =
                Quorum::open_alone(&env, options(dir.path(), snapshot_every)).await.unwrap();
            quorum.propose(register(1)).await.unwrap();
            for number in 0..30 {
                disk.0.full.store(true, Ordering::SeqCst);
                let refused = disk.0.refused.load(Ordering::SeqCst);
                let proposal = quorum.propose(topic(number));
                let room_returns = async {
                    while disk.0.refused.load(Ordering::SeqCst) == refused {
                        tokio::task::yield_now().await;
                    }
                    disk.0.full.store(false, Ordering::SeqCst);
                };
                let (answer, ()) = futures_util::future::join(proposal, room_returns).await;
                answer.unwrap();
            }
            quorum.close().await;
        });
        let topics =
            with_quorum(dir.path(), snapshot_every, async |q| q.image().topics.len()).unwrap();
        assert_eq!(topics, 30);
    }
}

#[test]
fn names_that_a_killed_process_gave_are_synced_before_older_logs_go() {
    let dir = tempfile::tempdir().unwrap();
    with_quorum(dir.path(), 10_000, async |quorum| quorum.propose(register(1)).await.unwrap())
        .unwrap();
    // What a purge leaves that was killed before its last step: the older log is there still.
    let path = log_path(dir.path());
    let older = path.with_file_name(format!("log-{:016x}", 0));
    std::fs::copy(&path, &older).unwrap();
    let runtimes = Runtimes::start(1, 1).unwrap();
    let disk = RefusingDisk::default();
    let env = Env { disk: Arc::new(disk.clone()), ..Env::real(&runtimes) };
    runtimes.block_on(async {
        let quorum = Quorum::open_alone(&env, options(dir.path(), 10_000)).await.unwrap();
        quorum.close().await;
    });
    assert!(!older.exists());
    let names = disk.0.names.lock().unwrap();
    let first = |path: &Path| names.iter().position(|name| name == path).unwrap();
    assert!(first(dir.path()) < first(&older), "{names:?}");
    assert!(first(dir.path().parent().unwrap()) < first(&older), "{names:?}");
}

#[test]
fn a_failed_sync_is_final_and_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let runtimes = Runtimes::start(1, 1).unwrap();
    let disk = RefusingDisk::default();
    let env = Env { disk: Arc::new(disk.clone()), ..Env::real(&runtimes) };
    runtimes.block_on(async {
        let quorum = Quorum::open_alone(&env, options(dir.path(), 10_000)).await.unwrap();
        quorum.propose(register(1)).await.unwrap();
        disk.0.broken.store(true, Ordering::SeqCst);
        let answer = quorum.propose(topic(1)).await;
        assert!(matches!(answer, Err(MetaError::Failed(_))), "{answer:?}");
        let reason = quorum.failed().await;
        let path = log_path(dir.path());
        assert!(reason.starts_with(&format!("sync {}", path.display())), "{reason}");
        // The disk recovers; the log does not.
        disk.0.broken.store(false, Ordering::SeqCst);
        assert!(quorum.propose(topic(2)).await.is_err());
        assert_eq!(disk.0.after_failure.load(Ordering::SeqCst), 0, "something was tried again");
        quorum.close().await;
    });
}

#[test]
fn a_log_of_large_entries_stays_short() {
    let dir = tempfile::tempdir().unwrap();
    let large = |fill: u8| {
        let value = String::from_utf8(vec![fill; 100_000]).unwrap();
        let resource = ConfigResource::Group("group".to_owned());
        let changes = vec![ConfigChange::Resource(resource, "key".to_owned(), Some(value))];
        Command::AlterConfigs { changes }
    };
    let longest = with_quorum(dir.path(), 1_000_000, async |quorum| {
        let mut longest = 0;
        for number in 0..200_u8 {
            quorum.propose(large(b'a' + number % 26)).await.unwrap();
            // While it is put in another's place there may be none.
            let lengths = std::fs::read_dir(dir.path()).unwrap().filter_map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                name.starts_with("log-").then(|| entry.metadata().map_or(0, |meta| meta.len()))
            });
            longest = lengths.max().unwrap_or(0).max(longest);
        }
        longest
    })
    .unwrap();
    // What comes while a snapshot is written stands there as well.
    assert!(longest > 1 << 20, "{longest}");
    assert!(longest < 8 << 20, "{longest} bytes of 20 MB");
    with_quorum(dir.path(), 1_000_000, async |quorum| {
        let resource = ConfigResource::Group("group".to_owned());
        let value = &quorum.image().configs[&resource]["key"];
        assert!(value.bytes().all(|byte| byte == b'a' + 199 % 26));
    })
    .unwrap();
}

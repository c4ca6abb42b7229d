//! openraft's view of the log file.

use crate::disk_full_retry::DiskGate;
use crate::log_compaction::LogGrowth;
use crate::log_file::{LogContent, LogFile};
use crate::types::{Entry, LogId, TypeConfig, Vote};
use esker_env::{Blocking, Spawner, watch};
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use parking_lot::Mutex;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;

/// The log. Clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    spawner: Arc<dyn Spawner>,
    disk_gate: Arc<DiskGate>,
    file: Arc<Mutex<LogFile>>,
    content: Arc<Mutex<LogContent>>,
    growth: Arc<watch::Sender<LogGrowth>>,
}

impl LogStore {
    pub(crate) fn new(
        spawner: Arc<dyn Spawner>,
        disk_gate: Arc<DiskGate>,
        file: LogFile,
        content: LogContent,
    ) -> Self {
        let (file, content) = (Arc::new(Mutex::new(file)), Arc::new(Mutex::new(content)));
        let growth = Arc::new(watch::Sender::new(LogGrowth::default()));
        let store = Self { spawner, disk_gate, file, content, growth };
        store.tell_growth();
        store
    }

    /// Tells how the file grows.
    pub(crate) fn growth(&self) -> watch::Receiver<LogGrowth> {
        self.growth.subscribe()
    }

    fn tell_growth(&self) {
        let purged = self.content.lock().purged.as_ref().map(LogId::index);
        self.growth.send_replace(LogGrowth { bytes: self.file.lock().grown(), purged });
    }

    /// Runs blocking work on the file, off the runtime. openraft awaits one call before it makes the next, so the
    /// order on disk is the order of the calls. It may make another after one that failed: work that was given up for
    /// lack of room would leave a hole before it.
    async fn on_file(
        &self,
        work: impl Fn(&mut LogFile) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<()> {
        let work = Arc::new(work);
        let done = self.disk_gate.retry_while_full(|| {
            let (file, work) = (Arc::clone(&self.file), Arc::clone(&work));
            self.spawner.blocking(move || work(&mut file.lock()))
        });
        done.await.inspect_err(|_| self.file.lock().give_up())
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        Ok(self.content.lock().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.content.lock().vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let content = self.content.lock();
        Ok(LogState { last_purged_log_id: content.purged, last_log_id: content.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = *vote;
        self.on_file(move |file| file.save_vote(&vote)).await?;
        self.content.lock().vote = Some(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.on_file(move |file| file.save_committed(committed.as_ref())).await?;
        self.content.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.content.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        // openraft reads entries as soon as this returns, whether or not they are durable yet.
        for entry in &entries {
            self.content.lock().entries.insert(entry.log_id.index(), entry.clone());
        }
        let result = self.on_file(move |file| file.append(&entries)).await;
        self.tell_growth();
        callback.io_completed(result);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.on_file(move |file| file.truncate_after(last.as_ref())).await?;
        self.content.lock().truncate_after(last.as_ref());
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let kept = {
            let mut content = self.content.lock();
            content.purge(upto);
            content.clone()
        };
        self.on_file(move |file| file.rewrite(&kept)).await?;
        self.tell_growth();
        Ok(())
    }
}

//! The owner's side of one store of another broker: entries leave in order, and come again after a connection has broken.

use crate::stores::messages::{StoreRequest, StoreStatus, Taken};
use crate::stores::remote::RemoteStore;
use esker_env::Clock;
use esker_peer::PendingAnswer;
use esker_types::{JournalId, Seq, StoreId};
use esker_wal::Bundle;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesOrdered;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Bytes that wait for one store. One that is further behind is left: the journal rolls on to others.
const WINDOW_BYTES: usize = 64 << 20;
/// Entries that are on their way together.
const IN_FLIGHT_MAX: usize = 16;
/// Between two attempts to reach a store.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What a store has told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Durable up to here.
    Durable(Seq),
    /// The journal is sealed there: its owner is fenced.
    Sealed,
    /// The store is lost for this journal.
    Lost,
}

/// The way of one journal to one store.
pub(crate) struct StoreLink {
    journal: JournalId,
    remote: RemoteStore,
    window: Mutex<Window>,
    more: Notify,
}

#[derive(Default)]
struct Window {
    /// Entries that the store has not said to be durable, in order.
    bundles: VecDeque<Bundle>,
    bytes: usize,
    /// What it has said to be durable.
    durable: Seq,
    lost: bool,
    /// The journal has ended.
    closed: bool,
}

/// How a round of sending ended.
enum Round {
    Again,
    Over,
}

impl StoreLink {
    pub(crate) fn new(journal: JournalId, remote: RemoteStore) -> Self {
        Self { journal, remote, window: Mutex::default(), more: Notify::new() }
    }

    pub(crate) const fn store(&self) -> StoreId {
        self.remote.store
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.window.lock().lost
    }

    /// Has an entry sent.
    pub(crate) fn push(&self, bundle: &Bundle) {
        let mut window = self.window.lock();
        if window.lost || window.closed {
            return;
        }
        window.bytes += bundle.len();
        window.bundles.push_back(bundle.clone());
        if window.bytes > WINDOW_BYTES {
            tracing::warn!(store = %self.remote.store, journal = %self.journal, "the store is too far behind: it is left");
            lose(&mut window);
        }
        drop(window);
        self.more.notify_one();
    }

    /// Sends nothing any more.
    pub(crate) fn close(&self) {
        let mut window = self.window.lock();
        window.closed = true;
        window.bundles.clear();
        drop(window);
        self.more.notify_one();
    }

    /// Sends what is pushed, and tells what comes back, until the journal or the store has ended.
    pub(crate) async fn run(self: Arc<Self>, clock: Arc<dyn Clock>, tell: impl Fn(Told) + Send) {
        while !self.is_over() {
            match self.round(&tell).await {
                Round::Over => break,
                Round::Again => clock.sleep(AGAIN_AFTER).await,
            }
        }
        if self.is_lost() {
            tell(Told::Lost);
        }
    }

    fn is_over(&self) -> bool {
        let window = self.window.lock();
        window.lost || window.closed
    }

    /// From finding out where the store stands to a connection that breaks.
    async fn round(&self, tell: &(impl Fn(Told) + Send)) -> Round {
        match self.remote.status(self.journal).await {
            Err(error) => {
                tracing::debug!(store = %self.remote.store, %error, "the store is not reached");
                Round::Again
            }
            Ok(StoreStatus::Sealed) => {
                tell(Told::Sealed);
                Round::Over
            }
            Ok(StoreStatus::Lost) => self.lost("it lost what it had"),
            Ok(StoreStatus::Open(last)) if last < self.window.lock().durable => {
                self.lost("it lacks what it had")
            }
            Ok(StoreStatus::Open(last)) => {
                if !self.acknowledge(last) {
                    return self.lost("it lacks entries that are not kept any more");
                }
                if last > Seq::NONE {
                    tell(Told::Durable(last));
                }
                self.send_from(last.next(), tell).await
            }
        }
    }

    async fn send_from(&self, mut next: Seq, tell: &(impl Fn(Told) + Send)) -> Round {
        let mut answers = FuturesOrdered::new();
        loop {
            while answers.len() < IN_FLIGHT_MAX {
                let Some(bundle) = self.entry(next) else { break };
                match self.remote.begin_append(StoreRequest::append(&bundle)).await {
                    Ok(answer) => answers.push_back(PendingAnswer::answer(answer)),
                    Err(_) => return Round::Again,
                }
                next = next.next();
            }
            if self.is_over() {
                return Round::Over;
            }
            let answer = {
                let more = pin!(self.more.notified());
                if answers.is_empty() {
                    more.await;
                    continue;
                }
                match select(pin!(answers.next()), more).await {
                    Either::Left((answer, _)) => answer,
                    Either::Right(_) => continue,
                }
            };
            let Some(Ok(answer)) = answer else { return Round::Again };
            match Taken::decode(answer) {
                Ok(Taken::Durable(upto)) => {
                    self.acknowledge(upto);
                    tell(Told::Durable(upto));
                }
                Ok(Taken::Sealed) => {
                    tell(Told::Sealed);
                    return Round::Over;
                }
                Ok(Taken::Unknown | Taken::Full | Taken::Gap(_)) => return Round::Again,
                Ok(Taken::Lost) => return self.lost("it has failed"),
                Err(_) => return self.lost("it speaks another language"),
            }
        }
    }

    fn entry(&self, seq: Seq) -> Option<Bundle> {
        let window = self.window.lock();
        let first = window.bundles.front()?.seq();
        let place = usize::try_from(seq.get().checked_sub(first.get())?).ok()?;
        window.bundles.get(place).cloned()
    }

    /// The store has everything up to `upto`. False when it lacks what is not kept any more.
    fn acknowledge(&self, upto: Seq) -> bool {
        let mut window = self.window.lock();
        window.durable = window.durable.max(upto);
        while window.bundles.front().is_some_and(|bundle| bundle.seq() <= upto) {
            if let Some(bundle) = window.bundles.pop_front() {
                window.bytes -= bundle.len();
            }
        }
        window.bundles.front().is_none_or(|bundle| bundle.seq() == upto.next())
    }

    fn lost(&self, why: &str) -> Round {
        tracing::warn!(store = %self.remote.store, journal = %self.journal, why, "a store of the journal is lost");
        lose(&mut self.window.lock());
        Round::Over
    }
}

fn lose(window: &mut Window) {
    window.lost = true;
    window.bundles.clear();
    window.bytes = 0;
}

//! Fetch sessions while nothing fails and nobody else writes: every round is decided.

use crate::clients::{Clients, targets};
use crate::effects::Effect;
use crate::model::{Oracle, Target};
use crate::producers::{Kind, SimProducer};
use crate::sessions::{Limits, Round, SessionReader};
use esker_client::ClientError;
use esker_wire::ErrorCode;
use futures_util::future::join;
use std::collections::BTreeMap;
use std::time::Duration;

/// The topic that is deleted under a session.
const GONE: Target = ("sim-gone", 0);
/// Rounds within which everything is read.
const ROUNDS_MAX: usize = 400;
/// Rounds with narrow limits.
const NARROW_ROUNDS: usize = 40;
/// How long a round waits for what does not come, and for what does.
const IN_VAIN: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);
/// Who brings it: a number that no other producer has.
const NEWS_PRODUCER: u64 = 99;
/// When it comes.
const NEWS_AFTER: Duration = Duration::from_secs(1);
/// What an answer may take beside the wait for data, on a network and with disks that are not held up.
const SOON: Duration = Duration::from_secs(1);

impl Clients {
    /// Reads by sessions, with wide limits and narrow ones, waits for news, and loses a topic.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub(crate) async fn sessions_in_peace(&self) -> Result<(), ClientError> {
        let mut reader = self.read_by_session().await?;
        self.take_turns().await?;
        self.wait_for_news(&mut reader).await?;
        self.lose_a_topic().await
    }

    async fn at_starts(&self) -> Result<SessionReader, ClientError> {
        let mut starts = BTreeMap::new();
        for target in targets() {
            starts.insert(target, self.start_of(target).await?);
        }
        Ok(SessionReader::new(starts))
    }

    fn has_read_all(&self, reader: &SessionReader) -> bool {
        let model = self.model.lock();
        reader.positions().iter().all(|(target, next)| *next >= model.end_of(*target))
    }

    fn session_problem(&self, target: Target, what: &str) {
        self.model.lock().problem(Oracle::Session, target, what);
    }

    /// Everything comes, of every partition in every round.
    async fn read_by_session(&self) -> Result<SessionReader, ClientError> {
        let mut reader = self.at_starts().await?;
        for _ in 0..ROUNDS_MAX {
            if self.has_read_all(&reader) {
                return Ok(reader);
            }
            let round = reader.round(self, Limits::AMPLE).await?;
            reader.judge_hunger(self, 0);
            reader.catch_up(self, &round).await?;
        }
        self.session_problem(("?", -1), "a session does not come to the end of what there is");
        Ok(reader)
    }

    /// With room for one partition or less every one has its turn.
    async fn take_turns(&self) -> Result<(), ClientError> {
        let mut reader = self.at_starts().await?;
        let narrow =
            |bits| Limits { bytes: 1 << bits, partition_bytes: 1 << bits, ..Limits::AMPLE };
        let limits = narrow(self.entropy.between(6, 14));
        for _ in 0..NARROW_ROUNDS {
            if self.has_read_all(&reader) {
                break;
            }
            let round = reader.round(self, limits).await?;
            reader.judge_hunger(self, targets().count());
            reader.catch_up(self, &round).await?;
        }
        Ok(())
    }

    async fn timed_round(
        &self,
        reader: &mut SessionReader,
        wait: Duration,
    ) -> Result<(Round, Duration), ClientError> {
        let clock = &self.client.env().clock;
        let since = clock.now();
        let round = reader.round(self, Limits { wait, ..Limits::AMPLE }).await?;
        Ok((round, clock.now().since(since)))
    }

    /// Who is at the end waits as long as it said, or until something comes.
    async fn wait_for_news(&self, reader: &mut SessionReader) -> Result<(), ClientError> {
        // The edges that it has yet to be told of.
        let _settled = reader.round(self, Limits::AMPLE).await?;
        let (round, took) = self.timed_round(reader, IN_VAIN).await?;
        if !round.fed.is_empty() || took < IN_VAIN || took > IN_VAIN + SOON {
            let what = format!("a session without news was answered after {took:?}: {round:?}");
            self.session_problem(("?", -1), &what);
        }
        self.trace.count(Effect::SessionWaited);
        let ends = || {
            let model = self.model.lock();
            targets().map(|target| (target, model.end_of(target))).collect::<BTreeMap<_, _>>()
        };
        let before = ends();
        let clock = &self.client.env().clock;
        let news = async {
            let clients = self.apart();
            clock.sleep(NEWS_AFTER).await;
            let sent = SimProducer::new(NEWS_PRODUCER, Kind::Plain).step(&clients).await;
            sent.map(|()| clock.now())
        };
        let since = clock.now();
        let (waited, sent) = join(self.timed_round(reader, PATIENCE), news).await;
        let ((round, took), sent) = (waited?, sent?);
        let came = ends().into_iter().find(|(target, end)| *end > before[target]);
        let Some((target, _)) = came else { return Ok(()) };
        if !round.fed.contains(&target) || took > sent.since(since) + SOON {
            let what = format!("news after {:?}, told after {took:?}", sent.since(since));
            self.session_problem(target, &what);
        }
        self.trace.count(Effect::SessionWoken);
        Ok(())
    }

    /// A deleted topic is told of in every round, until the reader forgets it.
    async fn lose_a_topic(&self) -> Result<(), ClientError> {
        self.make_topic(GONE.0, 1, Vec::new()).await?;
        let other = targets().next().expect("there are some");
        let end = self.model.lock().end_of(other);
        let mut reader = SessionReader::new([(GONE, 0), (other, end)]);
        let at_once = Limits { wait: Duration::ZERO, ..Limits::AMPLE };
        let round = reader.round(self, at_once).await?;
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        if let Some(code) = round.errors.get(&GONE) {
            self.session_problem(GONE, &format!("it was just made, and its code is {code}"));
        }
        self.client.delete_topic(GONE.0).await?;
        for _ in 0..2 {
            let round = reader.round(self, at_once).await?;
            let code = round.errors.get(&GONE);
            if code != Some(&unknown) {
                self.session_problem(GONE, &format!("it was deleted, and its code is {code:?}"));
            }
        }
        reader.forget(GONE);
        let _not_told = reader.round(self, at_once).await?;
        self.trace.count(Effect::SessionTopicGone);
        Ok(())
    }
}

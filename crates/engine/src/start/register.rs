//! Registering with the metadata, opening this registration's journals, taking the lead of its
//! partitions.

use crate::context::Context;
use crate::journal::opening::JournalOpener;
use crate::journal::owned::OwnedJournal;
use crate::options::EngineOptions;
use crate::start::error::EngineError;
use crate::start::recovery::{RecoveredTails, wait_for};
use esker_env::Env;
use esker_meta::{Command, PartitionElection, Registration, Rejected, Reply};
use esker_meta_client::{MetaClient, MetaError};
use esker_types::{Incarnation, StoreId};
use std::sync::Arc;
use std::time::Duration;

/// Journals that one broker writes: one for internal topics, one for the rest.
const JOURNALS: u8 = 2;
/// Between two attempts to register under a number that another process has.
const REGISTER_AGAIN: Duration = Duration::from_millis(200);

/// Registers this broker as `process`, whose log is on the disk `store`.
pub(crate) async fn register(
    env: &Env,
    meta: &dyn MetaClient,
    options: &EngineOptions,
    process: u128,
    store: StoreId,
) -> Result<Incarnation, EngineError> {
    let registration = Registration {
        process,
        host: options.host.clone(),
        port: options.port,
        peer: options.peer.clone(),
        rack: options.rack.clone(),
        stores: vec![store],
    };
    let command =
        Command::Register { broker: options.broker, registration: Box::new(registration) };
    let reply = loop {
        match meta.propose(command.clone()).await {
            // The process before on another disk may be dead and not be thought so yet.
            Err(MetaError::Rejected(reason @ Rejected::BrokerIdInUse(_))) => {
                tracing::warn!(%reason, "waiting to register");
                env.clock.sleep(REGISTER_AGAIN).await;
            }
            reply => break reply?,
        }
    };
    let Reply::Registered(incarnation) = reply else {
        panic!("a registration is answered with an incarnation, not {reply:?}")
    };
    if meta.image().times_proved.is_empty() {
        // Before the first id of an object is given out.
        meta.propose(Command::ProveTimes { broker: options.broker, incarnation }).await?;
    }
    Ok(incarnation)
}

/// Opens this registration's journals and waits until they are durable: what leads partitions has
/// durable journals, and a log without them is from an earlier time.
pub(crate) async fn open_journals(
    opener: &JournalOpener,
) -> Result<Vec<Arc<OwnedJournal>>, EngineError> {
    let mut journals = Vec::new();
    for shard in 0..JOURNALS {
        journals.push(opener.open(shard).await?);
    }
    for journal in &journals {
        wait_for(&opener.wal, &opener.listener, journal.id(), |_| true).await?;
    }
    Ok(journals)
}

/// Makes this broker the leader of everything that it led before, from the ends of `tails` on.
pub(crate) async fn elect(context: &Context, tails: &RecoveredTails) -> Result<(), EngineError> {
    let (broker, incarnation) = (context.options.broker, context.incarnation);
    let image = context.image();
    let partitions: Vec<_> = image
        .partitions
        .iter()
        .filter(|(_, row)| row.leader == broker && row.leader_incarnation != incarnation)
        .map(|(pid, row)| PartitionElection {
            partition: *pid,
            expect: row.leader_epoch,
            start: tails
                .get(pid)
                .and_then(|tail| tail.last())
                .map_or(row.tiered_end, |last| last.end),
        })
        .collect();
    if partitions.is_empty() {
        return Ok(());
    }
    let wanted = partitions.len();
    let command = Command::ElectLeaders { broker, incarnation, partitions };
    let reply = context.meta.propose(command).await?;
    let Reply::Elected(elected) = reply else {
        panic!("an election is answered with partitions, not {reply:?}")
    };
    if elected.len() < wanted {
        tracing::warn!(wanted, elected = elected.len(), "some partitions have no leader");
    }
    Ok(())
}

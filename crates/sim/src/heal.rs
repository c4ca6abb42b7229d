//! What is looked at all along, and the last life: nothing fails any more, and everything must be found.

use crate::clients::is_explained;
use crate::model::{Oracle, Problem};
use crate::plan::Feature;
use crate::run::End;
use crate::time::within;
use crate::world::World;
use esker_client::ClientError;
use esker_engine::Verified;
use esker_meta::ObjectKind;
use esker_node::Node;
use esker_object::{data_key, manifest_key};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// Virtual time within which a healed node serves everything that waits.
const HEALED_WITHIN: Duration = Duration::from_secs(120);
/// More than all jumps and drifts of a simulation together.
const WALL_CATCHES_UP_MS: i64 = 4 * 60 * 60 * 1000;
/// Virtual time after which nothing is under way any more that a client has given up.
const SETTLED_AFTER: Duration = Duration::from_secs(20);

impl World {
    /// Looks now and then whether the metadata and the bucket agree.
    pub(crate) fn watch(&self, node: &Arc<Node>) -> AbortHandle {
        let (node, store) = (Arc::clone(node), Arc::clone(&self.store));
        let model = Arc::clone(&self.clients.model);
        self.repeat(2_000, async move || {
            let image = node.engine().meta().image();
            if let Err(problem) = image.check() {
                model.lock().problems.push(Problem::new(Oracle::Metadata, problem));
            }
            let missing = missing(&named(&image), &store.objects());
            model.lock().problems.extend(missing);
            Ok(())
        })
    }

    /// The end: under faults that pass for a while, or right away, everything heals where it stands. Whether it could.
    pub(crate) async fn last_life(&self, node: &Arc<Node>, end: End) -> Result<bool, Problem> {
        let clock = Arc::clone(&self.host().env.clock);
        if self.entropy.chance(60) && end == End::Last {
            let tasks = self.work(node);
            let life = Duration::from_millis(self.entropy.between(1_000, 30_000));
            clock.sleep(self.plan.life_max.map_or(life, |longest| life.min(longest))).await;
            tasks.iter().for_each(AbortHandle::abort);
        }
        self.calm();
        if !self.wounds.lock().is_empty() {
            return Ok(false);
        }
        clock.sleep(SETTLED_AFTER).await;
        Box::pin(self.heal(node)).await?;
        self.clients.model.lock().was_found = true;
        Ok(true)
    }

    /// What waits must get through, and everything be found.
    async fn heal(&self, node: &Arc<Node>) -> Result<(), Problem> {
        let failed = |error: ClientError| {
            Problem::new(Oracle::Progress, format!("a healed node says: {error}"))
        };
        let progress = async {
            self.clients.make_topics().await.map_err(failed)?;
            for producer in &self.producers {
                let mut producer = producer.lock().await;
                loop {
                    let outcome = producer.step(&self.clients).await;
                    if outcome.is_ok() && producer.is_idle() {
                        break;
                    }
                    if let Err(error) = outcome
                        && !is_explained(&error)
                    {
                        return Err(failed(error));
                    }
                    self.host().env.clock.sleep(Duration::from_millis(200)).await;
                }
            }
            if self.plan.has(Feature::Sessions) {
                // Requests that the bucket was slow with are over once everything was read.
                self.clients.read_everything("settled").await.map_err(failed)?;
                self.clients.sessions_in_peace().await.map_err(failed)?;
            }
            let time = self.clients.time();
            self.clients.model.lock().tell(|history| history.last_polls(time));
            self.clients.read_everything("final").await.map_err(failed)?;
            self.seek_everything(true).await.map_err(failed)?;
            self.clients.commit().await.map_err(failed)?;
            self.clients.read_groups().await.map_err(failed)?;
            self.clients.read_admin().await.map_err(failed)
        };
        within(HEALED_WITHIN, Box::pin(progress)).await.ok_or_else(|| {
            Problem::new(Oracle::Progress, "no progress within 120 s of healing")
        })??;
        Box::pin(self.bucket_settles(node)).await?;
        // From the bucket alone.
        node.engine().clear_cache().await;
        self.clients.read_everything("cold").await.map_err(failed)?;
        self.seek_everything(true).await.map_err(failed)
    }

    /// Asks for everything by time and by epoch, unless that is left out.
    pub(crate) async fn seek_everything(&self, healed: bool) -> Result<(), ClientError> {
        if self.plan.has(Feature::Times) && self.plan.has(Feature::Epochs) {
            self.clients.seek_everything(healed).await?;
        }
        Ok(())
    }

    /// Waits until the bucket holds exactly what the metadata names, and reads all of it.
    async fn bucket_settles(&self, node: &Arc<Node>) -> Result<(), Problem> {
        let clock = &self.host().env.clock;
        // Garbage waits until its grace is over by a wall that may have been set back by all its jumps.
        self.host().clock.jump(WALL_CATCHES_UP_MS);
        let since = clock.now();
        loop {
            let flushed = within(HEALED_WITHIN, node.engine().flush_all(None)).await;
            flushed.ok_or_else(|| {
                Problem::new(Oracle::Progress, "journals are not drained within 120 s of healing")
            })?;
            clock.sleep(Duration::from_secs(3)).await;
            let image = node.engine().meta().image();
            let (mut named, held) = (named(&image), self.store.objects());
            // What a manifest lists has no row of its own.
            let listed = self.store.listed(|key| named.contains_key(key));
            named.extend(listed.map_err(|what| Problem::new(Oracle::Bucket, what))?);
            if let Some(problem) = missing(&named, &held) {
                return Err(problem);
            }
            let extra: Vec<_> = held.keys().filter(|key| !named.contains_key(*key)).collect();
            if image.garbage.is_empty() && extra.is_empty() {
                break;
            }
            if clock.now().since(since) > HEALED_WITHIN {
                let what = format!(
                    "nothing names {} objects, and they are kept ({} wait to be deleted), among them {:?}",
                    extra.len(),
                    image.garbage.len(),
                    extra.first()
                );
                return Err(Problem::new(Oracle::Bucket, what));
            }
        }
        let mut damaged = None;
        node.engine()
            .verify(|told| {
                if let Verified::Damaged { object, problem } = told {
                    damaged = Some(format!("{object}: {problem}"));
                }
            })
            .await;
        damaged.map_or(Ok(()), |what| Err(Problem::new(Oracle::Bucket, what)))
    }
}

/// Keys and lengths of the objects that the metadata names.
fn named(image: &esker_meta::State) -> BTreeMap<String, u64> {
    let key = |id: &esker_types::ObjectId, row: &esker_meta::ObjectRow| match row.kind {
        ObjectKind::Manifest => manifest_key(*id, row.incarnation),
        _ => data_key(*id, row.incarnation),
    };
    image.objects.iter().map(|(id, row)| (key(id, row), row.len)).collect()
}

/// What the bucket does not hold, or holds in another length.
fn missing(named: &BTreeMap<String, u64>, held: &BTreeMap<String, u64>) -> Option<Problem> {
    let missing = named.iter().find(|(key, len)| held.get(*key) != Some(len));
    missing.map(|(key, len)| {
        let what = match held.get(key) {
            Some(found) => format!("{key} has {found} bytes, not {len}"),
            None => format!("the bucket does not hold {key}"),
        };
        Problem::new(Oracle::Bucket, what)
    })
}

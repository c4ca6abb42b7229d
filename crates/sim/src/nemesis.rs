//! What goes on beside each other until a life ends: clients at work, and faults that come and go.

use crate::effects::Effect;
use crate::plan::Feature;
use crate::producers::SimProducer;
use crate::readers::Follower;
use crate::sessions::SessionReader;
use crate::time::pause;
use crate::world::{CLIENTS, World};
use esker_client::ClientError;
use esker_env::Entropy;
use esker_node::Node;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::AbortHandle;

/// Consumers that read on where they stopped.
const FOLLOWERS: u64 = 2;
/// Members of the group.
const MEMBERS: u64 = 3;

impl World {
    /// Starts everything. The handles end it.
    pub(crate) fn work(&self, node: &Arc<Node>) -> Vec<AbortHandle> {
        let mut tasks = self.clients_at_work(node);
        tasks.extend(self.faults_at_work());
        tasks
    }

    fn producers_at_work(&self) -> Vec<AbortHandle> {
        let start = |producer: &Arc<tokio::sync::Mutex<SimProducer>>| {
            let (producer, clients) = (Arc::clone(producer), self.clients.apart());
            let rush = Arc::clone(&clients.rush);
            let pause_ms = move || if rush.load(Ordering::Relaxed) { 3 } else { 300 };
            self.repeat_after(pause_ms, async move || {
                producer.lock().await.step_at_ease(&clients).await
            })
        };
        self.producers.iter().map(start).collect()
    }

    fn clients_at_work(&self, node: &Arc<Node>) -> Vec<AbortHandle> {
        let mut tasks = self.producers_at_work();
        if self.sometimes(Feature::Rush, 15) {
            let (clients, entropy) = (self.clients.clone(), Arc::clone(&self.entropy));
            tasks.push(self.repeat(8_000, async move || {
                clients.rush(Duration::from_millis(entropy.between(100, 1_000))).await;
                Ok(())
            }));
        }
        if self.plan.has(Feature::Consumers) {
            let clients = self.clients.clone();
            tasks.push(self.repeat(500, async move || clients.read_somewhere().await));
            for number in 0..FOLLOWERS {
                let clients = self.clients.apart();
                let number = self.life * FOLLOWERS + number;
                let follower = Follower::new(number, &clients.entropy);
                let follower = tokio::sync::Mutex::new(follower);
                tasks.push(
                    self.repeat(700, async move || follower.lock().await.step(&clients).await),
                );
            }
        }
        if self.plan.has(Feature::Times) {
            let clients = self.clients.apart();
            tasks.push(self.repeat(700, async move || clients.seek_times().await));
        }
        if self.plan.has(Feature::Epochs) {
            let clients = self.clients.apart();
            tasks.push(self.repeat(2_000, async move || clients.seek_epochs().await));
        }
        if self.plan.has(Feature::Sessions) {
            let clients = self.clients.apart();
            let reader = tokio::sync::Mutex::new(SessionReader::default());
            tasks.push(self.repeat(600, async move || reader.lock().await.step(&clients).await));
        }
        if self.plan.has(Feature::Commits) {
            let clients = self.clients.once();
            tasks.push(self.repeat(900, async move || clients.commit().await));
        }
        if self.sometimes(Feature::Members, 60) {
            for _ in 0..MEMBERS {
                let clients = self.clients.apart();
                tasks.push(self.repeat(4_000, async move || clients.be_a_member().await));
            }
            let clients = self.clients.clone();
            tasks.push(
                self.repeat(3_000, async move || {
                    clients.look_at_group(crate::admin::MEMBERS).await
                }),
            );
        }
        if self.plan.has(Feature::Liars) {
            let clients = self.clients.once();
            tasks.push(self.repeat(5_000, async move || clients.lie().await));
        }
        if self.plan.has(Feature::Trims) {
            let clients = self.clients.clone();
            tasks.push(self.repeat(9_000, async move || clients.trim().await));
        }
        if self.plan.has(Feature::Churn) {
            let clients = self.clients.clone();
            tasks.push(self.repeat(12_000, async move || clients.churn().await));
        }
        if self.plan.has(Feature::Again) {
            let clients = self.clients.clone();
            tasks.push(self.repeat(6_000, async move || clients.again().await));
        }
        if self.plan.has(Feature::Settings) {
            let clients = self.clients.clone();
            tasks.push(self.repeat(6_000, async move || clients.configure().await));
        }
        if self.plan.has(Feature::Flushes) {
            let (node, trace) = (Arc::clone(node), Arc::clone(&self.trace));
            tasks.push(self.repeat(8_000, async move || {
                node.engine().flush_all(None).await;
                node.engine().clear_cache().await;
                trace.count(Effect::Flushed);
                Ok(())
            }));
        }
        tasks.push(self.watch(node));
        tasks
    }

    fn faults_at_work(&self) -> Vec<AbortHandle> {
        let mut tasks = Vec::new();
        let host = self.host();
        let clock = || Arc::clone(&host.env.clock);
        let entropy = || Arc::clone(&self.entropy);
        let trace = || Arc::clone(&self.trace);
        if self.sometimes(Feature::Break, 60) {
            let net = self.net.clone();
            tasks.push(self.repeat(6_000, async move || {
                net.break_one();
                Ok(())
            }));
        }
        if self.sometimes(Feature::Partition, 40) {
            let (net, entropy, name) = (self.net.clone(), entropy(), host.name);
            tasks.push(self.repeat(25_000, async move || {
                let wait = Duration::from_millis(entropy.between(100, 20_000));
                let both = entropy.chance(50);
                if both || entropy.chance(50) {
                    net.close_way(CLIENTS, name, wait);
                }
                if both || entropy.chance(50) {
                    net.close_way(name, CLIENTS, wait);
                }
                Ok(())
            }));
        }
        if self.sometimes(Feature::Outage, 40) {
            let (bucket, clock, entropy) = (Arc::clone(&host.bucket), clock(), entropy());
            tasks.push(self.repeat(30_000, async move || {
                let denied = entropy.chance(20);
                bucket.set_faults(|faults| {
                    faults.out_of_reach = !denied;
                    faults.denied = denied;
                });
                clock.sleep(Duration::from_millis(entropy.between(1_000, 40_000))).await;
                bucket.set_faults(|faults| {
                    faults.out_of_reach = false;
                    faults.denied = false;
                });
                Ok(())
            }));
        }
        if self.sometimes(Feature::Clock, 40) {
            let (clock, entropy, trace) = (Arc::clone(&host.clock), entropy(), trace());
            tasks.push(self.repeat(40_000, async move || {
                let by = i64::try_from(entropy.below(1_200_000)).expect("small") - 600_000;
                clock.jump(by);
                trace.count(Effect::WallJumped);
                Ok(())
            }));
        }
        if self.sometimes(Feature::Pause, 40) {
            let (entropy, trace) = (entropy(), trace());
            tasks.push(self.repeat(40_000, async move || {
                pause(Duration::from_millis(entropy.between(100, 45_000))).await;
                trace.count(Effect::StoodStill);
                Ok(())
            }));
        }
        if self.sometimes(Feature::Full, 20) {
            let (drive, clock, entropy) = (Arc::clone(&host.drive), clock(), entropy());
            let bucket = Arc::clone(&host.bucket);
            let clients = self.plan.has(Feature::Rush).then(|| self.clients.clone());
            tasks.push(self.repeat(15_000, async move || {
                drive.leave_room(Some(entropy.below(32 << 10)));
                // A bucket on the same disk takes nothing either, so that the log has to grow.
                bucket.set_faults(|faults| faults.full = entropy.chance(60));
                if let Some(clients) = &clients {
                    clients.rush(Duration::from_millis(entropy.below(1_500))).await;
                }
                clock.sleep(Duration::from_millis(entropy.between(200, 30_000))).await;
                bucket.set_faults(|faults| faults.full = false);
                drive.leave_room(None);
                Ok(())
            }));
        }
        if self.sometimes(Feature::Rot, 8) && self.life > 1 {
            let (drive, entropy) = (Arc::clone(&host.drive), entropy());
            let (wounds, trace) = (Arc::clone(&self.wounds), trace());
            tasks.push(self.repeat(20_000, async move || {
                if let Some(injury) = drive.injure(&entropy, false) {
                    trace.note(0, "wound", &injury.what, 0);
                    trace.count(Effect::RotAwake);
                    wounds.lock().push(injury);
                }
                Ok(())
            }));
        }
        tasks
    }

    /// Whether a feature is part of this life. The die is thrown in any case.
    fn sometimes(&self, feature: Feature, percent: u64) -> bool {
        self.entropy.chance(percent) && self.plan.has(feature)
    }

    /// Does `work` again and again, with pauses up to `pause_ms`.
    pub(crate) fn repeat<F>(&self, pause_ms: u64, work: F) -> AbortHandle
    where
        F: AsyncFn() -> Result<(), ClientError> + 'static,
    {
        self.repeat_after(move || pause_ms, work)
    }

    fn repeat_after<F>(&self, pause_ms: impl Fn() -> u64 + 'static, work: F) -> AbortHandle
    where
        F: AsyncFn() -> Result<(), ClientError> + 'static,
    {
        let (clock, entropy) = (Arc::clone(&self.host().env.clock), Arc::clone(&self.entropy));
        let task = async move {
            loop {
                clock.sleep(Duration::from_millis(entropy.between(1, pause_ms()))).await;
                let _faults_explain_it = work().await;
            }
        };
        tokio::task::spawn_local(task).abort_handle()
    }
}

//! Random histories: nothing panics, invariants hold, and the log tells the same story as the shard.

use esker_types::Offset;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::world::{World, join_request, protocol, topic};
use crate::*;

/// One step; members and instances are numbers that are resolved when it is taken.
#[derive(Debug, Clone)]
enum Step {
    Join {
        member: Option<usize>,
        instance: Option<usize>,
        protocols: u8,
        known: bool,
        skip: bool,
    },
    Sync {
        member: usize,
        stale: bool,
    },
    Heartbeat {
        member: usize,
        stale: bool,
    },
    Leave {
        member: usize,
        instance: Option<usize>,
    },
    Commit {
        member: Option<usize>,
        topic: usize,
        offset: i64,
    },
    DeleteOffset {
        topic: usize,
    },
    DeleteGroup,
    DeleteTopic {
        topic: usize,
    },
    Advance {
        ms: u64,
    },
    CommitOne,
    Fail,
    Reload,
    /// What makes a stable group of what is there and two more, if nothing comes in between.
    Form,
    /// Every member joins again, as after a heartbeat that told of a rebalance.
    Rejoin,
    /// Every member asks for its assignment, which is different every time.
    SyncAll,
}

const TOPICS: [&str; 3] = ["t", "u", "v"];
const INSTANCES: [&str; 2] = ["one", "two"];

fn step() -> impl Strategy<Value = Step> {
    let member = || 0usize..6;
    let instance = || proptest::option::weighted(0.3, 0usize..2);
    prop_oneof![
        6 => (proptest::option::weighted(0.6, member()), instance(), 1u8..4, any::<bool>(), any::<bool>())
            .prop_map(|(member, instance, protocols, known, skip)| {
                Step::Join { member, instance, protocols, known, skip }
            }),
        6 => (member(), proptest::bool::weighted(0.1)).prop_map(|(member, stale)| Step::Sync { member, stale }),
        3 => (member(), proptest::bool::weighted(0.1))
            .prop_map(|(member, stale)| Step::Heartbeat { member, stale }),
        1 => (member(), instance()).prop_map(|(member, instance)| Step::Leave { member, instance }),
        3 => (proptest::option::weighted(0.7, member()), 0usize..3, 0i64..100)
            .prop_map(|(member, topic, offset)| Step::Commit { member, topic, offset }),
        1 => (0usize..3).prop_map(|topic| Step::DeleteOffset { topic }),
        1 => Just(Step::DeleteGroup),
        1 => (0usize..3).prop_map(|topic| Step::DeleteTopic { topic }),
        4 => prop_oneof![4 => 0u64..100, 4 => 1_000u64..9_000, 1 => Just(20_000), 1 => Just(700_000), 1 => Just(8 * 86_400_000)]
            .prop_map(|ms| Step::Advance { ms }),
        8 => Just(Step::CommitOne),
        1 => Just(Step::Fail),
        1 => Just(Step::Reload),
        3 => Just(Step::Rejoin),
        3 => Just(Step::Form),
        5 => Just(Step::SyncAll),
    ]
}

struct Run {
    world: World,
    /// Ids that the coordinator has given out, oldest first.
    ids: Vec<MemberId>,
    joins: Vec<ReplyId>,
    /// Highest generation of each life of the group.
    generation: i32,
    round: usize,
    /// Times that a step left a stable group of several members behind.
    stable: usize,
}

impl Run {
    /// What the members of the group send when they join again.
    fn rejoin_requests(&self) -> Vec<JoinGroup> {
        let group = self.world.shard.groups.get("g").into_iter();
        let members = group.flat_map(|group| group.members().iter());
        let request = |(id, member): (&MemberId, &classic::group::Member)| JoinGroup {
            group_instance_id: member.group_instance_id.clone(),
            protocols: member.protocols.clone(),
            ..join_request(id.as_str())
        };
        members.map(request).collect()
    }

    fn member(&self, number: usize) -> MemberId {
        // Living members first, then the newest ids, so that most steps concern somebody.
        let living = self.world.shard.groups.get("g").into_iter();
        let living = living.flat_map(|group| group.members().keys());
        let mut all = living.chain(self.ids.iter().rev());
        all.nth(number).cloned().unwrap_or_else(|| MemberId::new("stranger"))
    }

    fn generation_of_group(&self, stale: bool) -> i32 {
        let group = self.world.shard.groups.get("g");
        group.map_or(1, classic::group::Group::generation) - i32::from(stale)
    }

    fn take(&mut self, step: Step) {
        let generation = self.generation_of_group(false);
        match step {
            Step::Join { member, instance, protocols, known, skip } => {
                let offers = ["range", "sticky"].iter().enumerate();
                let offers = offers.filter(|(bit, _)| protocols & (1 << bit) != 0);
                let request = JoinGroup {
                    member_id: member.map_or_else(MemberId::none, |number| self.member(number)),
                    group_instance_id: instance.map(|at| INSTANCES[at].into()),
                    protocols: offers.map(|(_, name)| protocol(name, &["t"])).collect(),
                    requires_known_member_id: known,
                    supports_skipping_assignment: skip,
                    ..join_request("")
                };
                let reply = self.world.join(request);
                self.joins.push(reply);
            }
            Step::Sync { member, stale } => {
                let member = self.member(member);
                let all = self.ids.clone();
                let assignments: Vec<_> = all.iter().map(|id| (id, "part")).collect();
                self.world.sync(&member, generation - i32::from(stale), &assignments);
            }
            Step::Form => {
                let new = |instance: Option<usize>| Step::Join {
                    member: None,
                    instance,
                    protocols: 3,
                    known: false,
                    skip: true,
                };
                self.take(new(None));
                self.take(new(Some(self.round % 2)));
                self.take(Step::Advance { ms: 6_000 });
                self.take(Step::Rejoin);
                self.take(Step::SyncAll);
                self.world.commit();
            }
            Step::Rejoin => {
                for request in self.rejoin_requests() {
                    let reply = self.world.join(request);
                    self.joins.push(reply);
                }
            }
            Step::SyncAll => {
                const PARTS: [&str; 3] = ["first", "second", "third"];
                self.round += 1;
                let all: Vec<_> =
                    self.rejoin_requests().into_iter().map(|join| join.member_id).collect();
                let part = PARTS[self.round % PARTS.len()];
                let assignments: Vec<_> = all.iter().map(|id| (id, part)).collect();
                for member in &all {
                    self.world.sync(member, generation, &assignments);
                }
            }
            Step::Heartbeat { member, stale } => {
                let member = self.member(member);
                let _result = self.world.heartbeat(&member, generation - i32::from(stale));
            }
            Step::Leave { member, instance } => {
                let member = self.member(member);
                let instance = instance.map(|at| INSTANCES[at]);
                self.world.leave(&[(member.as_str(), instance)]);
            }
            Step::Commit { member, topic, offset } => {
                let member = member.map(|number| self.member(number));
                let generation = if member.is_some() { generation } else { -1 };
                let member = member.unwrap_or_else(MemberId::none);
                self.world.commit_offset(member.as_str(), generation, TOPICS[topic], offset);
            }
            Step::DeleteOffset { topic } => self.world.request_delete_offset(TOPICS[topic]),
            Step::DeleteGroup => {
                self.world.delete_group("g");
            }
            Step::DeleteTopic { topic: at } => {
                let gone = [topic(TOPICS[at])];
                self.world.run(|shard, now, wall, out| {
                    shard.on_topics_deleted(now, wall, &gone, out);
                });
            }
            Step::Advance { ms } => self.world.advance(ms),
            Step::CommitOne => {
                self.world.commit_one();
            }
            Step::Fail => {
                if !self.world.appends.is_empty() {
                    self.world.fail_one(AppendFailure::Unavailable);
                }
            }
            Step::Reload => {
                self.world.commit();
                self.check_log();
                self.world.reload();
                // A group may fall back to an older generation: the newer one was never stored.
                self.generation = 0;
            }
        }
        self.observe();
    }

    fn observe(&mut self) {
        for reply in std::mem::take(&mut self.joins) {
            if !self.world.is_answered(reply) {
                self.joins.push(reply);
                continue;
            }
            let response = self.world.joined(reply);
            if !response.member_id.is_empty() && !self.ids.contains(&response.member_id) {
                self.ids.push(response.member_id.clone());
            }
            if response.error.is_none() && !response.members.is_empty() {
                assert!(response.members.iter().any(|m| m.member_id == response.member_id));
            }
        }
        match self.world.shard.groups.get("g") {
            // A group that is gone begins anew.
            None => self.generation = 0,
            Some(group) => {
                assert!(group.generation() >= self.generation, "generations rise");
                self.generation = group.generation();
                let several = group.members().len() > 1;
                self.stable += usize::from(several && group.is_in(GroupState::Stable));
            }
        }
    }

    /// The log, read by another shard, has the durable state of this one.
    fn check_log(&self) {
        let end = Offset(i64::try_from(self.world.log.len()).expect("short"));
        let other = self.world.reloaded();
        let ours = self.world.shard.snapshot(end);
        assert_eq!(other.shard.snapshot(end), ours);
        for name in TOPICS {
            assert_eq!(other.offset(name), self.world.offset(name));
        }
        if self.world.state() == GroupState::Stable {
            let described = self.world.shard.describe_group("g");
            let stored = other.shard.describe_group("g");
            assert_eq!(members(&stored), members(&described));
        }
        // A snapshot is as good as the log.
        let mut third = World::unloaded(Options::default());
        assert_eq!(third.shard.load_snapshot(&ours), Ok(end));
        third.run(|shard, now, wall, out| shard.on_loaded(now, wall, out));
        assert_eq!(third.shard.snapshot(end), ours);
    }
}

/// Who is in the group with which part. Metadata of a follower that changed nothing else are not stored at once.
fn members(
    group: &Result<Option<DescribedGroup>, GroupError>,
) -> Option<Vec<(MemberId, bytes::Bytes)>> {
    let group = group.as_ref().ok()?.as_ref()?;
    Some(group.members.iter().map(|m| (m.member_id.clone(), m.assignment.clone())).collect())
}

impl Run {
    fn new(delay: i32) -> Self {
        let options = Options {
            group_initial_rebalance_delay_ms: delay,
            group_max_size: 4,
            ..Options::default()
        };
        let mut world = World::new(options);
        world.commits_at_once = false;
        Self { world, ids: Vec::new(), joins: Vec::new(), generation: 0, round: 0, stable: 0 }
    }

    /// Lets everybody time out; then every request must have been answered.
    fn finish(&mut self) {
        self.world.commit();
        self.check_log();
        for _ in 0..100 {
            if matches!(self.world.state(), GroupState::Empty | GroupState::Dead) {
                break;
            }
            self.world.advance(100_000);
            self.world.commit();
        }
        assert!(matches!(self.world.state(), GroupState::Empty | GroupState::Dead));
        self.check_log();
        for reply in self.world.requests() {
            assert!(self.world.is_answered(reply), "{reply:?}");
        }
    }
}

fn history() -> impl Strategy<Value = (Vec<Step>, i32)> {
    (vec(step(), 1..120), prop_oneof![Just(0), Just(3_000)])
}

proptest! {
    #[test]
    fn random_histories((steps, delay) in history()) {
        let mut run = Run::new(delay);
        for step in steps {
            run.take(step);
        }
        run.finish();
    }
}

#[test]
fn random_histories_get_somewhere() {
    let mut runner = TestRunner::deterministic();
    let mut stable = 0;
    for _ in 0..100 {
        let (steps, delay) = history().new_tree(&mut runner).unwrap().current();
        let mut run = Run::new(delay);
        for step in steps {
            run.take(step);
        }
        run.finish();
        stable += run.stable;
    }
    println!("{stable} steps of 100 histories ended in a stable group of several members");
    assert!(stable > 200, "only {stable} steps ended in a stable group of several members");
}

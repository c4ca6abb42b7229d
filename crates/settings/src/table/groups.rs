//! Consumer groups of every protocol, and share groups' state.

use super::why::{CLASS, COPIES, GROUP_CODEC, GROUP_COMMIT, LOADED, NEW_GROUPS, THREADS};

settings! { GROUPS
    "group.coordinator.rebalance.protocols": List = Some("classic"), SomeOf(&["consumer", "classic", "share", "streams"]), ReadOnly, Coming(NEW_GROUPS);
        "Group protocols that are served."
    "group.coordinator.threads": Int = Some("4"), AtLeast(1), ReadOnly, Accepted(THREADS);
        "Threads of the coordinator."
    "group.coordinator.background.threads": Int = Some("2"), AtLeast(1), ReadOnly, Accepted(THREADS);
        "Threads for the coordinator's long work."
    "group.coordinator.append.linger.ms": Int = Some("-1"), AtLeast(-1), ReadOnly, Accepted(GROUP_COMMIT);
        "How long a write of the coordinator waits for company."
    "group.coordinator.cached.buffer.max.bytes": Int = Some("1048588"), AtLeast(524_288), ClusterWide, Accepted(THREADS);
        "Memory that the coordinator keeps for its next write."
    "group.min.session.timeout.ms": Int = Some("6000"), Any, ReadOnly, Honoured;
        "Shortest session timeout that a classic member may ask for."
    "group.max.session.timeout.ms": Int = Some("1800000"), Any, ReadOnly, Honoured;
        "Longest session timeout that a classic member may ask for."
    "group.initial.rebalance.delay.ms": Int = Some("3000"), Any, ReadOnly, Honoured;
        "How long an empty group waits for more members after the first."
    "group.max.size": Int = Some("2147483647"), AtLeast(1), ReadOnly, Honoured;
        "Most members of a classic group."
    "offset.metadata.max.bytes": Int = Some("4096"), Any, ReadOnly, Honoured;
        "Longest text that a client may store with an offset."
    "offsets.retention.minutes": Int = Some("10080"), AtLeast(1), ReadOnly, Honoured;
        "How long offsets outlive their group."
    "offsets.retention.check.interval.ms": Long = Some("600000"), AtLeast(1), ReadOnly, Honoured;
        "How often expired offsets are looked for."
    "offsets.commit.timeout.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Accepted(GROUP_COMMIT);
        "How long a commit of offsets may take."
    "offsets.load.buffer.size": Int = Some("5242880"), AtLeast(1), ReadOnly, Accepted(LOADED);
        "Bytes that are read at a time when a coordinator loads offsets."
    "offsets.topic.compression.codec": Int = Some("0"), Any, ReadOnly, Refused(GROUP_CODEC);
        "Codec of the offsets topic."
    "offsets.topic.num.partitions": Int = Some("50"), AtLeast(1), ReadOnly, Honoured;
        "Partitions that the offsets topic is made with."
    "offsets.topic.replication.factor": Short = Some("3"), AtLeast(1), ReadOnly, Accepted(COPIES);
        "Replication factor of the offsets topic."
    "offsets.topic.segment.bytes": Int = Some("104857600"), AtLeast(1), ReadOnly, Honoured;
        "`segment.bytes` that the offsets topic is made with."
    "group.consumer.assignors": List = Some("uniform,range"), NonEmpty, ReadOnly, Coming(NEW_GROUPS);
        "Assignors of consumer groups, the preferred one first."
    "group.consumer.assignment.interval.ms": Int = Some("1000"), AtLeast(0), ClusterWide, Coming(NEW_GROUPS);
        "Shortest time between two assignments of a consumer group."
    "group.consumer.min.assignment.interval.ms": Int = Some("0"), AtLeast(0), ReadOnly, Coming(NEW_GROUPS);
        "Least that a group may set it to."
    "group.consumer.max.assignment.interval.ms": Int = Some("15000"), AtLeast(0), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "group.consumer.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Time between two heartbeats of a consumer group's member."
    "group.consumer.min.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Least that a group may set it to."
    "group.consumer.max.heartbeat.interval.ms": Int = Some("15000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "group.consumer.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Silence after which a consumer group's member is dropped."
    "group.consumer.min.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Least that a group may set it to."
    "group.consumer.max.session.timeout.ms": Int = Some("60000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "group.consumer.max.size": Int = Some("2147483647"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Most members of a consumer group."
    "group.consumer.migration.policy": Text = Some("bidirectional"), OneOfNoCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), ReadOnly, Coming(NEW_GROUPS);
        "Which ways a group may change between the classic and the consumer protocol."
    "group.share.assignors": List = Some("simple"), NonEmpty, ReadOnly, Coming(NEW_GROUPS);
        "Assignors of share groups."
    "group.share.assignment.interval.ms": Int = Some("1000"), AtLeast(0), ClusterWide, Coming(NEW_GROUPS);
        "Shortest time between two assignments of a share group."
    "group.share.min.assignment.interval.ms": Int = Some("0"), AtLeast(0), ReadOnly, Coming(NEW_GROUPS);
        "Least that a group may set it to."
    "group.share.max.assignment.interval.ms": Int = Some("15000"), AtLeast(0), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "group.share.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Time between two heartbeats of a share group's member."
    "group.share.min.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Least that a group may set it to."
    "group.share.max.heartbeat.interval.ms": Int = Some("15000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "group.share.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Silence after which a share group's member is dropped."
    "group.share.min.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Least that a group may set it to."
    "group.share.max.session.timeout.ms": Int = Some("60000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "group.share.max.size": Int = Some("200"), Between(1, 1000), ReadOnly, Coming(NEW_GROUPS);
        "Most members of a share group."
    "group.share.max.share.sessions": Int = Some("2000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Share sessions that a broker remembers."
    "group.share.delivery.count.limit": Int = Some("5"), Between(2, 10), ReadOnly, Coming(NEW_GROUPS);
        "Deliveries of a record before it is given up."
    "group.share.min.delivery.count.limit": Int = Some("2"), Between(2, 5), ReadOnly, Coming(NEW_GROUPS);
        "Least that a group may set it to."
    "group.share.max.delivery.count.limit": Int = Some("10"), Between(5, 25), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "group.share.partition.max.record.locks": Int = Some("2000"), Between(100, 10_000), ReadOnly, Coming(NEW_GROUPS);
        "Records of a partition that may be out for delivery at a time."
    "group.share.min.partition.max.record.locks": Int = Some("100"), Between(100, 2000), ReadOnly, Coming(NEW_GROUPS);
        "Least that a group may set it to."
    "group.share.max.partition.max.record.locks": Int = Some("4000"), Between(2000, 10_000), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "group.share.record.lock.duration.ms": Int = Some("30000"), Between(1000, 3_600_000), ReadOnly, Coming(NEW_GROUPS);
        "How long a consumer may work on a record before it is delivered again."
    "group.share.min.record.lock.duration.ms": Int = Some("15000"), Between(1000, 30_000), ReadOnly, Coming(NEW_GROUPS);
        "Least that a group may set it to."
    "group.share.max.record.lock.duration.ms": Int = Some("60000"), Between(30_000, 3_600_000), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "errors.deadletterqueue.auto.create.topics.enable": Boolean = Some("false"), Any, ClusterWide, Coming(NEW_GROUPS);
        "Whether a share group's dead letter topic is made when it is missing."
    "errors.deadletterqueue.topic.name.prefix": Text = Some("dlq."), Any, ClusterWide, Coming(NEW_GROUPS);
        "What the name of every dead letter topic begins with."
    "group.streams.assignment.interval.ms": Int = Some("1000"), AtLeast(0), ClusterWide, Coming(NEW_GROUPS);
        "Shortest time between two assignments of a streams group."
    "group.streams.min.assignment.interval.ms": Int = Some("0"), AtLeast(0), ReadOnly, Coming(NEW_GROUPS);
        "Least that a group may set it to."
    "group.streams.max.assignment.interval.ms": Int = Some("15000"), AtLeast(0), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "group.streams.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Time between two heartbeats of a streams group's member."
    "group.streams.min.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Least that a group may set it to."
    "group.streams.max.heartbeat.interval.ms": Int = Some("15000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "group.streams.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Silence after which a streams group's member is dropped."
    "group.streams.min.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Least that a group may set it to."
    "group.streams.max.session.timeout.ms": Int = Some("60000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "group.streams.initial.rebalance.delay.ms": Int = Some("3000"), AtLeast(0), ReadOnly, Coming(NEW_GROUPS);
        "How long an empty streams group waits for more members after the first."
    "group.streams.max.size": Int = Some("2147483647"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Most members of a streams group."
    "group.streams.num.standby.replicas": Int = Some("0"), AtLeast(0), ReadOnly, Coming(NEW_GROUPS);
        "Standby copies of each task's state."
    "group.streams.assignors": List = Some("sticky"), NonEmpty, ReadOnly, Coming(NEW_GROUPS);
        "Assignors of streams groups, the preferred one first."
    "group.streams.rack.aware.assignment.tags": List = Some(""), Any, ReadOnly, Coming(NEW_GROUPS);
        "Tags of clients over which standby copies are spread."
    "group.streams.topology.description.plugin.class": Class = None, Any, ReadOnly, Refused(CLASS);
        "Class that keeps descriptions of topologies."
    "group.streams.max.standby.replicas": Int = Some("2"), AtLeast(0), ReadOnly, Coming(NEW_GROUPS);
        "Most that a group may set it to."
    "share.coordinator.append.linger.ms": Int = Some("-1"), AtLeast(-1), ReadOnly, Coming(NEW_GROUPS);
        "How long a write of the share coordinator waits for company."
    "share.coordinator.cached.buffer.max.bytes": Int = Some("1048588"), AtLeast(524_288), ClusterWide, Coming(NEW_GROUPS);
        "Memory that the share coordinator keeps for its next write."
    "share.coordinator.load.buffer.size": Int = Some("5242880"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Bytes that are read at a time when a share coordinator loads."
    "share.coordinator.snapshot.update.records.per.snapshot": Int = Some("500"), Between(0, 500), ReadOnly, Coming(NEW_GROUPS);
        "Updates between two snapshots of a share partition's state."
    "share.coordinator.state.topic.compression.codec": Int = Some("0"), Any, ReadOnly, Coming(NEW_GROUPS);
        "Codec of the share state topic."
    "share.coordinator.state.topic.min.isr": Short = Some("2"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Least in-sync replicas of the share state topic."
    "share.coordinator.state.topic.num.partitions": Int = Some("50"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Partitions of the share state topic."
    "share.coordinator.state.topic.replication.factor": Short = Some("3"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Replication factor of the share state topic."
    "share.coordinator.state.topic.segment.bytes": Int = Some("104857600"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Segment size of the share state topic."
    "share.coordinator.threads": Int = Some("1"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "Threads of the share coordinator."
    "share.coordinator.write.timeout.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Coming(NEW_GROUPS);
        "How long a write of the share coordinator may take."
}

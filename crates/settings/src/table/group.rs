//! Settings of a group.

use super::why::NEW_GROUPS;

settings! { GROUP
    "consumer.assignment.interval.ms": Int = Some("1000"), AtLeast(0), Dynamic, Refused(NEW_GROUPS) <- [("group.consumer.assignment.interval.ms", 1)];
        "Shortest time between two assignments."
    "consumer.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), Dynamic, Refused(NEW_GROUPS) <- [("group.consumer.heartbeat.interval.ms", 1)];
        "Time between two heartbeats of a member."
    "consumer.session.timeout.ms": Int = Some("45000"), AtLeast(1), Dynamic, Refused(NEW_GROUPS) <- [("group.consumer.session.timeout.ms", 1)];
        "Silence after which a member is dropped."
    "errors.deadletterqueue.copy.record.enable": Boolean = Some("false"), Any, Dynamic, Refused(NEW_GROUPS);
        "Whether a dead letter holds the record itself."
    "errors.deadletterqueue.topic.name": Text = Some(""), Any, Dynamic, Refused(NEW_GROUPS);
        "Topic of a share group's dead letters; empty for none."
    "share.assignment.interval.ms": Int = Some("1000"), AtLeast(0), Dynamic, Refused(NEW_GROUPS) <- [("group.share.assignment.interval.ms", 1)];
        "Shortest time between two assignments."
    "share.auto.offset.reset": Text = Some("latest"), OffsetReset, Dynamic, Refused(NEW_GROUPS);
        "Where a share group starts: `latest`, `earliest` or `by_duration:PT1H`, the records of the last hour."
    "share.delivery.count.limit": Int = Some("5"), AtLeast(2), Dynamic, Refused(NEW_GROUPS) <- [("group.share.delivery.count.limit", 1)];
        "Deliveries of a record before it is given up."
    "share.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), Dynamic, Refused(NEW_GROUPS) <- [("group.share.heartbeat.interval.ms", 1)];
        "Time between two heartbeats of a member."
    "share.isolation.level": Text = Some("read_uncommitted"), OneOf(&["read_committed", "read_uncommitted"]), Dynamic, Refused(NEW_GROUPS);
        "Whether records of open transactions are delivered."
    "share.partition.max.record.locks": Int = Some("2000"), AtLeast(100), Dynamic, Refused(NEW_GROUPS) <- [("group.share.partition.max.record.locks", 1)];
        "Records of a partition that may be out for delivery at a time."
    "share.record.lock.duration.ms": Int = Some("30000"), AtLeast(1000), Dynamic, Refused(NEW_GROUPS) <- [("group.share.record.lock.duration.ms", 1)];
        "How long a consumer may work on a record before it is delivered again."
    "share.renew.acknowledge.enable": Boolean = Some("true"), Any, Dynamic, Refused(NEW_GROUPS);
        "Whether a consumer may ask for more time for a record."
    "share.session.timeout.ms": Int = Some("45000"), AtLeast(1), Dynamic, Refused(NEW_GROUPS) <- [("group.share.session.timeout.ms", 1)];
        "Silence after which a member is dropped."
    "streams.assignment.interval.ms": Int = Some("1000"), AtLeast(0), Dynamic, Refused(NEW_GROUPS) <- [("group.streams.assignment.interval.ms", 1)];
        "Shortest time between two assignments."
    "streams.assignor.name": Text = Some("sticky"), Any, Dynamic, Refused(NEW_GROUPS);
        "Assignor of the group."
    "streams.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), Dynamic, Refused(NEW_GROUPS) <- [("group.streams.heartbeat.interval.ms", 1)];
        "Time between two heartbeats of a member."
    "streams.initial.rebalance.delay.ms": Int = Some("3000"), AtLeast(0), Dynamic, Refused(NEW_GROUPS) <- [("group.streams.initial.rebalance.delay.ms", 1)];
        "How long an empty group waits for more members after the first."
    "streams.num.standby.replicas": Int = Some("0"), AtLeast(0), Dynamic, Refused(NEW_GROUPS) <- [("group.streams.num.standby.replicas", 1)];
        "Standby copies of each task's state."
    "streams.rack.aware.assignment.tags": List = Some(""), Any, Dynamic, Refused(NEW_GROUPS) <- [("group.streams.rack.aware.assignment.tags", 1)];
        "Tags of clients over which standby copies are spread."
    "streams.session.timeout.ms": Int = Some("45000"), AtLeast(1), Dynamic, Refused(NEW_GROUPS) <- [("group.streams.session.timeout.ms", 1)];
        "Silence after which a member is dropped."
}

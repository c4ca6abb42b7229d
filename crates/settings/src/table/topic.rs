//! Settings of a topic.

use super::why::{
    ALWAYS_TIERED, COMPACTION, GRACE, LEVEL, MERGE, NEW_GROUPS, NO_FILES, QUORUM, SYNCED, TIER,
    VERBATIM,
};

settings! { TOPIC
    "cleanup.policy": List = Some("delete"), EachOf(&["compact", "delete"]), Dynamic, Honoured <- [("log.cleanup.policy", 1)];
        "What happens to old records: `delete`, `compact`, or both. Under `compact` every record needs a key, and all are kept: compaction is not served yet."
    "compression.type": Text = Some("producer"), OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Dynamic, Refused(VERBATIM) <- [("compression.type", 1)];
        "Codec in which records are kept; `producer` keeps them as they came."
    "compression.gzip.level": Int = Some("-1"), BetweenOr(1, 9, -1), Dynamic, Accepted(LEVEL) <- [("compression.gzip.level", 1)];
        "Level where `compression.type` is `gzip`."
    "compression.lz4.level": Int = Some("9"), Between(1, 17), Dynamic, Accepted(LEVEL) <- [("compression.lz4.level", 1)];
        "Level where `compression.type` is `lz4`."
    "compression.zstd.level": Int = Some("3"), Between(-131_072, 22), Dynamic, Accepted(LEVEL) <- [("compression.zstd.level", 1)];
        "Level where `compression.type` is `zstd`."
    "delete.retention.ms": Long = Some("86400000"), AtLeast(0), Dynamic, Coming(COMPACTION) <- [("log.cleaner.delete.retention.ms", 1)];
        "How long a compacted topic keeps tombstones."
    "errors.deadletterqueue.group.enable": Boolean = Some("false"), Any, Dynamic, Coming(NEW_GROUPS);
        "Whether share groups may use the topic for their dead letters."
    "file.delete.delay.ms": Long = Some("60000"), AtLeast(0), Dynamic, Accepted(GRACE) <- [("log.segment.delete.delay.ms", 1)];
        "How long a deleted file stays."
    "flush.messages": Long = Some("9223372036854775807"), AtLeast(1), Dynamic, Accepted(SYNCED) <- [("log.flush.interval.messages", 1)];
        "Records between two syncs to disk."
    "flush.ms": Long = Some("9223372036854775807"), AtLeast(0), Dynamic, Accepted(SYNCED) <- [("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)];
        "Time between two syncs to disk."
    "follower.replication.throttled.replicas": List = Some(""), Throttled, Dynamic, Accepted(QUORUM);
        "Replicas whose copying is throttled on the follower, as `PARTITION:BROKER`, or `*`."
    "leader.replication.throttled.replicas": List = Some(""), Throttled, Dynamic, Accepted(QUORUM);
        "Replicas whose copying is throttled on the leader, as `PARTITION:BROKER`, or `*`."
    "index.interval.bytes": Int = Some("4096"), AtLeast(0), Dynamic, Accepted(NO_FILES) <- [("log.index.interval.bytes", 1)];
        "Bytes between two entries of a file's index."
    "local.retention.bytes": Long = Some("-2"), AtLeast(-2), Dynamic, Accepted(TIER) <- [("log.local.retention.bytes", 1)];
        "Bytes of a partition that stay on the broker's disk; -2 stands for `retention.bytes`."
    "local.retention.ms": Long = Some("-2"), AtLeast(-2), Dynamic, Accepted(TIER) <- [("log.local.retention.ms", 1)];
        "How long records stay on the broker's disk; -2 stands for `retention.ms`."
    "max.compaction.lag.ms": Long = Some("9223372036854775807"), AtLeast(1), Dynamic, Coming(COMPACTION) <- [("log.cleaner.max.compaction.lag.ms", 1)];
        "Age above which a record has been compacted."
    "max.message.bytes": Int = Some("1048588"), AtLeast(0), Dynamic, Honoured <- [("message.max.bytes", 1)];
        "Largest batch of records, as it was sent (compressed)."
    "max.decompressed.message.bytes": Int = Some("2147483639"), Between(1, 2_147_483_639), Dynamic, Honoured <- [("max.decompressed.message.bytes", 1)];
        "Most bytes that one record of a compressed batch may have when it is opened. A batch as a whole is bounded by `esker.decompressed.max.bytes`."
    "message.timestamp.after.max.ms": Long = Some("3600000"), AtLeast(0), Dynamic, Honoured <- [("log.message.timestamp.after.max.ms", 1)];
        "How far a producer's timestamp may lie in the future."
    "message.timestamp.before.max.ms": Long = Some("9223372036854775807"), AtLeast(0), Dynamic, Honoured <- [("log.message.timestamp.before.max.ms", 1)];
        "How far a producer's timestamp may lie in the past."
    "message.timestamp.type": Text = Some("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), Dynamic, Honoured <- [("log.message.timestamp.type", 1)];
        "Whose clock stamps records: the producer's (`CreateTime`) or the broker's (`LogAppendTime`)."
    "min.cleanable.dirty.ratio": Double = Some("0.5"), Share(0.0, 1.0), Dynamic, Coming(COMPACTION) <- [("log.cleaner.min.cleanable.ratio", 1)];
        "Share of uncompacted records that starts a compaction."
    "min.compaction.lag.ms": Long = Some("0"), AtLeast(0), Dynamic, Coming(COMPACTION) <- [("log.cleaner.min.compaction.lag.ms", 1)];
        "Age below which a record is not compacted."
    "min.insync.replicas": Int = Some("1"), AtLeast(1), Dynamic, Honoured <- [("min.insync.replicas", 1)];
        "Copies that must exist for `acks=all`, of as many as the topic has."
    "preallocate": Boolean = Some("false"), Any, Dynamic, Accepted(NO_FILES) <- [("log.preallocate", 1)];
        "Whether files are made in their full size."
    "remote.log.copy.disable": Boolean = Some("false"), Any, Dynamic, Refused(ALWAYS_TIERED);
        "Whether new records stay on the broker."
    "remote.copy.lag.bytes": Long = Some("-1"), AtLeast(-1), Dynamic, Accepted(TIER) <- [("log.remote.copy.lag.bytes", 1)];
        "Bytes of a partition that may wait to be offloaded; -1 sets no limit."
    "remote.copy.lag.ms": Long = Some("0"), AtLeast(-1), Dynamic, Accepted(TIER) <- [("log.remote.copy.lag.ms", 1)];
        "How long records may wait to be offloaded; -1 sets no limit."
    "remote.log.delete.on.disable": Boolean = Some("false"), Any, Dynamic, Accepted(TIER);
        "Whether offloaded records are deleted when offloading is switched off."
    "remote.storage.enable": Boolean = Some("true"), Any, Dynamic, Refused(ALWAYS_TIERED);
        "Whether the topic is offloaded."
    "retention.bytes": Long = Some("-1"), Any, Dynamic, Honoured <- [("log.retention.bytes", 1)];
        "Size of a partition at which its oldest records are deleted; -1 sets no limit."
    "retention.ms": Long = Some("604800000"), AtLeast(-1), Dynamic, Honoured <- [("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)];
        "Age at which records are deleted; -1 keeps them for ever."
    "segment.bytes": Int = Some("1073741824"), AtLeast(1_048_576), Dynamic, Honoured <- [("log.segment.bytes", 1)];
        "No batch may be larger. How large objects get is said by `esker.segment.max.bytes`."
    "segment.index.bytes": Int = Some("10485760"), AtLeast(4), Dynamic, Accepted(NO_FILES) <- [("log.index.size.max.bytes", 1)];
        "Size of a file's index."
    "segment.jitter.ms": Long = Some("0"), AtLeast(0), Dynamic, Accepted(MERGE) <- [("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3_600_000)];
        "Most that is taken off `segment.ms` at random."
    "segment.ms": Long = Some("604800000"), AtLeast(1), Dynamic, Accepted(MERGE) <- [("log.roll.ms", 1), ("log.roll.hours", 3_600_000)];
        "Age at which a segment is closed."
    "unclean.leader.election.enable": Boolean = Some("false"), Any, Dynamic, Accepted(QUORUM) <- [("unclean.leader.election.enable", 1)];
        "Whether a copy that lacks records may lead."
}

//! Records of all topics: defaults of topic settings and what runs in the background.

use super::why::{COMPACTION, GRACE, LEVEL, MERGE, NO_FILES, ONE_DIR, SYNCED, TIER, VERBATIM};

settings! { LOG
    "log.dir": List = None, NonEmpty, ReadOnly, Honoured;
        "Older name of `log.dirs`."
    "log.dirs": List = None, NonEmpty, ReadOnly, Honoured;
        "The data directory; exactly one."
    "cordoned.log.dirs": List = Some(""), Any, PerBroker, Accepted(ONE_DIR);
        "Directories that get no new partitions."
    "log.dir.failure.timeout.ms": Long = Some("30000"), AtLeast(1), ReadOnly, Accepted(ONE_DIR);
        "How long a failed directory may go unreported."
    "num.recovery.threads.per.data.dir": Int = Some("2"), AtLeast(1), ClusterWide, Accepted(ONE_DIR);
        "Threads that recover a directory at the start."
    "num.replica.alter.log.dirs.threads": Int = None, Any, ReadOnly, Accepted(ONE_DIR);
        "Threads that move partitions between directories."
    "alter.log.dirs.replication.quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly, Accepted(ONE_DIR);
        "Windows over which moves between directories are measured."
    "alter.log.dirs.replication.quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly, Accepted(ONE_DIR);
        "Length of such a window."
    "message.max.bytes": Int = Some("1048588"), AtLeast(0), ClusterWide, Honoured;
        "Largest batch of records, as it was sent (compressed). Default of `max.message.bytes`."
    "max.decompressed.message.bytes": Int = Some("2147483639"), Between(1, 2_147_483_639), ClusterWide, Honoured;
        "Most bytes that one record of a compressed batch may have when it is opened. A batch as a whole is bounded by `esker.decompressed.max.bytes`. Default of the topic setting of this name."
    "compression.type": Text = Some("producer"), OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ClusterWide, Refused(VERBATIM);
        "Codec in which records are kept; `producer` keeps them as they came."
    "compression.gzip.level": Int = Some("-1"), BetweenOr(1, 9, -1), ClusterWide, Accepted(LEVEL);
        "Level where `compression.type` is `gzip`."
    "compression.lz4.level": Int = Some("9"), Between(1, 17), ClusterWide, Accepted(LEVEL);
        "Level where `compression.type` is `lz4`."
    "compression.zstd.level": Int = Some("3"), Between(-131_072, 22), ClusterWide, Accepted(LEVEL);
        "Level where `compression.type` is `zstd`."
    "log.cleanup.policy": List = Some("delete"), EachOf(&["compact", "delete"]), ClusterWide, Honoured;
        "What happens to old records: `delete`, `compact`, or both; compaction is not served yet. Default of `cleanup.policy`."
    "log.retention.ms": Long = None, Any, ClusterWide, Honoured;
        "Age at which records are deleted; -1 keeps them for ever. Default of `retention.ms`."
    "log.retention.minutes": Int = None, Any, ReadOnly, Honoured;
        "The same in minutes, where `log.retention.ms` is unset."
    "log.retention.hours": Int = Some("168"), Any, ReadOnly, Honoured;
        "The same in hours, where `log.retention.minutes` is unset too."
    "log.retention.bytes": Long = Some("-1"), Any, ClusterWide, Honoured;
        "Size of a partition at which its oldest records are deleted; -1 sets no limit. Default of `retention.bytes`."
    "log.retention.check.interval.ms": Long = Some("300000"), AtLeast(1), ReadOnly, Honoured;
        "How often retention looks for work at least; `esker.housekeeping.interval.ms` does, too."
    "log.roll.ms": Long = None, Any, ClusterWide, Accepted(MERGE);
        "Age at which a segment is closed. Default of `segment.ms`."
    "log.roll.hours": Int = Some("168"), AtLeast(1), ReadOnly, Accepted(MERGE);
        "The same in hours, where `log.roll.ms` is unset."
    "log.roll.jitter.ms": Long = None, Any, ClusterWide, Accepted(MERGE);
        "Most that is taken off `log.roll.ms` at random. Default of `segment.jitter.ms`."
    "log.roll.jitter.hours": Int = Some("0"), AtLeast(0), ReadOnly, Accepted(MERGE);
        "The same in hours, where `log.roll.jitter.ms` is unset."
    "log.segment.bytes": Int = Some("1073741824"), AtLeast(1_048_576), ClusterWide, Honoured;
        "No batch may be larger. Default of `segment.bytes`."
    "log.segment.delete.delay.ms": Long = Some("60000"), AtLeast(0), ClusterWide, Accepted(GRACE);
        "How long a deleted file stays. Default of `file.delete.delay.ms`."
    "log.index.interval.bytes": Int = Some("4096"), AtLeast(0), ClusterWide, Accepted(NO_FILES);
        "Bytes between two entries of a file's index. Default of `index.interval.bytes`."
    "log.index.size.max.bytes": Int = Some("10485760"), AtLeast(4), ClusterWide, Accepted(NO_FILES);
        "Size of a file's index. Default of `segment.index.bytes`."
    "log.preallocate": Boolean = Some("false"), Any, ClusterWide, Accepted(NO_FILES);
        "Whether files are made in their full size. Default of `preallocate`."
    "log.flush.interval.messages": Long = Some("9223372036854775807"), AtLeast(1), ClusterWide, Accepted(SYNCED);
        "Records between two syncs to disk. Default of `flush.messages`."
    "log.flush.interval.ms": Long = None, Any, ClusterWide, Accepted(SYNCED);
        "Time between two syncs to disk. Default of `flush.ms`."
    "log.flush.scheduler.interval.ms": Long = Some("9223372036854775807"), Any, ReadOnly, Accepted(SYNCED);
        "How often due syncs are looked for."
    "log.flush.offset.checkpoint.interval.ms": Int = Some("60000"), AtLeast(0), ReadOnly, Accepted(SYNCED);
        "How often the synced offset is noted."
    "log.flush.start.offset.checkpoint.interval.ms": Int = Some("60000"), AtLeast(0), ReadOnly, Accepted(SYNCED);
        "How often the first offset is noted."
    "log.message.timestamp.type": Text = Some("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), ClusterWide, Honoured;
        "Whose clock stamps records: the producer's (`CreateTime`) or the broker's (`LogAppendTime`). Default of `message.timestamp.type`."
    "log.message.timestamp.before.max.ms": Long = Some("9223372036854775807"), AtLeast(0), ClusterWide, Honoured;
        "How far a producer's timestamp may lie in the past. Default of `message.timestamp.before.max.ms`."
    "log.message.timestamp.after.max.ms": Long = Some("3600000"), AtLeast(0), ClusterWide, Honoured;
        "How far a producer's timestamp may lie in the future. Default of `message.timestamp.after.max.ms`."
    "log.cleaner.enable": Boolean = Some("true"), Any, ReadOnly, Coming(COMPACTION);
        "Whether compaction runs."
    "log.cleaner.threads": Int = Some("1"), AtLeast(0), ClusterWide, Coming(COMPACTION);
        "Threads that compact."
    "log.cleaner.backoff.ms": Long = Some("15000"), AtLeast(0), ClusterWide, Coming(COMPACTION);
        "Pause of a compaction that found no work."
    "log.cleaner.dedupe.buffer.size": Long = Some("134217728"), Any, ClusterWide, Coming(COMPACTION);
        "Memory for the keys of a compaction."
    "log.cleaner.io.buffer.size": Int = Some("524288"), AtLeast(0), ClusterWide, Coming(COMPACTION);
        "Memory for the records of a compaction."
    "log.cleaner.io.buffer.load.factor": Double = Some("0.9"), Any, ClusterWide, Coming(COMPACTION);
        "How full the memory for keys may get."
    "log.cleaner.io.max.bytes.per.second": Double = Some("1.7976931348623157E308"), Any, ClusterWide, Coming(COMPACTION);
        "Bytes a second that compaction reads and writes."
    "log.cleaner.delete.retention.ms": Long = Some("86400000"), AtLeast(0), ClusterWide, Coming(COMPACTION);
        "How long a compacted topic keeps tombstones. Default of `delete.retention.ms`."
    "log.cleaner.min.cleanable.ratio": Double = Some("0.5"), Share(0.0, 1.0), ClusterWide, Coming(COMPACTION);
        "Share of uncompacted records that starts a compaction. Default of `min.cleanable.dirty.ratio`."
    "log.cleaner.min.compaction.lag.ms": Long = Some("0"), AtLeast(0), ClusterWide, Coming(COMPACTION);
        "Age below which a record is not compacted. Default of `min.compaction.lag.ms`."
    "log.cleaner.max.compaction.lag.ms": Long = Some("9223372036854775807"), AtLeast(1), ClusterWide, Coming(COMPACTION);
        "Age above which a record has been compacted. Default of `max.compaction.lag.ms`."
    "log.local.retention.bytes": Long = Some("-2"), AtLeast(-2), ClusterWide, Accepted(TIER);
        "Bytes of a partition that stay on the broker's disk. Default of `local.retention.bytes`."
    "log.local.retention.ms": Long = Some("-2"), AtLeast(-2), ClusterWide, Accepted(TIER);
        "How long records stay on the broker's disk. Default of `local.retention.ms`."
    "log.remote.copy.lag.bytes": Long = Some("-1"), AtLeast(-1), ClusterWide, Accepted(TIER);
        "Bytes of a partition that may wait to be offloaded. Default of `remote.copy.lag.bytes`."
    "log.remote.copy.lag.ms": Long = Some("0"), AtLeast(-1), ClusterWide, Accepted(TIER);
        "How long records may wait to be offloaded. Default of `remote.copy.lag.ms`."
    "producer.id.expiration.ms": Int = Some("86400000"), AtLeast(1), ReadOnly, Honoured;
        "How long a producer that does not write is remembered for the detection of duplicates."
}

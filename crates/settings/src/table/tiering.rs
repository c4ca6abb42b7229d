//! Kafka's tiered storage. Offloading is what Esker is built on: it has no plug-in and is always on.

use super::why::{ALWAYS_TIERED, TIER, UNLIMITED};

settings! { TIERING
    "remote.log.storage.system.enable": Boolean = Some("true"), Any, ReadOnly, Refused(ALWAYS_TIERED);
        "Whether topics may be offloaded."
    "remote.fetch.max.wait.ms": Int = Some("500"), AtLeast(1), ClusterWide, Accepted(TIER);
        "How long a read of offloaded records may take."
    "remote.list.offsets.request.timeout.ms": Long = Some("30000"), AtLeast(1), ClusterWide, Accepted(TIER);
        "How long a look-up by timestamp in offloaded records may take."
    "remote.log.index.file.cache.total.size.bytes": Long = Some("1073741824"), AtLeast(1), ClusterWide, Accepted(TIER);
        "Disk for indexes of offloaded segments."
    "remote.log.manager.copier.thread.pool.size": Int = Some("10"), AtLeast(1), ClusterWide, Accepted(TIER);
        "Threads that offload."
    "remote.log.manager.copy.max.bytes.per.second": Long = Some("9223372036854775807"), AtLeast(1), ClusterWide, Refused(UNLIMITED);
        "Bytes a second that are offloaded."
    "remote.log.manager.copy.quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly, Accepted(TIER);
        "Windows over which offloading is measured."
    "remote.log.manager.copy.quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly, Accepted(TIER);
        "Length of such a window."
    "remote.log.manager.expiration.thread.pool.size": Int = Some("10"), AtLeast(1), ClusterWide, Accepted(TIER);
        "Threads that delete what expired."
    "remote.log.manager.fetch.max.bytes.per.second": Long = Some("9223372036854775807"), AtLeast(1), ClusterWide, Refused(UNLIMITED);
        "Bytes a second that are read back."
    "remote.log.manager.fetch.quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly, Accepted(TIER);
        "Windows over which reading back is measured."
    "remote.log.manager.fetch.quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly, Accepted(TIER);
        "Length of such a window."
    "remote.log.manager.follower.thread.pool.size": Int = Some("2"), AtLeast(1), ClusterWide, Accepted(TIER);
        "Threads that follow what leaders offload."
    "remote.log.manager.task.interval.ms": Long = Some("30000"), AtLeast(1), ReadOnly, Accepted(TIER);
        "How often offloading looks for work."
    "remote.log.manager.thread.pool.size": Int = Some("2"), AtLeast(1), ReadOnly, Accepted(TIER);
        "Threads of the offloading as a whole."
    "remote.log.metadata.custom.metadata.max.bytes": Int = Some("128"), AtLeast(0), ReadOnly, Accepted(TIER);
        "Bytes that a plug-in may note with a segment."
    "remote.log.metadata.manager.class.name": Text = Some("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"), NonEmpty, ReadOnly, Accepted(TIER);
        "Class that keeps track of offloaded segments."
    "remote.log.metadata.manager.class.path": Text = None, Any, ReadOnly, Accepted(TIER);
        "Where that class is found."
    "remote.log.metadata.manager.impl.prefix": Text = Some("rlmm.config."), NonEmpty, ReadOnly, Accepted(TIER);
        "Prefix of that class's own settings."
    "remote.log.metadata.manager.listener.name": Text = None, NonEmpty, ReadOnly, Accepted(TIER);
        "Listener that this class uses."
    "remote.log.reader.max.pending.tasks": Int = Some("100"), AtLeast(1), ReadOnly, Accepted(TIER);
        "Reads of offloaded records that may wait."
    "remote.log.reader.threads": Int = Some("10"), AtLeast(1), ClusterWide, Accepted(TIER);
        "Threads that read offloaded records."
    "remote.log.storage.manager.class.name": Text = None, NonEmpty, ReadOnly, Accepted(TIER);
        "Class that reaches the remote store."
    "remote.log.storage.manager.class.path": Text = None, Any, ReadOnly, Accepted(TIER);
        "Where that class is found."
    "remote.log.storage.manager.impl.prefix": Text = Some("rsm.config."), NonEmpty, ReadOnly, Accepted(TIER);
        "Prefix of that class's own settings."
}

//! Esker's own settings. Sizes take `64MiB` and times `30s` besides plain bytes and milliseconds.

use super::why::NOT_YET;

settings! { ESKER
    "esker.admin.listener": Text = Some("127.0.0.1:9600"), NonEmpty, ReadOnly, Honoured;
        "Address of the admin interface: health, metrics, and what the `tier`, `cache` and `wal` commands ask."
    "esker.otlp.http.listener": Text = None, Any, ReadOnly, Honoured;
        "Address at which applications' traces are taken by OTLP over HTTP, as in `0.0.0.0:4318`. `esker dev` has 127.0.0.1:4318; empty for none."
    "esker.traces.index.interval.ms": Duration = Some("10000"), AtLeast(100), ReadOnly, Honoured;
        "How often spans that have come are made a file of the bucket. They are found before, too."
    "esker.peer.listener": Text = None, NonEmpty, ReadOnly, Honoured;
        "Address at which the other nodes of the cluster reach this one, as in `0.0.0.0:9194`; this node's entry of `controller.quorum.voters` names it to them."
    "esker.peer.advertised": Text = None, NonEmpty, ReadOnly, Honoured;
        "`HOST:PORT` that the other nodes are told to reach this one at, where that is neither its entry of `controller.quorum.voters` nor `esker.peer.listener`."
    "esker.cluster.secret": Password = None, NonEmpty, ReadOnly, Honoured;
        "One secret for all nodes of a cluster, at least 16 bytes: who has it is a node. From it each node derives the cluster's authority and issues its own certificate for TLS between nodes. The variable ESKER_CLUSTER_SECRET does the same."
    "esker.cluster.secret.file": Text = None, NonEmpty, ReadOnly, Honoured;
        "File that holds `esker.cluster.secret`; the end of its last line does not count."
    "esker.journal.copies": Int = Some("3"), Between(1, 7), ReadOnly, Honoured;
        "Brokers that hold each journal until it is in the bucket, where there are so many."
    "esker.journal.acks": Int = Some("2"), Between(1, 7), ReadOnly, Honoured;
        "Brokers whose disks hold a record before it is acknowledged; not more than `esker.journal.copies`."
    "esker.quorum.election.timeout.ms": Duration = Some("500"), AtLeast(50), ReadOnly, Honoured;
        "A voter that hears nothing from the leader of the metadata quorum for so long, or up to twice as long, stands for election."
    "esker.stop.patience.ms": Duration = Some("30000"), AtLeast(0), ReadOnly, Honoured;
        "How long a stopping broker may wait for the bucket. What does not get there stays in the write-ahead log."
    "esker.metadata.snapshot.entries": Long = Some("5000"), AtLeast(1), ReadOnly, Honoured;
        "Changes of the metadata between two snapshots of it."
    "esker.partitions.max": Int = Some("100000"), AtLeast(1), ReadOnly, Honoured;
        "Most partitions of one topic."
    "esker.decompressed.max.bytes": Size = Some("67108864"), AtLeast(1), ReadOnly, Honoured;
        "Most bytes that a produced batch may decompress to where its records have to be looked at."
    "esker.wal.capacity.bytes": Size = Some("2147483648"), AtLeast(262_144), ReadOnly, Honoured;
        "Disk that the write-ahead log may take. Room for at least four segments."
    "esker.wal.segment.bytes": Size = Some("67108864"), Between(65_536, 1_073_741_824), ReadOnly, Honoured;
        "Size of a file of the write-ahead log; a multiple of 4096."
    "esker.wal.prefill": Boolean = Some("true"), Any, ReadOnly, Honoured;
        "Whether files of the write-ahead log are filled ahead of use: writes into written files are faster."
    "esker.tail.memory.bytes": Size = Some("536870912"), AtLeast(1_048_576), ReadOnly, Honoured;
        "Memory for the newest batches of all partitions; consumers that keep up read from it."
    "esker.uncommitted.max.bytes": Size = Some("134217728"), AtLeast(65_536), ReadOnly, Honoured;
        "Bytes of batches that wait for the write-ahead log's device, after which producers are not read on before it has taken some: what a slow disk can make the broker hold, also for producers without acks."
    "esker.throttle.percent": Int = Some("70"), Between(1, 100), ReadOnly, Honoured;
        "Share of the write-ahead log that may be in use before produce is slowed down."
    "esker.flush.bytes": Size = Some("67108864"), AtLeast(1), ReadOnly, Honoured;
        "Unflushed bytes that start a flush to the bucket. Where they come in less than a second, flushes are larger."
    "esker.flush.ms": Duration = Some("30000"), AtLeast(1), ReadOnly, Honoured;
        "Age of unflushed records that starts a flush to the bucket."
    "esker.segment.min.bytes": Size = Some("12582912"), AtLeast(1), ReadOnly, Honoured;
        "A partition with more bytes than this in one flush gets an object of its own, which is not merged."
    "esker.segment.max.bytes": Size = Some("268435456"), AtLeast(1), ReadOnly, Honoured;
        "Most bytes of a merged object."
    "esker.background.memory.bytes": Size = Some("536870912"), AtLeast(1_048_576), ReadOnly, Honoured;
        "Memory for what flushes and merges have under way; merges stay below what it leaves beside a flush."
    "esker.merge.extents": Int = Some("16"), Between(2, 64), ReadOnly, Honoured;
        "Pieces of a partition that are merged into one."
    "esker.gc.grace.ms": Duration = Some("600000"), AtLeast(0), ReadOnly, Honoured;
        "How long an object that nothing refers to is kept for readers that still have it in their plan."
    "esker.housekeeping.interval.ms": Duration = Some("30000"), AtLeast(1), ReadOnly, Honoured;
        "How often retention, merging and the collection of garbage look for work."
    "esker.cache.memory.bytes": Size = Some("536870912"), AtLeast(0), ReadOnly, Honoured;
        "Memory for data that was read back from the bucket; nothing is taken before somebody reads it."
    "esker.cache.disk.bytes": Size = None, AtLeast(0), ReadOnly, Honoured;
        "Disk for data that was read back from the bucket; 0 keeps none there. Unset it is 1 GiB where the bucket is remote, and 0 where it is a directory: that is on a disk already."
    "esker.group.join.timeout.ms": Duration = Some("300000"), AtLeast(1), ReadOnly, Honoured;
        "How long a classic group's member that joined for the first time may wait for the rebalance to end."
    "esker.bucket.url": Text = None, NonEmpty, ReadOnly, Honoured;
        "Where records live: `s3://BUCKET/PREFIX`, `gs://…`, `az://…`, `file:///DIR` or `memory:`."
    "esker.bucket.endpoint": Text = None, NonEmpty, ReadOnly, Honoured;
        "Address of the store where it is not the cloud's own, such as `http://127.0.0.1:9000`."
    "esker.bucket.region": Text = None, NonEmpty, ReadOnly, Honoured;
        "Region of the bucket; `us-east-1` if unset."
    "esker.bucket.access.key.id": Text = None, NonEmpty, ReadOnly, Honoured;
        "Fixed credentials. Without them the machine's own are used."
    "esker.bucket.secret.access.key": Password = None, NonEmpty, ReadOnly, Honoured;
        "The secret that belongs to `esker.bucket.access.key.id`."
    "esker.bucket.session.token": Password = None, NonEmpty, ReadOnly, Honoured;
        "Token of temporary credentials."
    "esker.bucket.path.style": Boolean = None, Any, ReadOnly, Honoured;
        "Whether the bucket's name goes into the path rather than the host name; if unset, where an endpoint is set."
    "esker.bucket.allow.http": Boolean = Some("false"), Any, ReadOnly, Honoured;
        "Whether an endpoint without TLS is allowed. One on this machine always is."
    "esker.bucket.unsigned.payload": Boolean = Some("true"), Any, ReadOnly, Honoured;
        "Whether requests leave the body out of their signature; the checksum guards it then."
    "esker.bucket.checksum": Text = Some("crc64nvme"), OneOf(&["crc64nvme", "sha256", "none"]), ReadOnly, Honoured;
        "Checksum that the store verifies with each write."
    "esker.bucket.single.delete": Boolean = Some("false"), Any, ReadOnly, Honoured;
        "Whether objects are deleted one by one, for stores without bulk deletion."
    "esker.bucket.request.timeout.ms": Duration = Some("30000"), AtLeast(1), ReadOnly, Honoured;
        "Longest that one attempt of a request to the store may take."
    "esker.bucket.connect.timeout.ms": Duration = Some("5000"), AtLeast(1), ReadOnly, Honoured;
        "Longest that connecting to the store may take."
    "esker.bucket.retries": Int = Some("2"), AtLeast(0), ReadOnly, Honoured;
        "How often a request to the store is sent again after a failure that may pass."
    "esker.bucket.retry.timeout.ms": Duration = Some("10000"), AtLeast(0), ReadOnly, Honoured;
        "No attempt of a request to the store starts later than this after the first."
}

settings! { ESKER_TOPIC
    "esker.validate.compressed": Boolean = Some("true"), Any, Dynamic, Honoured;
        "Whether compressed batches are opened when they are produced, so that no batch is stored that no consumer can read. Otherwise they are opened only where their header cannot be true or a rule is about single records, and age from when they arrive."
    "esker.durability": Text = Some("replicated"), OneOf(&["replicated", "object", "local"]), Dynamic, Refused(NOT_YET);
        "When a record is acknowledged: on the disks of a quorum (`replicated`), in the bucket (`object`), or on one disk (`local`)."
}

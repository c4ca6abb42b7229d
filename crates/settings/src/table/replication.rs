//! Copies, leaders, and the quorum of the metadata.

use super::why::{CLASS, CONTROL, QUORUM, UNSTABLE};

settings! { REPLICATION
    "min.insync.replicas": Int = Some("1"), AtLeast(1), AllBrokers, Honoured;
        "Copies that must exist for `acks=all`, of as many as a topic has. Default of the topic setting of this name."
    "unclean.leader.election.enable": Boolean = Some("false"), Any, ClusterWide, Accepted(QUORUM);
        "Whether a copy that lacks records may lead. Default of the topic setting of this name."
    "auto.leader.rebalance.enable": Boolean = Some("true"), Any, ReadOnly, Honoured;
        "Whether partitions move to brokers that lead fewer by themselves: to new ones, and back to those that return."
    "leader.imbalance.check.interval.seconds": Long = Some("10"), AtLeast(1), ReadOnly, Honoured;
        "How often that is checked. Moves copy nothing, so it is more often than in Kafka (300)."
    "num.replica.fetchers": Int = Some("1"), AtLeast(1), ClusterWide, Accepted(QUORUM);
        "Connections on which a follower fetches from each leader."
    "replica.fetch.backoff.ms": Int = Some("1000"), AtLeast(0), ReadOnly, Accepted(QUORUM);
        "Pause of a follower after a failed fetch."
    "replica.fetch.max.bytes": Int = Some("1048576"), AtLeast(0), ReadOnly, Accepted(QUORUM);
        "Bytes of a partition in a follower's fetch."
    "replica.fetch.min.bytes": Int = Some("1"), Any, ReadOnly, Accepted(QUORUM);
        "Bytes that a follower's fetch waits for."
    "replica.fetch.response.max.bytes": Int = Some("10485760"), AtLeast(0), ReadOnly, Accepted(QUORUM);
        "Bytes of a follower's whole fetch."
    "replica.fetch.wait.max.ms": Int = Some("500"), Any, ReadOnly, Accepted(QUORUM);
        "How long a follower's fetch waits."
    "replica.high.watermark.checkpoint.interval.ms": Long = Some("5000"), Any, ReadOnly, Accepted(QUORUM);
        "How often the high watermark is noted on disk."
    "replica.lag.time.max.ms": Long = Some("30000"), Any, ReadOnly, Accepted(QUORUM);
        "Time behind at which a follower leaves the in-sync replicas."
    "replica.selector.class": Text = None, Any, ReadOnly, Refused(CLASS);
        "Class that picks the replica to read from."
    "replica.socket.receive.buffer.bytes": Int = Some("65536"), Any, ReadOnly, Accepted(QUORUM);
        "Receive buffer of a follower's connection."
    "replica.socket.timeout.ms": Int = Some("30000"), Any, ReadOnly, Accepted(QUORUM);
        "How long a follower's request may take."
    "replication.quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly, Accepted(QUORUM);
        "Windows over which throttled replication is measured."
    "replication.quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly, Accepted(QUORUM);
        "Length of such a window."
    "follower.fetch.last.tiered.offset.enable": Boolean = Some("false"), Any, ClusterWide, Accepted(QUORUM);
        "Whether a new follower starts at the end of what is offloaded."
    "controller.quorum.voters": List = Some(""), Voters, ReadOnly, Honoured;
        "The voters of the metadata quorum, as `ID@HOST:PORT` of their `esker.peer.listener`. Empty, or this node alone: it is a quorum by itself."
    "controller.quorum.bootstrap.servers": List = Some(""), Endpoints, ReadOnly, Accepted(CONTROL);
        "Addresses at which the controllers are found."
    "controller.quorum.auto.join.enable": Boolean = Some("false"), Any, ReadOnly, Accepted(CONTROL);
        "Whether a new controller joins by itself."
    "controller.quorum.append.linger.ms": Int = Some("25"), AtLeast(0), ReadOnly, Accepted(CONTROL);
        "How long a change of the metadata waits for company."
    "controller.quorum.election.backoff.max.ms": Int = Some("1000"), AtLeast(0), ReadOnly, Accepted(CONTROL);
        "Longest pause after a lost election."
    "controller.quorum.election.timeout.ms": Int = Some("1000"), AtLeast(0), ReadOnly, Accepted(CONTROL);
        "Length of an election."
    "controller.quorum.fetch.max.bytes": Int = Some("1048576"), AtLeast(1), ReadOnly, Accepted(CONTROL);
        "Bytes of a fetch of the metadata."
    "controller.quorum.fetch.snapshot.max.bytes": Int = Some("1048576"), AtLeast(1), ReadOnly, Accepted(CONTROL);
        "Bytes of a fetch of a metadata snapshot."
    "controller.quorum.fetch.timeout.ms": Int = Some("2000"), AtLeast(0), ReadOnly, Accepted(CONTROL);
        "Silence of the leader that starts an election."
    "controller.quorum.request.timeout.ms": Int = Some("2000"), AtLeast(0), ReadOnly, Accepted(CONTROL);
        "How long a request among controllers may take."
    "controller.quorum.retry.backoff.ms": Int = Some("20"), AtLeast(0), ReadOnly, Accepted(CONTROL);
        "Pause between two requests among controllers."
    "controller.socket.timeout.ms": Int = Some("30000"), Any, ReadOnly, Accepted(CONTROL);
        "How long a request to a controller may take."
    "metadata.log.dir": Text = None, Any, ReadOnly, Accepted(CONTROL);
        "Where the metadata's log lies."
    "metadata.log.max.record.bytes.between.snapshots": Long = Some("20971520"), AtLeast(1), ReadOnly, Honoured;
        "Bytes of the metadata's log between two snapshots."
    "metadata.log.max.snapshot.interval.ms": Long = Some("3600000"), AtLeast(0), ReadOnly, Accepted(CONTROL);
        "Time between two snapshots of the metadata."
    "metadata.log.segment.bytes": Int = Some("1073741824"), AtLeast(8_388_608), ReadOnly, Accepted(CONTROL);
        "Size of a file of the metadata's log."
    "metadata.log.segment.ms": Long = Some("604800000"), Any, ReadOnly, Accepted(CONTROL);
        "Age of a file of the metadata's log."
    "metadata.max.idle.interval.ms": Int = Some("500"), AtLeast(0), ReadOnly, Accepted(CONTROL);
        "How often an idle metadata log gets a record."
    "metadata.max.retention.bytes": Long = Some("104857600"), Any, ReadOnly, Accepted(CONTROL);
        "Bytes of old metadata that are kept."
    "metadata.max.retention.ms": Long = Some("604800000"), Any, ReadOnly, Accepted(CONTROL);
        "Age of old metadata that is kept."
    "unstable.api.versions.enable": Boolean = Some("false"), Any, ReadOnly, Coming(UNSTABLE);
        "Whether versions of requests that are not final are spoken."
    "unstable.feature.versions.enable": Boolean = Some("false"), Any, ReadOnly, Coming(UNSTABLE);
        "Whether features that are not final can be switched on."
}

//! Transactions.

use super::why::TXN;

settings! { TRANSACTIONS
    "transaction.max.timeout.ms": Int = Some("900000"), AtLeast(1), ReadOnly, Coming(TXN);
        "Longest timeout that a transaction may ask for."
    "transactional.id.expiration.ms": Int = Some("604800000"), AtLeast(1), ReadOnly, Coming(TXN);
        "How long an unused transactional id is remembered."
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int = Some("10000"), AtLeast(1), ReadOnly, Coming(TXN);
        "How often transactions that ran out of time are looked for."
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int = Some("3600000"), AtLeast(1), ReadOnly, Coming(TXN);
        "How often expired transactional ids are looked for."
    "transaction.partition.verification.enable": Boolean = Some("true"), Any, ClusterWide, Coming(TXN);
        "Whether a write is checked to belong to an open transaction."
    "transaction.two.phase.commit.enable": Boolean = Some("false"), Any, ReadOnly, Coming(TXN);
        "Whether transactions of an outer coordinator are served."
    "transaction.state.log.load.buffer.size": Int = Some("5242880"), AtLeast(1), ReadOnly, Coming(TXN);
        "Bytes that are read at a time when a coordinator loads transactions."
    "transaction.state.log.min.isr": Int = Some("2"), AtLeast(1), ReadOnly, Coming(TXN);
        "Least in-sync replicas of the transaction topic."
    "transaction.state.log.num.partitions": Int = Some("50"), AtLeast(1), ReadOnly, Coming(TXN);
        "Partitions of the transaction topic."
    "transaction.state.log.replication.factor": Short = Some("3"), AtLeast(1), ReadOnly, Coming(TXN);
        "Replication factor of the transaction topic."
    "transaction.state.log.segment.bytes": Int = Some("104857600"), AtLeast(1), ReadOnly, Coming(TXN);
        "Segment size of the transaction topic."
    "add.partitions.to.txn.retry.backoff.ms": Int = Some("20"), AtLeast(1), ReadOnly, Coming(TXN);
        "Pause before a partition is added again that could not be added at once."
    "add.partitions.to.txn.retry.backoff.max.ms": Int = Some("100"), AtLeast(0), ReadOnly, Coming(TXN);
        "Longest that a request to add partitions is retried."
}

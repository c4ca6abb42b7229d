"""What makes requests meaningful: names that exist, values that mean something, and what must not be asked.

A new API needs nothing here when its fields have names that are known already. `POOLS` gives a field ordinary and odd
values, by its name in all APIs, or as `Api.field` in one.
"""

from batches import TIME
from random import Random

from identity import Known

TOPICS = tuple(f"t{number}" for number in range(5))
# Made before the first request, with these settings; deletions and creations change what is there.
STANDING = {"steady": {}, "compacted": {"cleanup.policy": "compact"}, "stamped": {"message.timestamp.type": "LogAppendTime"}}
GROUPS = tuple(Known("group", number) for number in range(3))
LONG = "x" * 250
TOPIC_POOL = ((*TOPICS, *STANDING, *STANDING), ("", "missing", "..", "a/b", LONG, "ä", "__consumer_offsets"))
PARTITIONS = ((0, 0, 0, 1, 2), (-1, 3, 99, 2**31 - 1, -(2**31)))
OFFSETS = ((0, 0, 1, 2, 5), (-1, -2, 100, 2**63 - 1, -(2**63)))
EPOCHS = ((-1, -1, 0), (1, 5, -2, 2**31 - 1))
TOPIC_CONFIGS = (
    "retention.ms", "retention.bytes", "cleanup.policy", "max.message.bytes", "min.insync.replicas", "compression.type",
    "message.timestamp.type", "segment.bytes", "delete.retention.ms", "unclean.leader.election.enable",
)  # fmt: skip
CONFIG_VALUES = (
    ("3600000000", "compact", "delete", "compact,delete", "1", "CreateTime", "LogAppendTime", "producer", "1048588", "true"),
    ("", "-1", "0", "-2", "nonsense", "99999999999999999999", "1.5", " 1 ", "LOGAPPENDTIME", "gzip", "delete,delete"),
)

POOLS = {
    "topic": TOPIC_POOL,
    "topic_name": TOPIC_POOL,
    "name": TOPIC_POOL,
    "topic_names": TOPIC_POOL,
    "topics": TOPIC_POOL,
    "group_id": (GROUPS, ("", "missing", LONG)),
    "groups": (GROUPS, ("", "missing", LONG)),
    "groups_names": (GROUPS, ("", "missing")),
    "partition": PARTITIONS,
    "partitions": PARTITIONS,
    "partition_index": PARTITIONS,
    "index": PARTITIONS,
    "partition_indexes": PARTITIONS,
    "current_leader_epoch": EPOCHS,
    "leader_epoch": EPOCHS,
    "committed_leader_epoch": EPOCHS,
    "last_fetched_epoch": EPOCHS,
    "generation_id": ((1, 1, 2, -1, 0), (3, 99, -2)),
    "generation_id_or_member_epoch": ((1, -1, 2), (0, 99, -2)),
    "member_id": (("",), ("nobody", LONG)),
    "group_instance_id": ((None,), ("instance", "")),
    "fetch_offset": OFFSETS,
    "offset": OFFSETS,
    "committed_offset": ((0, 5, 17), (-1, -2, 2**63 - 1, -(2**63))),
    "committed_metadata": (("", "said", None), ("x" * 5000, "ä")),
    "retention_time_ms": ((-1,), (0, 1000)),
    "timestamp": ((-1, -2, TIME, TIME + 500_000, TIME + 10**9), (-3, -4, -5, -6, -7, 0, 2**63 - 1, -(2**63))),
    "isolation_level": ((0, 1), (2, -1)),
    "replica_id": ((-1,), (1, 0, -2, 99)),
    "max_wait_ms": ((0, 10), (-1,)),
    "min_bytes": ((0, 1), (-1, 2**31 - 1)),
    "max_bytes": ((1 << 20, 1 << 20, 1000), (0, -1, 1, 2**31 - 1)),
    "partition_max_bytes": ((1 << 20, 1000), (0, -1, 1, 2**31 - 1)),
    "session_id": ((0,), (5, -1)),
    "session_epoch": ((-1, -1, 0, 1), (2, -2, 2**31 - 1)),
    "acks": ((-1, 1), (2, -2, 100)),
    "timeout_ms": ((30_000,), (60_000,)),
    "transactional_id": ((None,), ("", "transaction")),
    "transaction_timeout_ms": ((60_000,), (0, -1, 2**31 - 1)),
    "session_timeout_ms": ((1_800_000,), (0, -1, 1, 2**31 - 1)),
    "rebalance_timeout_ms": ((300,), (0,)),
    "protocol_type": (("consumer",), ("", "other")),
    "num_partitions": ((1, 2, 3, -1), (0, -2)),
    "replication_factor": ((1, 1, -1), (0, 2, -2, 32767)),
    "broker_ids": ((1,), (0, 2, -1)),
    "replicas": ((1,), (0, 2, -1)),
    "election_type": ((0,), (1, 2, -1)),
    "topic_partitions": TOPIC_POOL,
    "producer_id_filters": ((0, 1), (-1, 99)),
    "state_filters": (("Ongoing", "Empty"), ("", "nonsense")),
    "transactional_ids": (("transaction",), ("",)),
    "resource_types": ((2, 4), (0, 16, 32, 127)),
    "path": (("/nowhere",), ("",)),
    "count": ((2, 3, 4), (0, -1, 1)),
    "resource_type": ((2, 2, 4), (0, 1, 3, 8, 16, 32, 64, 127, -1)),
    "config_operation": ((0, 1, 2, 3), (4, -1, 127)),
    "configuration_keys": (TOPIC_CONFIGS, ("", "unknown.setting")),
    "cluster_id": ((None,), ("", "another")),
    "endpoint_type": ((1,), (0, 2, 3, -1)),
    "states_filter": (("Stable", "Empty", "Dead"), ("", "nonsense", "stable")),
    "types_filter": (("classic", "consumer"), ("", "nonsense", "Classic")),
    "key_type": ((0,), (1, 2, 3, -1, 127)),
    "coordinator_keys": (GROUPS, ("", LONG)),
    "key": (GROUPS, ("", LONG)),
    "response_partition_limit": ((2000, 1), (0, -1)),
    "client_software_name": (("suite",), ("", "-x", "ä", "a b")),
    "client_software_version": (("1.0",), ("", "-", "ä")),
    "Fetch.current_leader_epoch": ((-1, -1, 0), (1, 5, 2**31 - 1)),
    "DescribeQuorum.topic_name": (("__cluster_metadata",), ("", "steady", "missing")),
    "CreateTopics.name": ((*TOPICS,), ("", "..", "a/b", LONG, "ä", "steady", "a.b", "a_b", "__consumer_offsets")),
    "DeleteTopics.name": ((*TOPICS,), ("", "..", "missing", LONG)),
    "DeleteTopics.topic_names": ((*TOPICS,), ("", "..", "missing", LONG)),
    "JoinGroup.name": (("range", "roundrobin"), ("",)),
    "FindCoordinator.coordinator_keys": (GROUPS, ("", LONG)),
    "CreateTopics.value": CONFIG_VALUES,
    "IncrementalAlterConfigs.value": CONFIG_VALUES,
    "AlterConfigs.value": CONFIG_VALUES,
    "node_id": ((-1, 1), (0, 99)),
}
# Fields that name an item of a list within it.
NAMING = {"name", "topic", "topic_id", "index", "partition", "partition_index", "group_id", "resource_type", "resource_name", "member_id"}
# How often a nullable field is null, where that is not one in ten.
NULLS = {"topics": 0.3, "value": 0.05, "records": 0.02, "transactional_id": 0.95, "group_instance_id": 0.9, "name": 0.3}
NULLS |= {"configuration_keys": 0.4}


def config(random: Random) -> dict:
    return {"name": random.choice(TOPIC_CONFIGS)}


def resource(random: Random) -> dict:
    """A topic, or what brokers and groups may be asked for without changing how they serve."""
    return {"resource_type": 2, "resource_name": random.choice((*TOPICS, *STANDING))}


def protocol(random: Random) -> dict:
    return {"name": random.choice(("range", "roundrobin")), "metadata": b"metadata"}


# What belongs together in one struct, by its field.
TOGETHER = {
    "CreateTopics.configs": config,
    "IncrementalAlterConfigs.configs": config,
    "AlterConfigs.configs": config,
    "DescribeConfigs.resources": resource,
    "IncrementalAlterConfigs.resources": resource,
    "AlterConfigs.resources": resource,
    "JoinGroup.protocols": protocol,
}
# A broker's own settings are asked for, not changed: the run goes on with them.
POOLS |= {
    f"{api}.resource_type": ((2,), (0, 1, 3, 32, 64, 127, -1)) for api in ("IncrementalAlterConfigs", "AlterConfigs")
}
POOLS |= {"resource_name": ((*TOPICS, *STANDING), ("", "missing", "..", "x", "1"))}
# What would end the run: a broker that is told to go, features that change for good, and connections that begin a login.
LEFT_OUT = {"UnregisterBroker", "UpdateFeatures", "SaslHandshake", "SaslAuthenticate"}
# How often an API is asked for, where that is not 10: what waits or has little to tell is asked for less.
WEIGHTS = {"Produce": 30, "Fetch": 30, "CreateTopics": 15, "JoinGroup": 6, "SyncGroup": 6, "ApiVersions": 3, "DescribeCluster": 3}
WEIGHTS |= {"AlterPartitionReassignments": 3, "AlterReplicaLogDirs": 3, "DescribeQuorum": 3, "DescribeAcls": 3}
# What others see only a moment after the answer, so that the next request waits until both tell the same.
CHANGES_TOPICS = {"CreateTopics", "DeleteTopics", "CreatePartitions", "Metadata"}
CHANGES_CONFIGS = {"AlterConfigs", "IncrementalAlterConfigs", "CreateTopics", "DeleteTopics"}
# What only reads, and may be asked again: members are out when their time is up, logs go a moment after their topic, and
# one side is always a little ahead of the other.
READS = {"DescribeGroups", "ListGroups", "DescribeLogDirs"}

"""confluent-kafka: librdkafka of today through Python, with its whole admin side."""

import time
from collections.abc import Callable, Iterator

import pytest

from harness.records import CODECS, Sample, samples
from harness.target import Target
from harness.waiting import wait_for

ck = pytest.importorskip("confluent_kafka")
from confluent_kafka import (  # noqa: E402
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # noqa: E402
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)


@pytest.fixture
def admin(broker: Target) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.bootstrap})


@pytest.fixture
def created(admin: AdminClient, topic: str) -> str:
    """A topic with four partitions."""
    admin.create_topics([NewTopic(topic, 4, 1)])[topic].result()
    return topic


def produce(broker: Target, topic: str, records: list[Sample], partition: int = 0, **config: object) -> list[int]:
    """Produces and returns the offsets in the order of the records."""
    offsets: dict[int, int] = {}
    errors: list[KafkaError] = []
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 5, **config})

    def delivered(index: int) -> Callable:
        def report(error: KafkaError | None, message: object) -> None:
            if error is not None:
                errors.append(error)
            else:
                offsets[index] = message.offset()

        return report

    for index, record in enumerate(records):
        producer.produce(
            topic,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            partition=partition,
            on_delivery=delivered(index),
        )
    assert producer.flush(60) == 0
    assert not errors
    return [offsets[index] for index in range(len(records))]


def consumer(broker: Target, **config: object) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": "unused",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **config,
        }
    )


def read_partition(broker: Target, topic: str, partition: int = 0, start: int = 0, **config: object) -> list:
    """All messages of a partition from an offset on."""
    client = consumer(broker, **{"enable.partition.eof": True, **config})
    client.assign([TopicPartition(topic, partition, start)])
    got = []
    while True:
        message = client.poll(30)
        assert message is not None, f"nothing within 30 s after {len(got)} messages"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            client.close()
            return got
        got.append(message)


def as_sample(message: object) -> Sample:
    return Sample(message.key(), message.value(), tuple(message.headers() or ()))


@pytest.mark.core
@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_as_they_were(broker: Target, created: str, codec: str) -> None:
    sent = samples()
    offsets = produce(broker, created, sent, **{"compression.type": codec})
    assert offsets == list(range(len(sent)))
    for warmth in broker.warmths():
        got = read_partition(broker, created)
        assert [as_sample(message) for message in got] == sent, warmth
        assert [message.offset() for message in got] == offsets, warmth
        middle = read_partition(broker, created, start=123)
        assert [message.offset() for message in middle] == offsets[123:], warmth


@pytest.mark.parametrize("config", [{"acks": 1}, {"acks": "all"}, {"enable.idempotence": True}], ids=str)
def test_acknowledged_records_are_there(broker: Target, admin: AdminClient, topic: str, config: dict) -> None:
    topic = topic.replace("{", "").replace("}", "")
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    sent = [Sample(b"%d" % i, b"v%d" % i) for i in range(20_000)]
    offsets = produce(broker, topic, sent, **config, **{"batch.num.messages": 500})
    assert offsets == list(range(len(sent)))
    for warmth in broker.warmths():
        assert [message.value() for message in read_partition(broker, topic)] == [record.value for record in sent], (
            warmth
        )


@pytest.mark.core
def test_large_batches(broker: Target, created: str) -> None:
    sent = [Sample(None, bytes([i % 251]) * 900_000) for i in range(20)]
    produce(broker, created, sent, **{"message.max.bytes": 1_000_000, "linger.ms": 100})
    for warmth in broker.warmths():
        got = read_partition(broker, created, **{"fetch.message.max.bytes": 5_000_000})
        assert [message.value() for message in got] == [record.value for record in sent], warmth


def test_offsets_for_times(broker: Target, created: str) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    base = int(time.time() * 1000) - 1_000_000
    times = [base + 1000 * i for i in range(50)]
    for at in times:
        producer.produce(created, value=b"x", partition=0, timestamp=at)
        # One batch a record or many in one: both are looked into.
        if at % 7 == 0:
            producer.flush()
    assert producer.flush(30) == 0
    for warmth in broker.warmths():
        client = consumer(broker)
        for index in (0, 1, 17, 49):
            for at in (times[index], times[index] - 1):
                found = client.offsets_for_times([TopicPartition(created, 0, at)], 30)
                assert found[0].offset == index, (warmth, index)
        assert client.offsets_for_times([TopicPartition(created, 0, times[-1] + 1)], 30)[0].offset == -1, warmth
        assert client.get_watermark_offsets(TopicPartition(created, 0), 30) == (0, 50), warmth
        client.close()
        # A client from before the restart would have to learn the new leader epoch first.
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        specs = {
            OffsetSpec.earliest(): 0,
            OffsetSpec.latest(): 50,
            OffsetSpec.max_timestamp(): 49,
            OffsetSpec.for_timestamp(times[20]): 20,
            OffsetSpec.for_timestamp(times[-1] + 1): -1,
        }
        for spec, expected in specs.items():
            for level in (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED):
                future = admin.list_offsets({TopicPartition(created, 0): spec}, isolation_level=level)
                assert future[TopicPartition(created, 0)].result().offset == expected, (warmth, spec)


class Member:
    """A consumer in a group and what happened to it."""

    def __init__(self, broker: Target, topic: str, group: str, **config: object) -> None:
        self.assigned: set[int] = set()
        self.got: list = []
        self.rebalances = 0
        self._cooperative = config.get("partition.assignment.strategy") == "cooperative-sticky"
        self.client = consumer(
            broker, **{"group.id": group, "session.timeout.ms": 6000, "heartbeat.interval.ms": 200, **config}
        )
        self.client.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances += 1
        new = {entry.partition for entry in partitions}
        self.assigned = self.assigned | new if self._cooperative else new
        (client.incremental_assign if self._cooperative else client.assign)(partitions)

    def _on_revoke(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self.assigned -= {entry.partition for entry in partitions}
        if self._cooperative:
            client.incremental_unassign(partitions)
        else:
            client.unassign()

    def poll(self) -> None:
        message = self.client.poll(0.05)
        if message is not None:
            assert message.error() is None, message.error()
            self.got.append(message)


def settle(members: list[Member], done: Callable[[], bool], what: str) -> None:
    def round_() -> bool:
        for member in members:
            member.poll()
        return done()

    wait_for(round_, what)


@pytest.fixture
def members(broker: Target) -> Iterator[Callable[..., Member]]:
    """Makes members that are closed at the end."""
    made: list[Member] = []

    def make(topic: str, group: str, **config: object) -> Member:
        member = Member(broker, topic, group, **config)
        made.append(member)
        return member

    yield make
    for member in made:
        member.client.close()


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_two_members_share_a_topic(members: Callable, broker: Target, created: str, strategy: str) -> None:
    for partition in range(4):
        produce(broker, created, [Sample(None, b"%d" % i) for i in range(100)], partition)
    config = {"partition.assignment.strategy": strategy}
    first = members(created, created, **config)
    settle([first], lambda: first.assigned == {0, 1, 2, 3}, "the first to have all")
    second = members(created, created, **config)

    def shared() -> bool:
        return len(first.assigned) == len(second.assigned) == 2 and not first.assigned & second.assigned

    settle([first, second], shared, "both to have two")
    seen = lambda: {(m.partition(), m.offset()) for member in (first, second) for m in member.got}  # noqa: E731
    settle([first, second], lambda: len(seen()) == 400, "all records")
    first.client.commit(asynchronous=False)
    first.client.close()
    settle([second], lambda: second.assigned == {0, 1, 2, 3}, "the second to have all")


def test_static_member_comes_back_without_a_rebalance(members: Callable, broker: Target, created: str) -> None:
    def static(name: str) -> Member:
        return members(created, created, **{"group.instance.id": name, "session.timeout.ms": 30_000})

    first, second = static("one"), static("two")
    settle([first, second], lambda: len(first.assigned) == len(second.assigned) == 2, "both to have two")
    had, rebalances = set(second.assigned), first.rebalances
    second.client.close()
    again = static("two")
    settle([first, again], lambda: again.assigned == had, "the same partitions")
    assert first.rebalances == rebalances


def test_a_second_owner_of_a_static_id_fences_the_first(members: Callable, broker: Target, created: str) -> None:
    fatal: list[KafkaError] = []
    first = members(created, created, **{"group.instance.id": "one", "error_cb": fatal.append})
    settle([first], lambda: len(first.assigned) == 4, "the first to have all")
    second = members(created, created, **{"group.instance.id": "one"})

    def fenced() -> bool:
        message = first.client.poll(0.05)
        if message is not None and message.error():
            fatal.append(message.error())
        second.poll()
        return any(error.code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID) for error in fatal)

    wait_for(fenced, "the first to be fenced")
    settle([second], lambda: len(second.assigned) == 4, "the second to have all")


@pytest.mark.core
def test_commits_with_metadata_are_resumed_from(broker: Target, created: str) -> None:
    produce(broker, created, [Sample(None, b"%d" % i) for i in range(100)])
    client = consumer(broker, **{"group.id": created})
    at = TopicPartition(created, 0, 42, "what I thought", 0)
    client.commit(offsets=[at, TopicPartition(created, 1, 7)], asynchronous=False)
    client.close()
    for warmth in broker.warmths():
        client = consumer(broker, **{"group.id": created})
        asked = [TopicPartition(created, partition) for partition in range(4)]
        committed = client.committed(asked, 30)
        assert [entry.offset for entry in committed] == [42, 7, -1001, -1001], warmth
        assert committed[0].metadata == "what I thought", warmth
        client.subscribe([created])
        message = client.poll(30)
        assert (message.partition(), message.offset()) == (0, 42), warmth
        client.close()


def test_too_much_commit_metadata_is_refused(broker: Target, created: str, observe: Callable) -> None:
    client = consumer(broker, **{"group.id": created})
    with pytest.raises(KafkaException) as raised:
        client.commit(offsets=[TopicPartition(created, 0, 1, "m" * 5000)], asynchronous=False)
    assert raised.value.args[0].code() == KafkaError.OFFSET_METADATA_TOO_LARGE
    client.close()


def test_groups_are_listed_described_and_deleted(
    members: Callable, admin: AdminClient, broker: Target, created: str, observe: Callable
) -> None:
    member = members(created, created, **{"client.id": "described"})
    settle([member], lambda: len(member.assigned) == 4, "an assignment")
    described = admin.describe_consumer_groups([created])[created].result()
    assert described.state == ConsumerGroupState.STABLE
    assert [entry.client_id for entry in described.members] == ["described"]
    assert len(described.members[0].assignment.topic_partitions) == 4
    observe("assignor", described.partition_assignor)
    listed = {group.group_id: group for group in admin.list_consumer_groups().result().valid}
    assert listed[created].state == ConsumerGroupState.STABLE
    states = {ConsumerGroupState.EMPTY}
    assert created not in {group.group_id for group in admin.list_consumer_groups(states=states).result().valid}

    with pytest.raises(KafkaException) as raised:
        admin.delete_consumer_groups([created])[created].result()
    assert raised.value.args[0].code() == KafkaError.NON_EMPTY_GROUP
    member.client.commit(offsets=[TopicPartition(created, 0, 0)], asynchronous=False)
    member.client.close()
    wait_for(
        lambda: admin.describe_consumer_groups([created])[created].result().state == ConsumerGroupState.EMPTY,
        "the group to be empty",
    )
    altered = ConsumerGroupTopicPartitions(created, [TopicPartition(created, 2, 5)])
    assert admin.alter_consumer_group_offsets([altered])[created].result().topic_partitions[0].error is None
    offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(created)])[created].result()
    observe("offsets", sorted((entry.partition, entry.offset) for entry in offsets.topic_partitions))
    assert sorted((entry.partition, entry.offset) for entry in offsets.topic_partitions) == [(0, 0), (2, 5)]
    admin.delete_consumer_groups([created])[created].result()
    with pytest.raises(KafkaException) as raised:
        admin.delete_consumer_groups([created])[created].result()
    assert raised.value.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND


def test_topics_are_created_described_grown_and_deleted(
    admin: AdminClient, broker: Target, created: str, observe: Callable
) -> None:
    described = admin.describe_topics(TopicCollection([created]))[created].result()
    assert [entry.id for entry in described.partitions] == [0, 1, 2, 3]
    assert not described.is_internal
    observe(
        "partition", [(p.leader.id, [n.id for n in p.replicas], [n.id for n in p.isr]) for p in described.partitions]
    )

    with pytest.raises(KafkaException) as raised:
        admin.create_topics([NewTopic(created, 1, 1)])[created].result()
    assert raised.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    observe("exists", raised.value.args[0].str())

    admin.create_partitions([NewPartitions(created, 6)])[created].result()
    wait_for(
        lambda: len(admin.describe_topics(TopicCollection([created]))[created].result().partitions) == 6, "6 partitions"
    )
    with pytest.raises(KafkaException) as raised:
        admin.create_partitions([NewPartitions(created, 3)])[created].result()
    assert raised.value.args[0].code() == KafkaError.INVALID_PARTITIONS
    observe("shrink", raised.value.args[0].str())

    admin.delete_topics([created])[created].result()
    wait_for(lambda: created not in admin.list_topics(timeout=10).topics, "the topic to be gone")
    # A topic of the same name is another topic, and empty.
    admin.create_topics([NewTopic(created, 4, 1)])[created].result()
    wait_for(lambda: created in admin.list_topics(timeout=10).topics, "the new topic")
    again = admin.describe_topics(TopicCollection([created]))[created].result()
    assert str(again.topic_id) != str(described.topic_id)
    assert read_partition(broker, created) == []


BAD_TOPICS = {
    "replication": NewTopic("bad-replication", 1, 3),
    "no partitions": NewTopic("bad-partitions", 0, 1),
    "name": NewTopic("bad name", 1, 1),
    "dots": NewTopic("..", 1, 1),
    "long": NewTopic("x" * 250, 1, 1),
    "assignment": NewTopic("bad-assignment", 1, replica_assignment=[[1, 1]]),
    "unknown broker": NewTopic("bad-broker", 1, replica_assignment=[[77]]),
    "unknown config": NewTopic("bad-config", 1, 1, config={"no.such.config": "1"}),
    "bad config": NewTopic("bad-value", 1, 1, config={"retention.ms": "soon"}),
    "bad policy": NewTopic("bad-policy", 1, 1, config={"cleanup.policy": "burn"}),
}


@pytest.mark.parametrize("why", BAD_TOPICS)
@pytest.mark.parametrize("only", [False, True], ids=["create", "validate"])
def test_bad_topics_are_refused(admin: AdminClient, why: str, only: bool, observe: Callable) -> None:
    bad = BAD_TOPICS[why]
    with pytest.raises(KafkaException) as raised:
        admin.create_topics([bad], validate_only=only)[bad.topic].result()
    observe("error", raised.value.args[0].name())
    expected = {
        "replication": KafkaError.INVALID_REPLICATION_FACTOR,
        "no partitions": KafkaError.INVALID_PARTITIONS,
        "name": KafkaError.TOPIC_EXCEPTION,
        "dots": KafkaError.TOPIC_EXCEPTION,
        "long": KafkaError.TOPIC_EXCEPTION,
        "assignment": KafkaError.INVALID_REPLICA_ASSIGNMENT,
        "unknown broker": KafkaError.INVALID_REPLICA_ASSIGNMENT,
        "unknown config": KafkaError.INVALID_CONFIG,
        "bad config": KafkaError.INVALID_CONFIG,
        "bad policy": KafkaError.INVALID_CONFIG,
    }
    assert raised.value.args[0].code() == expected[why]
    assert bad.topic not in admin.list_topics(timeout=10).topics


def test_validating_a_good_topic_creates_nothing(admin: AdminClient, topic: str) -> None:
    admin.create_topics([NewTopic(topic, 2, 1)], validate_only=True)[topic].result()
    assert topic not in admin.list_topics(timeout=10).topics


def config_of(admin: AdminClient, kind: ResourceType, name: str) -> dict[str, ConfigEntry]:
    resource = ConfigResource(kind, name)
    return admin.describe_configs([resource])[resource].result()


def test_topic_configs(admin: AdminClient, topic: str, observe: Callable) -> None:
    admin.create_topics([NewTopic(topic, 1, 1, config={"retention.ms": "12345"})])[topic].result()
    entries = config_of(admin, ResourceType.TOPIC, topic)
    assert entries["retention.ms"].value == "12345"
    assert not entries["retention.ms"].is_default
    assert entries["cleanup.policy"].value == "delete"
    assert entries["cleanup.policy"].is_default
    observe("names", sorted(name for name in entries if not name.startswith("esker.")))
    observe("values", {name: entry.value for name, entry in sorted(entries.items()) if not name.startswith("esker.")})

    def alter(name: str, value: str | None, how: AlterConfigOpType) -> None:
        change = ConfigEntry(name, value, incremental_operation=how)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
        admin.incremental_alter_configs([resource])[resource].result()

    alter("max.message.bytes", "1000", AlterConfigOpType.SET)
    alter("cleanup.policy", "compact,delete,compact", AlterConfigOpType.APPEND)
    alter("retention.ms", None, AlterConfigOpType.DELETE)

    def altered() -> bool:
        now = config_of(admin, ResourceType.TOPIC, topic)
        return (
            now["max.message.bytes"].value == "1000"
            and now["cleanup.policy"].value == "delete,compact"
            and now["retention.ms"].is_default
        )

    wait_for(altered, "the changes")
    for name, value in (("no.such.config", "1"), ("retention.ms", "soon")):
        with pytest.raises(KafkaException) as raised:
            alter(name, value, AlterConfigOpType.SET)
        assert raised.value.args[0].code() == KafkaError.INVALID_CONFIG
    replicas = "leader.replication.throttled.replicas"
    alter(replicas, ",".join(f"{partition}:1" for partition in range(4000)), AlterConfigOpType.SET)
    with pytest.raises(KafkaException) as raised:
        alter(replicas, ",".join(f"{partition}:1" for partition in range(4000, 8000)), AlterConfigOpType.APPEND)
    assert raised.value.args[0].code() == KafkaError.INVALID_CONFIG
    observe("too long", raised.value.args[0].str())
    alter("no.such.config", None, AlterConfigOpType.DELETE)
    with pytest.raises(KafkaException) as raised:
        config_of(admin, ResourceType.TOPIC, "no-such-topic")
    assert raised.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_topic_config_takes_effect(admin: AdminClient, broker: Target, topic: str) -> None:
    admin.create_topics([NewTopic(topic, 1, 1, config={"max.message.bytes": "2000"})])[topic].result()
    produce(broker, topic, [Sample(None, b"x" * 1500)])
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    errors = []
    producer.produce(topic, b"x" * 5000, on_delivery=lambda error, _message: errors.append(error))
    producer.flush(30)
    assert errors[0].code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_a_batch_longer_than_a_file_of_the_log_holds_is_refused(
    admin: AdminClient, broker: Target, topic: str
) -> None:
    if broker.name == "kafka":
        pytest.skip("a file of Kafka's log holds a gigabyte")
    limit = 40 << 20
    admin.create_topics([NewTopic(topic, 1, 1, config={"max.message.bytes": str(limit)})])[topic].result()
    producer = Producer({"bootstrap.servers": broker.bootstrap, "message.max.bytes": limit})
    errors = []
    producer.produce(topic, b"x" * (33 << 20), on_delivery=lambda error, _message: errors.append(error))
    producer.flush(60)
    assert errors[0].code() == KafkaError.RECORD_LIST_TOO_LARGE
    # What comes after it is taken.
    assert produce(broker, topic, [Sample(None, b"x" * (15 << 20))], **{"message.max.bytes": limit}) == [0]
    assert [len(message.value()) for message in read_partition(broker, topic, start=0)] == [15 << 20]


def test_broker_configs(admin: AdminClient, observe: Callable) -> None:
    entries = config_of(admin, ResourceType.BROKER, "1")
    assert entries["group.initial.rebalance.delay.ms"].value == "0"
    assert entries["group.min.session.timeout.ms"].value == "1000"
    observe("some", {name: entries[name].value for name in ("num.partitions", "log.retention.hours", "broker.id")})


@pytest.mark.core
def test_records_are_deleted_up_to_an_offset(admin: AdminClient, broker: Target, created: str) -> None:
    produce(broker, created, [Sample(None, b"%d" % i) for i in range(100)])
    deleted = admin.delete_records([TopicPartition(created, 0, 40)])
    assert deleted[TopicPartition(created, 0)].result().low_watermark == 40
    for warmth in broker.warmths():
        got = read_partition(broker, created, start=40)
        assert [message.offset() for message in got] == list(range(40, 100)), warmth
        # An offset below the start is out of range; the client goes to the earliest.
        assert [message.offset() for message in read_partition(broker, created, start=3)] == list(range(40, 100))
        client = consumer(broker)
        assert client.get_watermark_offsets(TopicPartition(created, 0), 30) == (40, 100), warmth
        client.close()
    with pytest.raises(KafkaException) as raised:
        admin.delete_records([TopicPartition(created, 0, 101)])[TopicPartition(created, 0)].result()
    assert raised.value.args[0].code() == KafkaError.OFFSET_OUT_OF_RANGE


def test_cluster_is_described(admin: AdminClient, broker: Target) -> None:
    cluster = admin.describe_cluster().result()
    assert cluster.cluster_id
    assert [f"{node.host}:{node.port}" for node in cluster.nodes] == [broker.bootstrap]
    assert cluster.controller.id == cluster.nodes[0].id


def test_a_record_that_is_too_large_is_refused(broker: Target, created: str) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "message.max.bytes": 10_000_000})
    errors = []
    producer.produce(created, b"x" * 3_000_000, on_delivery=lambda error, _message: errors.append(error))
    producer.flush(30)
    assert errors[0].code() == KafkaError.MSG_SIZE_TOO_LARGE

"""kafka-python: a client in pure Python that speaks the newest versions of the admin APIs."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import InvalidTopicError, MessageSizeTooLargeError, TopicAlreadyExistsError

from harness.records import CODECS, Sample, samples
from harness.target import Target
from harness.waiting import wait_for


@pytest.fixture
def admin(broker: Target) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    yield client
    client.close()


@pytest.fixture
def created(admin: KafkaAdminClient, topic: str) -> str:
    """A topic with three partitions."""
    admin.create_topics([NewTopic(topic, 3, 1)], wait_for_metadata=True)
    return topic


def produce(broker: Target, topic: str, records: list[Sample], partition: int = 0, **config: object) -> list[int]:
    """Produces and returns the offsets in the order of the records."""
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=5, **config)
    futures = [
        producer.send(topic, record.value, record.key, list(record.headers), partition=partition) for record in records
    ]
    producer.flush(60)
    offsets = [future.get(10).offset for future in futures]
    producer.close()
    return offsets


def read_partition(broker: Target, topic: str, count: int, partition: int = 0, start: int = 0, **config) -> list:
    """The next `count` messages of a partition from an offset on, and a look that there are no more."""
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, **config)
    at = TopicPartition(topic, partition)
    consumer.assign([at])
    consumer.seek(at, start)
    got: list = []

    def enough() -> bool:
        for messages in consumer.poll(200).values():
            got.extend(messages)
        return len(got) >= count

    wait_for(enough, f"{count} messages")
    assert consumer.position(at) == consumer.end_offsets([at])[at]
    consumer.close()
    return got


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_as_they_were(broker: Target, created: str, codec: str) -> None:
    sent = samples(null_headers=False)
    offsets = produce(broker, created, sent, compression_type=None if codec == "none" else codec)
    assert offsets == list(range(len(sent)))
    for warmth in broker.warmths():
        got = read_partition(broker, created, len(sent))
        assert [Sample(m.key, m.value, tuple(m.headers)) for m in got] == sent, warmth
        assert [m.offset for m in read_partition(broker, created, 50, start=150)] == list(range(150, 200)), warmth


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_acks(broker: Target, created: str, acks: object) -> None:
    config = {"acks": acks, "enable_idempotence": acks == "all"}
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, **config)
    for i in range(1000):
        producer.send(created, b"%d" % i, partition=0)
    producer.flush(60)
    producer.close()
    for warmth in broker.warmths():
        got = read_partition(broker, created, 1000)
        assert [m.value for m in got] == [b"%d" % i for i in range(1000)], warmth


def test_offsets_for_times(broker: Target, created: str) -> None:
    base = int(time.time() * 1000) - 1_000_000
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    for i in range(50):
        producer.send(created, b"x", partition=1, timestamp_ms=base + 1000 * i)
    producer.flush(30)
    producer.close()
    at = TopicPartition(created, 1)
    for warmth in broker.warmths():
        consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap)
        for index in (0, 3, 49):
            found = consumer.offsets_for_times({at: base + 1000 * index})[at]
            assert (found.offset, found.timestamp) == (index, base + 1000 * index), warmth
        assert consumer.offsets_for_times({at: base + 1000 * 50})[at] is None, warmth
        assert consumer.beginning_offsets([at])[at] == 0, warmth
        assert consumer.end_offsets([at])[at] == 50, warmth
        consumer.close()


def test_two_members_share_a_topic(broker: Target, created: str) -> None:
    """Each member polls on a thread of its own, as applications do."""
    for partition in range(3):
        produce(broker, created, [Sample(None, b"%d" % i) for i in range(100)], partition)
    stop = threading.Event()
    seen: list[tuple[int, int]] = []
    assigned: dict[str, set[int]] = {}
    errors: list[Exception] = []

    def member(name: str, own_stop: threading.Event) -> None:
        try:
            consumer = KafkaConsumer(
                created,
                bootstrap_servers=broker.bootstrap,
                group_id=created,
                auto_offset_reset="earliest",
                session_timeout_ms=6000,
                heartbeat_interval_ms=200,
            )
            while not stop.is_set() and not own_stop.is_set():
                # Not 100 ms: see test_groups_are_described_and_deleted.
                for messages in consumer.poll(1000).values():
                    seen.extend((m.partition, m.offset) for m in messages)
                assigned[name] = {at.partition for at in consumer.assignment()}
            consumer.close()
            assigned[name] = set()
        except Exception as error:
            errors.append(error)

    stops = [threading.Event(), threading.Event()]
    threads = [threading.Thread(target=member, args=(f"m{i}", stops[i]), daemon=True) for i in range(2)]
    try:
        threads[0].start()
        wait_for(lambda: errors or assigned.get("m0") == {0, 1, 2}, "the first to have all")
        threads[1].start()
        wait_for(lambda: errors or sorted(len(a) for a in assigned.values()) == [1, 2], "a split")
        wait_for(lambda: errors or len(set(seen)) == 300, "all records")
        stops[0].set()
        wait_for(lambda: errors or assigned.get("m1") == {0, 1, 2}, "the second to have all")
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join(30)
    assert not errors


def test_group_resumes_where_it_committed(broker: Target, created: str) -> None:
    produce(broker, created, [Sample(None, b"%d" % i) for i in range(100)])
    at = TopicPartition(created, 0)

    def member() -> KafkaConsumer:
        return KafkaConsumer(
            bootstrap_servers=broker.bootstrap,
            group_id=created,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_poll_records=10,
        )

    for step, warmth in enumerate(broker.warmths()):
        consumer = member()
        consumer.assign([at])
        got: list = []
        wait_for(lambda: got or got.extend(consumer.poll(200).get(at, [])) or got, "messages")  # noqa: B023
        assert got[0].offset == 10 * step, warmth
        consumer.commit()
        assert consumer.committed(at) == 10 * (step + 1), warmth
        consumer.close()


def test_topics_and_their_errors(broker: Target, admin: KafkaAdminClient, created: str, observe: Callable) -> None:
    assert created in admin.list_topics()
    described = admin.describe_topics([created])[0]
    assert len(described["partitions"]) == 3
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics([NewTopic(created, 1, 1)])
    with pytest.raises(InvalidTopicError):
        admin.create_topics([NewTopic("not a name", 1, 1)])
    admin.create_partitions({created: 5})
    wait_for(lambda: len(admin.describe_topics([created])[0]["partitions"]) == 5, "five partitions")
    admin.delete_topics([created])
    wait_for(lambda: created not in admin.list_topics(), "the topic to be gone")


def test_records_are_deleted(broker: Target, admin: KafkaAdminClient, created: str) -> None:
    produce(broker, created, [Sample(None, b"%d" % i) for i in range(100)])
    at = TopicPartition(created, 0)
    admin.delete_records({at: 60})
    for warmth in broker.warmths():
        consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap)
        assert consumer.beginning_offsets([at])[at] == 60, warmth
        consumer.close()
        got = read_partition(broker, created, 40, start=10, auto_offset_reset="earliest")
        assert [m.offset for m in got] == list(range(60, 100)), warmth


def test_groups_are_described_and_deleted(broker: Target, admin: KafkaAdminClient, created: str) -> None:
    consumer = KafkaConsumer(
        created, bootstrap_servers=broker.bootstrap, group_id=created, session_timeout_ms=6000, client_id="described"
    )
    # Polled every 100 ms about one consumer in a hundred never finishes its second join, with Apache Kafka, too.
    wait_for(lambda: consumer.poll(1000) or consumer.assignment(), "an assignment")
    consumer.commit()
    described = admin.describe_groups([created])[created]
    assert described["group_state"] == "Stable"
    assert [member["client_id"] for member in described["members"]] == ["described"]
    consumer.close()
    wait_for(lambda: admin.describe_groups([created])[created]["group_state"] == "Empty", "an empty group")
    offsets = admin.list_group_offsets({created: None})[created]
    assert {at.partition for at in offsets} == {0, 1, 2}
    admin.delete_groups([created])
    assert created not in str(admin.list_groups())


def test_log_dirs(broker: Target, admin: KafkaAdminClient, created: str) -> None:
    produce(broker, created, [Sample(None, b"x" * 10_000)] * 10)
    assert created in str(admin.describe_log_dirs())


def test_a_record_that_is_too_large_is_refused(broker: Target, created: str) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, max_request_size=10_000_000)
    with pytest.raises(MessageSizeTooLargeError):
        producer.send(created, b"x" * 3_000_000, partition=0).get(30)
    producer.close()

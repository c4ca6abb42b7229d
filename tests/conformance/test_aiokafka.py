"""aiokafka: asyncio's client, with versions of the protocol that others have left behind."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError, TopicAlreadyExistsError

from harness.records import CODECS, Sample, samples
from harness.target import Target

PATIENCE_S = 30.0


async def wait_for(condition: Callable[[], Awaitable[object]], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not await condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:g} s for {what}"
        await asyncio.sleep(0.02)


async def create(broker: Target, topic: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    answer = await admin.create_topics([NewTopic(topic, partitions, 1)])
    assert all(error[1] == 0 for error in answer.topic_errors), answer
    await admin.close()


async def read(broker: Target, topic: str, count: int) -> list:
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap)
    await consumer.start()
    at = TopicPartition(topic, 0)
    consumer.assign([at])
    await consumer.seek_to_beginning(at)
    got = [await asyncio.wait_for(consumer.getone(), PATIENCE_S) for _ in range(count)]
    assert (await consumer.end_offsets([at]))[at] == got[-1].offset + 1
    await consumer.stop()
    return got


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_as_they_were(broker: Target, topic: str, codec: str) -> None:
    sent = samples()

    async def send() -> list[int]:
        await create(broker, topic, 1)
        producer = AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap, compression_type=None if codec == "none" else codec, linger_ms=5
        )
        await producer.start()
        waiting = [
            await producer.send(topic, record.value, record.key, partition=0, headers=list(record.headers))
            for record in sent
        ]
        await producer.flush()
        offsets = [(await future).offset for future in waiting]
        await producer.stop()
        return offsets

    assert asyncio.run(send()) == list(range(len(sent)))
    for warmth in broker.warmths():
        got = asyncio.run(read(broker, topic, len(sent)))
        assert [Sample(m.key, m.value, tuple(m.headers)) for m in got] == sent, warmth


@pytest.mark.parametrize("config", [{"acks": 0}, {"acks": 1}, {"acks": "all"}, {"enable_idempotence": True}], ids=str)
def test_acks(broker: Target, topic: str, config: dict) -> None:
    async def send() -> None:
        await create(broker, topic, 1)
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, **config)
        await producer.start()
        for i in range(500):
            await producer.send(topic, b"%d" % i, partition=0)
        await producer.flush()
        await producer.stop()

    asyncio.run(send())
    got = asyncio.run(read(broker, topic, 500))
    assert [m.value for m in got] == [b"%d" % i for i in range(500)]


def test_members_come_and_go(broker: Target, topic: str) -> None:
    async def scene() -> None:
        await create(broker, topic, 4)
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
        await producer.start()
        for i in range(400):
            await producer.send_and_wait(topic, b"%d" % i, partition=i % 4)
        await producer.stop()
        seen: set[tuple[int, int]] = set()

        def member() -> AIOKafkaConsumer:
            return AIOKafkaConsumer(
                topic,
                bootstrap_servers=broker.bootstrap,
                group_id=topic,
                auto_offset_reset="earliest",
                session_timeout_ms=6000,
                heartbeat_interval_ms=200,
            )

        members = [member()]
        await members[0].start()

        async def poll() -> list[int]:
            for consumer in members:
                for messages in (await consumer.getmany(timeout_ms=50)).values():
                    seen.update((m.partition, m.offset) for m in messages)
            return [len(consumer.assignment()) for consumer in members]

        async def split() -> bool:
            return await poll() == [2, 2]

        async def one_has_all() -> bool:
            return await poll() == [4]

        async def all_seen() -> bool:
            await poll()
            return len(seen) == 400

        await wait_for(one_has_all, "the first to have all")
        members.append(member())
        await members[1].start()
        await wait_for(split, "both to have two")
        await wait_for(all_seen, "all records")
        await members.pop(0).stop()
        await wait_for(one_has_all, "the second to have all")
        await members[0].stop()

    asyncio.run(scene())


def test_group_resumes_where_it_committed(broker: Target, topic: str) -> None:
    at = TopicPartition(topic, 0)

    async def prepare() -> None:
        await create(broker, topic, 1)
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
        await producer.start()
        for i in range(100):
            await producer.send(topic, b"%d" % i, partition=0)
        await producer.stop()

    async def step() -> int:
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=broker.bootstrap,
            group_id=topic,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        message = await asyncio.wait_for(consumer.getone(), PATIENCE_S)
        await consumer.commit({at: (message.offset + 10, "noted")})
        assert await consumer.committed(at) == message.offset + 10
        await consumer.stop()
        return message.offset

    asyncio.run(prepare())
    for index, warmth in enumerate(broker.warmths()):
        assert asyncio.run(step()) == 10 * index, warmth


def test_offsets_for_times(broker: Target, topic: str) -> None:
    base = int(time.time() * 1000) - 1_000_000
    at = TopicPartition(topic, 0)

    async def prepare() -> None:
        await create(broker, topic, 1)
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
        await producer.start()
        for i in range(50):
            await producer.send(topic, b"x", partition=0, timestamp_ms=base + 1000 * i)
        await producer.stop()

    async def look() -> list:
        consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap)
        await consumer.start()
        found = [(await consumer.offsets_for_times({at: base + 1000 * i}))[at] for i in (0, 7, 49, 50)]
        await consumer.stop()
        return [entry and entry.offset for entry in found]

    asyncio.run(prepare())
    for warmth in broker.warmths():
        assert asyncio.run(look()) == [0, 7, 49, None], warmth


def test_errors(broker: Target, topic: str, observe: Callable) -> None:
    async def scene() -> None:
        await create(broker, topic, 1)
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        answer = await admin.create_topics([NewTopic(topic, 1, 1), NewTopic("no name", 1, 1)])
        codes = {entry[0]: entry[1] for entry in answer.topic_errors}
        observe("codes", codes[topic])
        assert codes == {topic: TopicAlreadyExistsError.errno, "no name": 17}
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, max_request_size=10_000_000)
        await producer.start()
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(topic, b"x" * 3_000_000)
        await producer.stop()

    asyncio.run(scene())

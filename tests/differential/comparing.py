"""Where two answers differ, with what may differ left out: names that brokers choose, times of now, words of messages."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from batches import described
from identity import KINDS, Registry

# What each broker is, and how busy.
IGNORED = {"throttle_time_ms", "host", "port", "total_bytes", "usable_bytes", "log_dir", "documentation", "partition_size"}
# Of these it is compared whether there is something.
PRESENCE = {"error_message", "cluster_id", "next_cursor_text"}
# By these an item of a list is found on the other side, in whatever order it stands there.
ITEM_KEYS = (
    "name", "topic_name", "topic", "topic_id", "partition", "partition_index", "index", "node_id", "broker_id", "api_key",
    "group_id", "member_id", "partition_id", "resource_type", "resource_name", "config_name", "key", "user", "base_offset", "replica_id",
)  # fmt: skip
# What is in the log of an internal topic, which each broker writes for itself.
OWN_LOG = {"records", "high_watermark", "last_stable_offset", "log_start_offset", "offset", "end_offset", "timestamp", "low_watermark"}
NOW_MS = 600_000
ABSENT = "<absent>"


@dataclass(frozen=True)
class Difference:
    api: str
    path: str
    kafka: str
    esker: str


def is_now(name: str, value) -> bool:
    return "time" in name and isinstance(value, int) and abs(value - time.time() * 1000) < NOW_MS


def normal(registry: Registry, name: str, value, side: int):
    if isinstance(value, dict):
        made = {each: normal(registry, each, item, side) for each, item in value.items() if each not in IGNORED}
        return of_internal_topic(made) if registry.is_internal(value) else made
    if name == "records":
        return normal(registry, "batches", described(value), side)
    if isinstance(value, list):
        return in_one_place([normal(registry, name, item, side) for item in value])
    if name in PRESENCE:
        return "<something>" if value else value
    if KINDS.get(name):
        return registry.symbol(KINDS[name], value, side)
    if is_now(name, value):
        return "<now>"
    return value.hex() if isinstance(value, bytes) else value


def in_one_place(items: list) -> list:
    """Puts a topic's partitions together that stand in several places: Kafka tells of those with errors apart."""
    merged = {}
    for number, item in enumerate(items):
        is_topic = isinstance(item, dict) and item.get("partitions") and ("topic" in item or "topic_id" in item or "name" in item)
        key = str({name: value for name, value in item.items() if name != "partitions"}) if is_topic else number
        if key in merged:
            merged[key] = merged[key] | {"partitions": merged[key]["partitions"] + item["partitions"]}
        else:
            merged[key] = item
    return list(merged.values())


def of_internal_topic(topic: dict) -> dict:
    """Gives what is in the log of each partition a name of its own, by which it can be explained and nothing else is."""
    partitions = [
        {f"internal {name}" if name in OWN_LOG else name: value for name, value in each.items()} if isinstance(each, dict) else each
        for each in topic.get("partitions") or []
    ]
    return topic | {"partitions": partitions} if partitions else topic


def bind_all(registry: Registry, name: str, first, second) -> None:
    """Binds names that stand at the same place of both answers."""
    if isinstance(first, dict) and isinstance(second, dict):
        if first.get("error_code") == second.get("error_code"):
            for each in first.keys() & second.keys():
                bind_all(registry, each, first[each], second[each])
    elif isinstance(first, list) and isinstance(second, list):
        ours = keyed(second)
        for key, item in keyed(first).items():
            if key in ours:
                bind_all(registry, name, item, ours[key])
    elif KINDS.get(name):
        registry.bind(KINDS[name], first, second)


def is_own(name: str, item: dict) -> bool:
    """Whether a field is no name of an item: what a broker chose itself, and where a partition's batch got to."""
    return KINDS.get(name) is not None and isinstance(item[name], bytes) or name == "base_offset" and "index" in item


def keyed(items: list) -> dict:
    """The items of a list by what names them; one that is there twice is counted."""
    seen, found = Counter(), {}
    for item in items:
        if isinstance(item, dict):
            key = tuple(str(item[name]) for name in ITEM_KEYS if name in item and not is_own(name, item))
        else:
            key = (str(item),)
        seen[key] += 1
        found[key, seen[key]] = item
    return found


def differences(api: str, path: str, first, second) -> Iterator[Difference]:
    """Leaf by leaf. Where error codes differ, what stands beside them follows from that."""
    if first == second:
        return
    if isinstance(first, dict) and isinstance(second, dict):
        names = sorted(first.keys() | second.keys())
        told = [name for name in names if name.endswith("error_code") and first.get(name) != second.get(name)]
        for name in told or names:
            yield from differences(api, f"{path}.{name}".lstrip("."), first.get(name, ABSENT), second.get(name, ABSENT))
    elif isinstance(first, list) and isinstance(second, list):
        theirs, ours = keyed(first), keyed(second)
        for key in sorted(theirs.keys() | ours.keys(), key=str):
            named = f"{path}[{'/'.join(key[0][:1]) if path.endswith('configs') else ''}]"
            yield from differences(api, named, theirs.get(key, ABSENT), ours.get(key, ABSENT))
    else:
        yield Difference(api, path, short(first), short(second))


def short(value) -> str:
    text = str(value)
    if isinstance(value, dict):
        code = value.get("error_code", 0)
        return ("<present" if code == 0 else f"<present, error {code}") + f": {text[:400]}>"
    return text if len(text) <= 60 else f"{text[:57]}..."

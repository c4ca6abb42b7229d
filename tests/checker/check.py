#!/usr/bin/env python3
"""Names every anomaly in a history of clients. The format and the rules are in README.md beside this file.

`check.py HISTORY` prints the anomalies and ends with 1 if any of them is bad.
"""

import argparse
import json
import sys
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

# Allowed by Kafka's guarantees: they are counted and told.
TOLD_ONLY = {"int-send-skip", "write-cycle"}
# Everything that has a name here. The self test plants each of them.
KINDS = TOLD_ONLY | {
    "inconsistent-offsets",
    "aborted-read",
    "precommitted-read",
    "duplicate",
    "lost-write",
    "unseen",
    "poll-skip",
    "nonmonotonic-poll",
    "int-poll-skip",
    "int-nonmonotonic-poll",
    "nonmonotonic-send",
    "int-nonmonotonic-send",
    "read-cycle",
    "torn-transaction",
    "acknowledged-elsewhere",
    "order",
    "phantom",
    "edge-back",
    "commit-back",
    "epoch-back",
    "epoch-end",
    "content",
    "stored-nowhere",
    "stored-twice",
    "missing-object",
    "orphan",
    "time-query",
    "zombie",
}


@dataclass(frozen=True)
class Anomaly:
    kind: str
    what: str

    def __post_init__(self):
        assert self.kind in KINDS, self.kind

    @property
    def is_bad(self) -> bool:
        return self.kind not in TOLD_ONLY


class Operation:
    """A completed operation: what it sent and read, by partition, in order."""

    def __init__(self, entry: dict, begun: int | None):
        self.index, self.process, self.type, self.f = entry["index"], entry["process"], entry["type"], entry["f"]
        self.time = self.time_begun = entry["time"]
        self.begun = entry["index"] if begun is None else begun
        self.sends: dict[str, list[tuple[int | None, str]]] = defaultdict(list)
        self.reads: dict[str, list[tuple[int, str]]] = defaultdict(list)
        # What is told about a record besides: partition, offset, value, and the details by name.
        self.sent_details: list[tuple[str, int | None, str, dict]] = []
        self.read_details: list[tuple[str, int, str, dict]] = []
        for part in entry["value"] or []:
            if part[0] == "send":
                _, key, told = part
                offset, value, *details = told if isinstance(told, list) else (None, told)
                self.sends[key].append((offset, value))
                self.sent_details.extend((key, offset, value, more) for more in details)
            elif part[0] == "poll" and len(part) > 1:
                for key, pairs in part[1].items():
                    for offset, value, *details in pairs:
                        self.reads[key].append((offset, value))
                        self.read_details.extend((key, offset, value, more) for more in details)


class History:
    def __init__(self, entries: list[dict]):
        self.entries = entries
        self.operations: list[Operation] = []
        self.sent: dict[str, dict[str, Operation | None]] = defaultdict(dict)
        self.trimmed: dict[str, int] = defaultdict(int)
        self.final_from: int | None = None
        begun: dict[str, dict] = {}
        for entry in entries:
            if entry["f"] == "trim":
                for key, offset in entry["value"].items():
                    self.trimmed[key] = max(self.trimmed[key], offset)
            elif entry["f"] == "final-polls":
                self.final_from = entry["index"]
            elif entry["f"] in ("send", "poll", "txn"):
                if entry["type"] == "invoke":
                    begun[entry["process"]] = entry
                    for key, sends in Operation(entry, None).sends.items():
                        for _, value in sends:
                            self.sent[key].setdefault(value, None)
                else:
                    start = begun.pop(entry["process"], None)
                    operation = Operation(entry, start["index"] if start else None)
                    operation.time_begun = (start or entry)["time"]
                    self.operations.append(operation)
        for operation in self.operations:
            for key, sends in operation.sends.items():
                for _, value in sends:
                    self.sent[key][value] = operation
        self.read_ok: dict[str, set[str]] = defaultdict(set)
        for operation in self.operations:
            if operation.type == "ok":
                for key, reads in operation.reads.items():
                    self.read_ok[key].update(value for _, value in reads)
        self.versions()
        # The operation that first showed that there is something at an offset.
        self.known: dict[str, dict[int, Operation]] = defaultdict(dict)
        for operation in self.operations:
            told = [operation.reads] + ([operation.sends] if operation.type == "ok" else [])
            for key, pairs in [item for by_key in told for item in by_key.items()]:
                for offset, _ in pairs:
                    if offset is not None:
                        self.known[key].setdefault(offset, operation)

    def known_before(self, key: str, index: int) -> list[int]:
        """Offsets that were known to be there before the entry of this number, and were never trimmed away."""
        known = self.known[key].items()
        return [offset for offset, by in known if by.index < index and offset >= self.trimmed[key]]

    def details(self, name: str):
        """What was read of a detail: by partition, of each offset."""
        found: dict[str, dict[int, set]] = defaultdict(lambda: defaultdict(set))
        for operation in self.operations:
            for key, offset, _, details in operation.read_details:
                if name in details:
                    found[key][offset].add(details[name])
        return found

    def committed(self, operation: Operation | None) -> bool:
        """Whether an operation happened: it says so, or somebody read what it sent."""
        if operation is None or operation.type == "fail":
            return False
        if operation.type == "ok":
            return True
        return any(value in self.read_ok[key] for key, sends in operation.sends.items() for _, value in sends)

    def versions(self) -> None:
        """The order of the values of each partition, without the gaps."""
        self.log: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for operation in self.operations:
            for key, reads in operation.reads.items():
                for offset, value in reads:
                    self.log[key][offset].add(value)
            if self.committed(operation):
                for key, sends in operation.sends.items():
                    for offset, value in sends:
                        if offset is not None:
                            self.log[key][offset].add(value)
        self.places: dict[str, dict[str, list[int]]] = {}
        self.at: dict[str, list[str]] = {}
        for key, log in self.log.items():
            places: dict[str, list[int]] = defaultdict(list)
            order = []
            for index, offset in enumerate(sorted(log)):
                order.append(min(log[offset]))
                for value in log[offset]:
                    places[value].append(index)
            self.places[key], self.at[key] = places, order

    def index_of(self, key: str, value: str) -> int | None:
        places = self.places.get(key, {}).get(value)
        return places[0] if places else None


def offsets(history: History):
    for key, log in history.log.items():
        for offset, values in log.items():
            if len(values) > 1:
                yield Anomaly("inconsistent-offsets", f"{key} at {offset}: {sorted(values)}")
        seen: dict[str, int] = {}
        for offset in sorted(log):
            for value in log[offset]:
                if value in seen:
                    yield Anomaly("duplicate", f"{key}: {value} at {seen[value]} and at {offset}")
                seen.setdefault(value, offset)


def sources(history: History):
    """Where what was read comes from."""
    for operation in history.operations:
        for key, reads in operation.reads.items():
            own = {value for _, value in operation.sends.get(key, [])}
            for offset, value in reads:
                if value in own:
                    yield Anomaly("precommitted-read", f"{key}: {value} by {operation.process}, which sent it")
                writer = history.sent[key].get(value)
                if value not in history.sent[key]:
                    yield Anomaly("phantom", f"{key}: {value} at {offset} was sent by nobody")
                elif writer is not None and writer.type == "fail" and operation.type == "ok":
                    yield Anomaly("aborted-read", f"{key}: {value} at {offset}, though its send failed")


def losses(history: History):
    if history.final_from is None:
        # Readers that begin anywhere prove nothing about what none of them came by.
        return
    for key, places in history.places.items():
        read = history.read_ok[key]
        floor = history.trimmed[key]
        order = sorted(history.log[key])
        bound = max((places[value][0] for value in read if value in places), default=-1)
        for value, indexes in places.items():
            must = indexes[-1] <= bound and order[indexes[-1]] >= floor
            if must and value not in read and history.committed(history.sent[key].get(value)):
                yield Anomaly("lost-write", f"{key}: {value}, below what was read, was never read")
    final: dict[str, set[str]] = defaultdict(set)
    for operation in history.operations:
        if operation.index > history.final_from and operation.type == "ok":
            for key, reads in operation.reads.items():
                final[key].update(value for _, value in reads)
    for operation in history.operations:
        if operation.type == "ok" and operation.index < history.final_from:
            for key, sends in operation.sends.items():
                for offset, value in sends:
                    gone = offset is not None and offset < history.trimmed[key]
                    unknown = offset is None and history.trimmed[key] > 0
                    if value not in final[key] and not gone and not unknown:
                        yield Anomaly("unseen", f"{key}: {value} was acknowledged and is not there in the end")
        parts = [(key, o, v) for key, sends in operation.sends.items() for o, v in sends]
        # What was trimmed, or may have been, says nothing.
        parts = [(k, v) for k, o, v in parts if v in final[k] or (o or 0) >= history.trimmed[k]]
        there = [v in final[k] for k, v in parts]
        if operation.f == "txn" and any(there) and not all(there):
            yield Anomaly("torn-transaction", f"{operation.process}: {sum(there)} of {len(there)} sends are there")


def deltas(history: History, key: str, values: list[str]):
    for before, after in zip(values, values[1:]):
        one, other = history.index_of(key, before), history.index_of(key, after)
        yield before, after, 1 if one is None or other is None else other - one


def polls(history: History):
    last: dict[tuple[str, str], str] = {}
    subscribed: set[str] = set()
    trimmed: dict[str, int] = defaultdict(int)
    operations = {operation.index: operation for operation in history.operations}
    for entry in history.entries:
        process = entry["process"]
        if entry["f"] in ("assign", "subscribe") and entry["type"] not in ("invoke", "fail"):
            subscribed.discard(process)
            if entry["f"] == "subscribe":
                subscribed.add(process)
            for key in [key for key in last if key[0] == process and (key[1] in entry["value"])]:
                del last[key]
            continue
        if entry["f"] == "trim":
            for key, offset in entry["value"].items():
                trimmed[key] = max(trimmed[key], offset)
        operation = operations.get(entry["index"])
        if operation is None:
            continue
        for key, reads in operation.reads.items():
            values = [value for _, value in reads]
            # A reader whose place was trimmed away goes on where the partition begins now.
            moved = bool(reads) and reads[0][0] <= trimmed[key]
            for before, after, delta in deltas(history, key, values):
                if delta > 1:
                    yield Anomaly("int-poll-skip", f"{key}: {process} read {after} after {before}")
                elif delta < 1:
                    yield Anomaly("int-nonmonotonic-poll", f"{key}: {process} read {after} after {before}")
            if operation.type != "ok" or not values:
                continue
            previous = last.get((process, key))
            if previous is not None and process not in subscribed:
                for before, after, delta in deltas(history, key, [previous, values[0]]):
                    if delta > 1 and not moved:
                        yield Anomaly("poll-skip", f"{key}: {process} read {after} after {before}")
                    elif delta < 1:
                        yield Anomaly("nonmonotonic-poll", f"{key}: {process} read {after} after {before}")
            last[process, key] = values[-1]


def sends(history: History):
    last: dict[tuple[str, str], str] = {}
    for operation in history.operations:
        if operation.type == "fail":
            continue
        for key, pairs in operation.sends.items():
            values = [value for _, value in pairs if history.index_of(key, value) is not None]
            if not values:
                continue
            for before, after, delta in deltas(history, key, values):
                if delta < 1:
                    what = f"{key}: {operation.process} sent {after} after {before}"
                    yield Anomaly("int-nonmonotonic-send", what)
                elif delta > 1:
                    yield Anomaly("int-send-skip", f"{key}: others between {before} and {after}")
            previous = last.get((operation.process, key))
            if previous is not None:
                for before, after, delta in deltas(history, key, [previous, values[0]]):
                    if delta < 1:
                        yield Anomaly("nonmonotonic-send", f"{key}: {operation.process} sent {after} after {before}")
            last[operation.process, key] = values[-1]


def promises(history: History):
    """What an acknowledgement says about offsets."""
    read_at: dict[tuple[str, str], set[int]] = defaultdict(set)
    for operation in history.operations:
        for key, reads in operation.reads.items():
            for offset, value in reads:
                read_at[key, value].add(offset)
    # For each partition when something was acknowledged, and the highest offset until then.
    times: dict[str, list[int]] = defaultdict(list)
    highest: dict[str, list[int]] = defaultdict(list)
    for operation in history.operations:
        if operation.type != "ok":
            continue
        for key, pairs in operation.sends.items():
            told = [offset for offset, _ in pairs if offset is not None]
            for offset, value in pairs:
                places = read_at.get((key, value))
                if offset is not None and places and offset not in places:
                    yield Anomaly("acknowledged-elsewhere", f"{key}: {value} told {offset}, read at {sorted(places)}")
            if told:
                before = bisect_left(times[key], operation.begun)
                if before and min(told) <= highest[key][before - 1]:
                    bound = highest[key][before - 1]
                    what = f"{key}: {operation.process} got {min(told)} after {bound} was acknowledged"
                    yield Anomaly("order", what)
                times[key].append(operation.index)
                highest[key].append(max([max(told), *highest[key][-1:]]))


def edges(history: History):
    known: dict[str, list[int]] = {}
    for entry in history.entries:
        if entry["f"] == "edges" and entry["type"] == "ok":
            for key, (start, end) in entry["value"].items():
                before = known.setdefault(key, [start, end])
                if start < before[0] or end < before[1]:
                    yield Anomaly("edge-back", f"{key}: {start}..{end} after {before[0]}..{before[1]}")
                known[key] = [max(start, before[0]), max(end, before[1])]


class Written:
    """What a group's offset of a partition may be: a commit counts until one that began after its end succeeds, and one
    that nobody answered may come at any time."""

    def __init__(self):
        # Offset, and the entries between which it was written; the end is open as long as nobody knows.
        self.last: list[tuple[int, int, int | None]] = [(-1, -1, -1)]

    def begin(self, offset: int, index: int) -> None:
        self.last.append((offset, index, None))

    def end(self, offset: int, begun: int, index: int, type: str) -> None:
        self.last = [one for one in self.last if one != (offset, begun, None)]
        if type == "ok":
            self.last = [one for one in self.last if one[2] is None or one[2] >= begun]
        if type != "fail":
            self.last.append((offset, begun, index if type == "ok" else None))

    def may_be(self) -> list[int]:
        return sorted({offset for offset, _, _ in self.last})


def commits(history: History):
    written: dict[tuple[str, str], Written] = defaultdict(Written)
    begun: dict[str, dict] = {}
    for entry in history.entries:
        if entry["f"] not in ("commit", "committed"):
            continue
        group, offsets = entry["value"]["group"], entry["value"]["offsets"]
        if entry["f"] == "commit":
            start = begun.pop(entry["process"], None)
            if entry["type"] == "invoke":
                begun[entry["process"]] = entry
            for key, offset in offsets.items():
                place = written[group, key]
                if entry["type"] == "invoke" or start is None:
                    place.begin(offset, entry["index"])
                if entry["type"] != "invoke":
                    place.end(offset, (start or entry)["index"], entry["index"], entry["type"])
        elif entry["type"] == "ok":
            for key, offset in offsets.items():
                may_be = written[group, key].may_be()
                if offset not in may_be:
                    yield Anomaly("commit-back", f"{(group, key)}: {offset}, not one of {may_be}")


def cycles(history: History):
    """Operations in a circle of reads, and of reads and writes."""
    reads: dict[int, set[int]] = defaultdict(set)
    writes: dict[int, set[int]] = defaultdict(set)
    for operation in history.operations:
        if operation.type != "ok":
            continue
        for key, pairs in operation.reads.items():
            for _, value in pairs:
                writer = history.sent[key].get(value)
                if writer is not None and writer is not operation:
                    reads[writer.index].add(operation.index)
    for key, order in history.at.items():
        for before, after in zip(order, order[1:]):
            one, other = history.sent[key].get(before), history.sent[key].get(after)
            if one is not None and other is not None and one is not other:
                writes[one.index].add(other.index)
    for ring in strongly_connected(reads):
        yield Anomaly("read-cycle", f"operations {sorted(ring)} read each other's writes")
    both = {node: reads[node] | writes[node] for node in set(reads) | set(writes)}
    for ring in strongly_connected(both):
        yield Anomaly("write-cycle", f"{len(ring)} operations write around each other")


def strongly_connected(edges: dict[int, set[int]]):
    """Circles of a graph, by Tarjan's algorithm without recursion."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    for root in list(edges):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(edges.get(root, ())))]
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(edges.get(target, ()))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    ring = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        ring.append(member)
                        if member == node:
                            break
                    if len(ring) > 1:
                        yield ring


def epochs(history: History):
    """Leader epochs never go down along a partition, and end where it is told."""
    found = history.details("epoch")
    for key, by_offset in found.items():
        highest = None
        for offset in sorted(by_offset):
            told = by_offset[offset]
            if len(told) > 1 or (highest is not None and min(told) < highest):
                yield Anomaly("epoch-back", f"{key} at {offset}: {sorted(told)} after {highest}")
            highest = max(told) if highest is None else max(highest, *told)
    for entry in history.entries:
        if entry["f"] != "epoch-end" or entry["type"] != "ok":
            continue
        for key, (epoch, end) in entry["value"].items():
            known = set(history.known_before(key, entry["index"]))
            for offset, told in found[key].items():
                beyond = max(told) <= epoch and offset >= end and offset in known
                if beyond or (min(told) > epoch and offset < end):
                    what = f"{key}: epoch {epoch} was told to end at {end}, at {offset} is {sorted(told)}"
                    yield Anomaly("epoch-end", what)


def contents(history: History):
    """What is read has the checksum of what was sent."""
    sums: dict[tuple[str, str], str] = {}
    for operation in history.operations:
        for key, _, value, details in operation.sent_details:
            if "sum" in details:
                sums[key, value] = details["sum"]
    for operation in history.operations:
        for key, offset, value, details in operation.read_details:
            expected = sums.get((key, value))
            if expected is not None and details.get("sum", expected) != expected:
                yield Anomaly("content", f"{key}: {value} at {offset} has the sum {details['sum']}, not {expected}")


def zombies(history: History):
    """After a newer epoch of a producer was told, nothing of an older one is taken."""
    fences: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for entry in history.entries:
        if entry["f"] == "fence" and entry["type"] == "ok":
            fences[entry["value"]["producer"]].append((entry["index"], entry["value"]["epoch"]))
    for operation in history.operations:
        for key, offset, value, details in operation.sent_details:
            before = [epoch for index, epoch in fences[details.get("producer")] if index < operation.begun]
            if not before or details["producer-epoch"] >= max(before):
                continue
            taken = operation.type == "ok" and offset is not None
            if taken or history.index_of(key, value) is not None:
                what = f"{key}: {value} of epoch {details['producer-epoch']} was taken after {max(before)} had begun"
                yield Anomaly("zombie", what)


def time_queries(history: History):
    """A question for a time is answered with the first offset that is not older."""
    times = history.details("time")
    for entry in history.entries:
        if entry["f"] != "offset-for-time" or entry["type"] != "ok":
            continue
        for key, (time, answer) in entry["value"].items():
            known = set(history.known_before(key, entry["index"]))
            fitting = [offset for offset in known if min(times[key].get(offset, [time - 1])) >= time]
            first = min(fitting, default=None)
            too_late = first is not None and (answer is None or first < answer)
            if too_late or (answer is not None and max(times[key].get(answer, [time])) < time):
                yield Anomaly("time-query", f"{key}: {time} was answered with {answer}, the first is {first}")


def tiers(history: History):
    """Everything known is either in the log or in one object, and the bucket has what is named, in the end nothing else."""
    for entry in history.entries:
        if entry["f"] != "tier" or entry["type"] != "ok":
            continue
        told, named = entry["value"], set()
        for key in history.known:
            ranges = [tuple(told["log"].get(key, (0, 0)))]
            for base, end, name in told["extents"].get(key, []):
                ranges.append((base, end))
                named.add(name)
            for offset in history.known_before(key, entry["index"]):
                count = sum(base <= offset < end for base, end in ranges)
                if count != 1:
                    kind = "stored-twice" if count else "stored-nowhere"
                    yield Anomaly(kind, f"{key} at {offset}: {count} of the log and the objects have it")
        bucket = set(told["bucket"])
        for name in sorted(named - bucket):
            yield Anomaly("missing-object", f"{name} is named and not in the bucket")
        if told.get("settled"):
            for name in sorted(bucket - named - set(told.get("garbage", []))):
                yield Anomaly("orphan", f"{name} is in the bucket and nothing names it")


def worst_lag(history: History) -> tuple[int, str]:
    """How long ago, when a poll began, the record behind its last one was known to be there; the most, and of whom.

    The last polls, which begin at the beginning, are left out.
    """
    since: dict[str, tuple[list[int], list[int]]] = {}
    for key, known in history.known.items():
        offsets = sorted(known)
        # Who knows a later offset knows that this one is there, too.
        times = [known[offset].time for offset in offsets]
        for at in range(len(times) - 2, -1, -1):
            times[at] = min(times[at], times[at + 1])
        since[key] = offsets, times
    worst = (0, "nobody")
    for operation in history.operations:
        if history.final_from is not None and operation.index > history.final_from:
            break
        for key, reads in operation.reads.items():
            if not reads or operation.type != "ok":
                continue
            offsets, times = since[key]
            at = bisect_right(offsets, max(offset for offset, _ in reads))
            if at < len(times):
                worst = max(worst, (operation.time_begun - times[at], f"{operation.process} in {key}"))
    return worst


RULES = (offsets, sources, losses, polls, sends, promises, edges, commits, cycles, epochs, contents, zombies, time_queries, tiers)


def check(entries: list[dict]) -> list[Anomaly]:
    """All anomalies of a history."""
    return judge(History(entries))


def judge(history: History) -> list[Anomaly]:
    return [anomaly for rule in RULES for anomaly in rule(history)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("history", nargs="*", type=Path)
    arguments = parser.parse_args()
    if not arguments.history:
        parser.error("name a history")
    bad = 0
    for path in arguments.history:
        history = History([json.loads(line) for line in path.read_text().splitlines() if line])
        anomalies = judge(history)
        kinds: dict[str, int] = defaultdict(int)
        for anomaly in anomalies:
            kinds[anomaly.kind] += 1
            if anomaly.is_bad and kinds[anomaly.kind] <= 5:
                print(f"{path}: {anomaly.kind}: {anomaly.what}")
        bad += sum(anomaly.is_bad for anomaly in anomalies)
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "nothing"
        lag, who = worst_lag(history)
        print(f"{path}: {len(history.entries)} entries; found {told}; worst lag {lag} of {who}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The same frames to Apache Kafka and to Esker, and where their answers differ.

Requests are made from the schema for every API and version that both serve, ordinary ones and odd ones, on topics, groups,
members and sessions that earlier requests left behind. A difference that `explanations.toml` does not explain fails the run, as
does a table in docs/compatibility.md that is not of that file (`--write` renews it). Exit code 77: Kafka could not be had.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))

import explanations
import frames
import hints
import schema
from comparing import Difference, bind_all, differences, normal
from identity import Known, Registry
from peers import API_VERSIONS, CLOSED, Answer, Peer
from making import Maker

SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "6000",
}
LIST_OFFSETS, INIT_PRODUCER_ID = 2, 22
CREATE_TOPICS, DELETE_TOPICS, METADATA, FIND_COORDINATOR, OFFSET_FETCH = 19, 20, 3, 10, 9
PRODUCER = {"transactional_id": None, "transaction_timeout_ms": 60_000}
SETTLE_S = 5.0
# Longer than members have to come back, and than a log lives on after its topic.
READS_SETTLE_S = 1.0
AGREEMENT_MIN = 0.995
# One in so many frames is no whole request.
SPOILED = 25
GROUP_APIS = {"ListGroups", "DescribeGroups", "JoinGroup", "SyncGroup", "LeaveGroup", "Heartbeat", "OffsetCommit", "OffsetDelete", "DeleteGroups", "OffsetFetch"}
TOPIC_APIS = {"Produce", "CreateTopics", "DeleteTopics", "CreatePartitions", "AlterConfigs", "IncrementalAlterConfigs", "DeleteRecords", "Metadata", "Fetch"}


class Run:
    def __init__(self, kafka: str, esker: str, seed: int) -> None:
        self.peers = (Peer(kafka), Peer(esker))
        self.random, self.registry = random.Random(seed), Registry()
        self.apis = schema.read_all()
        self.maker = Maker(self.random, self.registry)
        self.found: dict[Difference, int] = Counter()
        self.examples: dict[Difference, str] = {}
        self.explanations = explanations.read()
        self.exchanges: Counter = Counter()
        self.unexplained_exchanges = self.explained_exchanges = self.renewals = 0
        self.spans: dict[int, tuple[int, int]] = {}
        self.met: set[tuple[int, int]] = set()

    def both(self, key: int, version: int, value: dict) -> list[Answer]:
        return [peer.ask(self.apis[key], version, self.registry.resolve(value, side)) for side, peer in enumerate(self.peers)]

    def served(self) -> dict[int, tuple[int, int]]:
        """What both serve, by their answers to ApiVersions."""
        sides = [
            {each["api_key"]: (each["min_version"], each["max_version"]) for each in answer.value["api_keys"]}
            for answer in self.both(API_VERSIONS, 3, {"client_software_name": "suite", "client_software_version": "1"})
        ]
        both = {}
        known = {key for key, api in self.apis.items() if api.name not in hints.LEFT_OUT}
        for key in sides[0].keys() & sides[1].keys() & known:
            read = self.apis[key].request.versions
            span = (max(sides[0][key][0], sides[1][key][0], read[0]), min(sides[0][key][1], sides[1][key][1], read[1]))
            if span[0] <= span[1]:
                both[key] = span
        return both

    def settle(self, condition, patience_s: float = SETTLE_S) -> bool:
        """Waits until a condition holds, and tells whether it does."""
        deadline = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > deadline:
                return False
        return True

    def topics(self) -> list[dict]:
        """The partitions with leaders by topic, of each side."""
        return [
            {
                each["name"]: sorted(part["partition_index"] for part in each["partitions"] if part["leader_id"] >= 0)
                for each in answer.value["topics"]
                if not each["is_internal"]
            }
            for answer in self.both(METADATA, 12, {"topics": None, "allow_auto_topic_creation": False})
        ]

    def same_topics(self) -> bool:
        kafka, esker = self.topics()
        return kafka == esker and all(kafka.values()) and self.are_led(kafka)

    def are_led(self, topics: dict[str, list[int]]) -> bool:
        """Whether each partition is served: metadata may be ahead of who leads."""
        asked = [
            {"name": name, "partitions": [{"partition_index": each, "timestamp": -1} for each in parts]}
            for name, parts in topics.items()
        ]
        answers = self.both(LIST_OFFSETS, 3, {"replica_id": -1, "topics": asked})
        found = [topic["partitions"] for answer in answers for topic in answer.value["topics"]]
        return not any(part["error_code"] for parts in found for part in parts)

    def create(self, name: str) -> None:
        configs = [{"name": key, "value": value} for key, value in hints.STANDING.get(name, {}).items()]
        topic = {"name": name, "num_partitions": 2, "replication_factor": 1, "configs": configs}
        answers = self.both(CREATE_TOPICS, 7, {"topics": [topic], "timeout_ms": 30_000})
        for first, second in [[answer.value["topics"][0] for answer in answers]]:
            self.registry.bind("topic", first["topic_id"], second["topic_id"])

    def renew_topics(self) -> None:
        """Deletes all topics on both sides and makes the first ones again: what differed is not to differ ever after."""
        self.renewals += 1
        # Kafka may refuse a topic whose namesake has just gone.
        if not any(self.try_to_renew_topics() for _ in range(5)):
            raise SystemExit(f"topics do not become the same: {self.topics()}")

    def try_to_renew_topics(self) -> bool:
        names = sorted(set().union(*self.topics()))
        if names:
            self.both(DELETE_TOPICS, 5, {"topic_names": names, "timeout_ms": 30_000})
            if not self.settle(lambda: not any(self.topics())):
                raise SystemExit(f"topics are not deleted: {self.topics()}")
        self.registry.pairs["topic"] = []
        for name in (*hints.STANDING, *hints.TOPICS[:3]):
            self.create(name)
        return self.settle(lambda: self.same_topics() and len(self.topics()[0]) == len(hints.STANDING) + 3)

    def renew_groups(self) -> None:
        self.renewals += 1
        names = [f"g{number}-{self.renewals}" for number in range(len(hints.GROUPS))]
        self.registry.pairs["group"] = [(name, name) for name in names]
        self.registry.pairs["member"] = []

        def served() -> bool:
            answers = self.both(FIND_COORDINATOR, 3, {"key": names[0], "key_type": 0})
            offsets = self.both(OFFSET_FETCH, 5, {"group_id": names[0], "topics": None})
            return not any(answer.value["error_code"] for answer in (*answers, *offsets))

        if not self.settle(served):
            raise SystemExit("groups are not served")

    def prepare(self) -> None:
        self.spans = self.served()
        self.renew_topics()
        self.renew_groups()
        # Each takes a block of ids with the first.
        self.settle(lambda: not any(answer.value["error_code"] for answer in self.both(INIT_PRODUCER_ID, 1, PRODUCER)))

    def exchange(self) -> None:
        keys = sorted(self.spans)
        weights = [hints.WEIGHTS.get(self.apis[key].name, 10) for key in keys]
        api = self.apis[self.random.choices(keys, weights)[0]]
        version = self.random.randint(*self.spans[api.key])
        request = self.maker.request(api, version)
        bodies = [schema.encode(api.request, version, self.registry.resolve(request, side)) for side in (0, 1)]
        sent = version
        is_spoiled = self.random.randrange(SPOILED) == 0
        if is_spoiled:
            api, sent, bodies = self.spoil(api, version, bodies)
        flexible = api.request.is_flexible(sent)
        # Names that the answer tells and a request does not have.
        client = self.random.choice(("differential",) * 8 + (None, "")) if is_spoiled else "differential"
        for peer, body in zip(self.peers, bodies, strict=True):
            peer.send(api.key, sent, flexible, client, body)
        answers = [peer.receive(api, sent) for peer in self.peers]
        if api.name in hints.READS and not is_spoiled:
            answers = self.until_equal(api, version, request, answers)
        self.judge(api, sent, request, answers, is_spoiled)

    def until_equal(self, api: schema.Api, version: int, request: dict, answers: list[Answer]) -> list[Answer]:
        """Asks again what only reads: what happens by itself happens on one side a moment before it does on the other."""

        def same() -> bool:
            if None in (answers[0].value, answers[1].value):
                return True
            if api.name == "ListGroups":
                self.leave_out_former_groups(answers)
            sides = [normal(self.registry, "", answer.value, side) for side, answer in enumerate(answers)]
            if not list(differences(api.name, "", *sides)):
                return True
            answers[:] = self.both(api.key, version, request)
            return False

        self.settle(same, READS_SETTLE_S)
        return answers

    def spoil(self, api: schema.Api, version: int, bodies: list[bytes]) -> tuple[schema.Api, int, list[bytes]]:
        if self.random.random() < 0.2:
            api, version, body = frames.unknown(self.random)
            return api, version, [body, body]
        seed, made = self.random.random(), []
        # A bit of a name that each side has its own of would make another request of each.
        same = bodies[0] == bodies[1]
        for body in bodies:
            sent, spoiled = frames.spoiled(random.Random(seed), api, self.spans[api.key], version, body, same)
            made.append(spoiled)
        return api, sent, made

    def judge(self, api: schema.Api, version: int, request: dict, answers: list[Answer], is_spoiled: bool) -> None:
        if api.name == "ListGroups":
            self.leave_out_former_groups(answers)
        name = f"{api.name}, spoiled" if is_spoiled else api.name
        self.exchanges[name] += 1
        self.met.add((api.key, version))
        first, second = answers
        if first.outcome != second.outcome:
            found = [Difference(name, "", first.outcome, second.outcome)]
        elif first.value is None:
            found = []
        else:
            bind_all(self.registry, "", first.value, second.value)
            sides = [normal(self.registry, "", answer.value, side) for side, answer in enumerate(answers)]
            found = list(differences(name, "", *sides))
        self.note(found, f"v{version} {brief(request)}", None if is_spoiled else request)
        self.settle_after(api, bool(found), first.outcome == second.outcome == CLOSED)

    def leave_out_former_groups(self, answers: list[Answer]) -> None:
        """What differed once, and was told, is listed for ever."""
        for side, answer in enumerate(answers):
            names = [pair[side] for pair in self.registry.pairs["group"]]
            if answer.value is not None:
                answer.value["groups"] = [group for group in answer.value["groups"] if group["group_id"] in names]

    def note(self, found: list[Difference], example: str, request: dict | None) -> None:
        explained = True
        for difference in found:
            fitting = next((each for each in self.explanations if each.fits(difference, request)), None)
            if fitting is None:
                explained = False
                self.found[difference] += 1
                # The shortest says most about the cause.
                self.examples[difference] = min(self.examples.get(difference, example), example, key=len)
            else:
                fitting.met[difference] += 1
        if found:
            self.explained_exchanges += explained
            self.unexplained_exchanges += not explained

    def settle_after(self, api: schema.Api, differs: bool, closed: bool) -> None:
        if api.name in hints.CHANGES_TOPICS and not closed and not self.settle(self.same_topics):
            self.note([Difference(f"{api.name}, what it left", "topics", *map(str, self.only_one_side()))], "", None)
            differs = True
        if differs and api.name in TOPIC_APIS:
            self.renew_topics()
        if differs and api.name in GROUP_APIS:
            self.renew_groups()

    def only_one_side(self) -> list[dict]:
        kafka, esker = self.topics()
        return [{name: parts for name, parts in side.items() if other.get(name) != parts} for side, other in ((kafka, esker), (esker, kafka))]


def brief(value):
    """A request to read: record batches by their length, names by their number."""
    if isinstance(value, dict):
        return {name: brief(item) for name, item in value.items()}
    if isinstance(value, list):
        return [brief(item) for item in value]
    if isinstance(value, bytes) and len(value) > 20:
        return f"{len(value)} bytes, attributes {value[21:23].hex()}, last {value[23:27].hex()}, count {value[57:61].hex()}"
    return f"{value.kind} {value.number}" if isinstance(value, Known) else value


def report(run: Run, verbose: bool) -> dict:
    by_kind = defaultdict(list)
    for difference, count in run.found.items():
        by_kind[difference.api, difference.path].append((count, difference))
    for (api, path), rows in sorted(by_kind.items(), key=lambda item: -sum(row[0] for row in item[1])):
        print(f"{sum(row[0] for row in rows):5} {api}: {path}")
        for count, difference in sorted(rows, key=lambda row: -row[0])[: 8 if verbose else 3]:
            print(f"      {count:4} Kafka {difference.kafka}, Esker {difference.esker}")
            if verbose:
                print(f"           {run.examples[difference][:500]}")
    total = sum(run.exchanges.values())
    comparable = total - run.explained_exchanges
    agreement = (comparable - run.unexplained_exchanges) / max(comparable, 1)
    return {
        "suite": "differential",
        "exchanges": total,
        "apis": len(run.spans),
        "versions": sum(last - first + 1 for first, last in run.spans.values()),
        "versions_met": sum((key, each) in run.met for key, (first, last) in run.spans.items() for each in range(first, last + 1)),
        "explained": run.explained_exchanges,
        "unexplained": run.unexplained_exchanges,
        "agreement": round(agreement, 5),
        "renewals": run.renewals,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=os.environ.get("ESKER_BIN"))
    parser.add_argument("--rounds", type=int, default=1000, help="exchanges")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="renew the table in docs/compatibility.md, and end")
    parser.add_argument("--verbose", action="store_true", help="tell a request of each difference")
    options = parser.parse_args()
    if options.write:
        explanations.DOCUMENT.write_text(explanations.documented())
        return 0
    if explanations.documented() != explanations.DOCUMENT.read_text():
        print("the table in docs/compatibility.md is not that of explanations.toml: --write renews it")
        return 1
    if options.program:
        os.environ["ESKER_BIN"] = options.program
    from harness.esker import Esker
    from harness.kafka import Kafka
    from harness.tools import kafka_libs

    if shutil.which("java") is None or kafka_libs() is None:
        print("Java or the jars of Apache Kafka are missing")
        return 77
    directory, started = Path(tempfile.mkdtemp(prefix="esker-differential-")), time.monotonic()
    brokers = []
    try:
        for kind, words in ((Kafka, ()), (Esker, ("file",))):
            (directory / kind.name).mkdir()
            brokers.append(kind(directory / kind.name, *words, SETTINGS))
        run = Run(brokers[0].bootstrap, brokers[1].bootstrap, options.seed)
        run.prepare()
        began = time.monotonic()
        for _ in range(options.rounds):
            run.exchange()
        figures = report(run, options.verbose)
        figures["exchanges_s"] = round(time.monotonic() - began, 1)
    finally:
        for broker in brokers:
            broker.discard()
    shutil.rmtree(directory, ignore_errors=True)
    figures["seconds"] = round(time.monotonic() - started, 1)
    print(json.dumps(figures))
    return 1 if figures["unexplained"] or figures["agreement"] < AGREEMENT_MIN else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Clean histories, and each anomaly planted in them once: a checker that has not been seen to fail proves nothing."""

import argparse
import copy
import random
import sys

from check import KINDS, TOLD_ONLY, History, check, worst_lag


class Writer:
    def __init__(self):
        self.entries: list[dict] = []

    def add(self, process: str, kind: str, f: str, value) -> dict:
        index = len(self.entries)
        entry = {"index": index, "time": index * 1000, "process": process, "type": kind, "f": f, "value": value}
        self.entries.append(entry)
        return entry


def clean(seed: int, trims: bool = False) -> list[dict]:
    """What a log without faults shows: producers, transactions, consumers, commits, a last look at everything."""
    dice, out = random.Random(seed), Writer()
    logs: dict[str, list[str]] = {f"t-{number}": [] for number in range(3)}
    places: dict[tuple[str, str], int] = {}
    count, committed = 0, dict.fromkeys(logs, 0)
    unanswered: dict[str, list[int]] = {key: [] for key in logs}
    begin = dict.fromkeys(logs, 0)
    for turn in range(120):
        if trims and turn % 9 == 8:
            for key, log in logs.items():
                begin[key] = dice.randint(begin[key], len(log))
                out.add("admin", "info", "trim", {key: begin[key]})
        what = dice.random()
        key = dice.choice(list(logs))
        if what < 0.45:
            process = f"p{dice.randrange(4)}"
            transaction = dice.random() < 0.3
            keys = dice.sample(list(logs), 2) if transaction else [key]
            values = {k: [f"v{count + n}" for n in range(dice.randint(2, 4))] for k in keys[:1]}
            count += 10
            for k in keys[1:]:
                values[k] = [f"v{count}", f"v{count + 1}"]
                count += 10
            f = "txn" if transaction else "send"
            out.add(process, "invoke", f, [["send", k, v] for k in keys for v in values[k]])
            fate = dice.random()
            if fate < 0.1:
                out.add(process, "fail", f, [["send", k, [None, v]] for k in keys for v in values[k]])
                continue
            bases = {k: len(logs[k]) for k in keys}
            landed = fate >= 0.1
            if landed:
                for k in keys:
                    logs[k].extend(values[k])
            if fate < 0.2:
                out.add(process, "info", f, [["send", k, [None, v]] for k in keys for v in values[k]])
            else:
                told = [["send", k, [bases[k] + n, v]] for k in keys for n, v in enumerate(values[k])]
                out.add(process, "ok", f, told)
        elif what < 0.9:
            process = f"c{dice.randrange(3)}"
            place = places.get((process, key))
            if place is None or dice.random() < 0.1:
                place = dice.randrange(len(logs[key]) + 1)
                out.add(process, "ok", "assign", [key])
            place = max(place, begin[key])
            end = min(len(logs[key]), place + dice.randint(2, 8))
            pairs = [[offset, logs[key][offset]] for offset in range(place, end)]
            out.add(process, "ok", "poll", [["poll", {key: pairs}]])
            places[process, key] = end
        else:
            for outcome in [*["info"] * (dice.random() < 0.3), "ok"]:
                committed[key] += dice.randint(1, 3)
                value = {"group": "g", "offsets": {key: committed[key]}}
                out.add("k", "invoke", "commit", copy.deepcopy(value))
                out.add("k", outcome, "commit", copy.deepcopy(value))
                unanswered[key] += [committed[key]] * (outcome == "info")
            if unanswered[key] and dice.random() < 0.3:
                # What was not answered came late.
                value["offsets"][key] = dice.choice(unanswered[key])
            out.add("k", "ok", "committed", value)
            out.add("k", "ok", "edges", {key: [begin[key], len(logs[key])]})
    out.add("final", "info", "final-polls", None)
    for key, log in logs.items():
        out.add("final", "ok", "assign", [key])
        for start in range(begin[key], len(log), 10):
            pairs = [[offset, log[offset]] for offset in range(start, min(start + 10, len(log)))]
            out.add("final", "ok", "poll", [["poll", {key: pairs}]])
    return out.entries


def polls_of(entries, process=None, least=1):
    """Poll entries with the key and the pairs of each."""
    for entry in entries:
        if entry["f"] == "poll" and entry["type"] == "ok" and (process is None) == (entry["process"] != "final"):
            for key, pairs in entry["value"][0][1].items():
                if len(pairs) >= least:
                    yield entry, key, pairs


def renumber(entries):
    for index, entry in enumerate(entries):
        entry["index"] = index
    return entries


def replace_everywhere(entries, key, value, change):
    """Changes every pair of a value."""
    for entry in entries:
        if entry["f"] not in ("send", "txn", "poll"):
            continue
        for part in entry["value"]:
            if part[0] == "poll" and key in part[1]:
                part[1][key] = [pair for old in part[1][key] for pair in (change(old) if old[1] == value else [old])]


def sends_of(entries, f=None):
    return [e for e in entries if e["type"] == "ok" and e["f"] in ("send", "txn") and (f is None or e["f"] == f)]


def plant_inconsistent_offsets(entries, dice):
    _, key, pairs = dice.choice(list(polls_of(entries, least=2)))
    other = next(e["value"][0][2] for e in entries if e["f"] == "send" and e["type"] == "invoke" and e["value"][0][1] == key)
    place = next(i for i, pair in enumerate(pairs) if pair[1] != other)
    pairs[place][1] = other
    return {"inconsistent-offsets", "duplicate", "int-poll-skip", "int-nonmonotonic-poll", "poll-skip",
            "nonmonotonic-poll", "lost-write", "acknowledged-elsewhere", "nonmonotonic-send", "int-nonmonotonic-send",
            "read-cycle", "aborted-read"}


def plant_aborted_read(entries, dice):
    entry, key, pairs = dice.choice(list(polls_of(entries, least=1)))
    read = pairs[dice.randrange(len(pairs))][1]
    for other in entries:
        if other["type"] in ("ok", "info") and other["f"] in ("send", "txn") and any(p[2][1] == read for p in other["value"]):
            other["type"] = "fail"
    return {"aborted-read"}


def plant_precommitted_read(entries, dice):
    entry = dice.choice([e for e in sends_of(entries, "txn")])
    _, key, (offset, value) = entry["value"][0]
    entry["value"].append(["poll", {key: [[offset, value]]}])
    return {"precommitted-read"}


def plant_duplicate(entries, dice):
    entry, key, pairs = dice.choice(list(polls_of(entries, "final", least=2)))
    last = max(pair[0] for e, k, p in polls_of(entries, "final") if k == key for pair in p)
    final = [(e, p) for e, k, p in polls_of(entries, "final") if k == key][-1][1]
    final.append([last + 1, pairs[0][1]])
    return {"duplicate", "int-nonmonotonic-poll", "acknowledged-elsewhere"}


def plant_lost_write(entries, dice):
    entry = dice.choice([e for e in sends_of(entries) if inner(entries, e)])
    _, key, (_, value) = entry["value"][0]
    replace_everywhere(entries, key, value, lambda pair: [])
    return {"lost-write", "unseen", "torn-transaction", "int-poll-skip", "poll-skip"}


def inner(entries, entry):
    """Whether something behind the first send of an operation is read by somebody."""
    _, key, (offset, _) = entry["value"][0]
    return any(pair[0] > offset for _, k, pairs in polls_of(entries, "final") if k == key for pair in pairs)


def plant_unseen(entries, dice):
    key = dice.choice([p[1] for e in sends_of(entries) for p in e["value"]])
    end = max((p[2][0] for e in sends_of(entries) for p in e["value"] if p[1] == key))
    last = next(p[2][1] for e in sends_of(entries) for p in e["value"] if p[1] == key and p[2][0] == end)
    tail = {pair[1] for _, k, pairs in polls_of(entries, "final") if k == key for pair in pairs if pair[0] >= end}
    for value in tail | {last}:
        replace_everywhere(entries, key, value, lambda pair: [])
    return {"unseen", "torn-transaction"}


def plant_poll_skip(entries, dice):
    candidates = consecutive(entries)
    first, second = dice.choice([pair for pair in candidates if len(pair[1]) > 1])
    del second[0]
    return {"poll-skip"}


def consecutive(entries):
    """Pairs of a process's polls that follow each other without an assignment between."""
    last, found = {}, []
    for entry in entries:
        if entry["f"] == "assign":
            for key in entry["value"]:
                last.pop((entry["process"], key), None)
        elif entry["f"] == "poll":
            for key, pairs in entry["value"][0][1].items():
                if not pairs:
                    continue
                before = last.get((entry["process"], key))
                if before is not None and entry["process"] != "final":
                    found.append((before, pairs))
                last[entry["process"], key] = pairs
    return found


def plant_nonmonotonic_poll(entries, dice):
    first, second = dice.choice(consecutive(entries))
    second.insert(0, list(first[-1]))
    return {"nonmonotonic-poll"}


def plant_int_poll_skip(entries, dice):
    _, _, pairs = dice.choice(list(polls_of(entries, least=3)))
    del pairs[1]
    return {"int-poll-skip"}


def plant_int_nonmonotonic_poll(entries, dice):
    _, _, pairs = dice.choice(list(polls_of(entries, least=3)))
    pairs.insert(2, list(pairs[0]))
    pairs.insert(3, list(pairs[1]))
    return {"int-nonmonotonic-poll"}


def swap(entries, key, one, other):
    """Two values change places in every poll and acknowledgement."""
    for entry in entries:
        if entry["f"] not in ("send", "txn", "poll"):
            continue
        for part in entry["value"]:
            if part[0] == "poll":
                for pair in part[1].get(key, []):
                    pair[1] = {one: other, other: one}.get(pair[1], pair[1])


def plant_int_nonmonotonic_send(entries, dice):
    entry = dice.choice([e for e in sends_of(entries, "send") if len(e["value"]) > 1])
    one, other = entry["value"][0], entry["value"][1]
    swap(entries, one[1], one[2][1], other[2][1])
    one[2][0], other[2][0] = other[2][0], one[2][0]
    return {"int-nonmonotonic-send", "int-send-skip"}


def plant_nonmonotonic_send(entries, dice):
    by_process = {}
    for entry in sends_of(entries, "send"):
        by_process.setdefault((entry["process"], entry["value"][0][1]), []).append(entry)
    runs = [run for run in by_process.values() if len(run) > 1]
    run = dice.choice(runs)
    one, other = run[0]["value"][0], run[1]["value"][0]
    swap(entries, one[1], one[2][1], other[2][1])
    one[2][0], other[2][0] = other[2][0], one[2][0]
    return {"nonmonotonic-send", "int-nonmonotonic-send", "int-send-skip", "order"}


def plant_read_cycle(entries, dice):
    one, other = dice.sample(sends_of(entries, "txn"), 2)
    for reader, writer in ((one, other), (other, one)):
        _, key, (offset, value) = writer["value"][0]
        reader["value"].append(["poll", {key: [[offset, value]]}])
    return {"read-cycle", "nonmonotonic-poll"}


def plant_torn_transaction(entries, dice):
    infos = [e for e in entries if e["f"] == "txn" and e["type"] in ("ok", "info")]
    entry = dice.choice(infos)
    last = entry["value"][-1]
    entry["type"] = "info"
    for part in entry["value"]:
        part[2][0] = None
    replace_everywhere(entries, last[1], last[2][1], lambda pair: [])
    return {"torn-transaction"}


def plant_acknowledged_elsewhere(entries, dice):
    entry = dice.choice(sends_of(entries, "send"))
    part = entry["value"][-1]
    part[2][0] = 10_000 + dice.randrange(100)
    return {"acknowledged-elsewhere", "duplicate", "order", "int-send-skip", "poll-skip"}


def plant_order(entries, dice):
    ok = sends_of(entries, "send")
    entry = dice.choice([e for e in ok if any(o["index"] < e["index"] and o["value"][0][1] == e["value"][0][1] for o in ok)])
    shift = entry["value"][0][2][0] + 500
    for part in entry["value"]:
        value = part[2][1]
        replace_everywhere(entries, part[1], value, lambda pair: [])
        part[2][0] -= shift
    return {"order", "unseen", "nonmonotonic-send", "int-poll-skip", "poll-skip", "lost-write"}


def plant_phantom(entries, dice):
    key = dice.choice(["t-0", "t-1", "t-2"])
    pairs = [p for _, k, p in polls_of(entries, "final") if k == key][-1]
    pairs.append([pairs[-1][0] + 1, "nobody's"])
    return {"phantom"}


def plant_edge_back(entries, dice):
    entry = dice.choice([e for e in entries if e["f"] == "edges" and list(e["value"].values())[0][1] > 0])
    again = copy.deepcopy(entry)
    for edge in again["value"].values():
        edge[1] -= 1
    entries.insert(entry["index"] + 1, again)
    renumber(entries)
    return {"edge-back"}


def plant_commit_back(entries, dice):
    entry = dice.choice([e for e in entries if e["f"] == "committed"])
    (key,) = entry["value"]["offsets"]
    here = [e for e in entries[: entry["index"]] if e["f"] == "commit" and key in e["value"]["offsets"]]
    acknowledged = [e["value"]["offsets"][key] for e in here if e["type"] == "ok"]
    # What nobody wrote, or what was there before the last one.
    entry["value"]["offsets"][key] = dice.choice([0, [-1, *acknowledged][-2]])
    return {"commit-back"}


def insert_between(entries, dice):
    """Another process's value between the first two of a send, by everybody's account. Answers the send's entry."""
    entry = dice.choice([e for e in sends_of(entries, "send") if len(e["value"]) > 1])
    _, key, (offset, before) = entry["value"][0]
    after = entry["value"][1][2][1]
    for other in entries:
        if other["f"] == "edges" and key in other["value"]:
            other["value"][key] = [edge + (edge > offset) for edge in other["value"][key]]
        for part in other["value"] if other["f"] in ("send", "txn", "poll") else []:
            if part[0] == "poll" and key in part[1]:
                pairs = part[1][key]
                for pair in pairs:
                    pair[0] += pair[0] > offset
                at = next((number for number, pair in enumerate(pairs) if pair[1] == after), None)
                if at is not None:
                    pairs.insert(at, [offset + 1, "between"])
            elif part[0] == "send" and part[1] == key and isinstance(part[2], list) and (part[2][0] or 0) > offset:
                part[2][0] += 1
    begun = next(at for at, e in enumerate(entries) if (e["type"], e["f"]) == ("invoke", "send") and ["send", key, before] in e["value"])
    rest = {"time": entry["time"], "process": "other", "f": "send"}
    entries.insert(entries.index(entry) + 1, {**rest, "type": "ok", "value": [["send", key, [offset + 1, "between"]]]})
    entries.insert(begun, {**rest, "type": "invoke", "value": [["send", key, "between"]]})
    renumber(entries)
    return entry


def plant_int_send_skip(entries, dice):
    insert_between(entries, dice)
    return set()


def plant_write_cycle(entries, dice):
    """Two transactions at the end that write around each other in two partitions."""
    ends = {}
    for _, key, pairs in polls_of(entries, "final"):
        ends[key] = pairs
    one, other = dice.sample(sorted(ends), 2)
    sent = {"x": {}, "y": {}}
    for key, order in ((one, "xy"), (other, "yx")):
        for process in order:
            place = [ends[key][-1][0] + 1, f"{process} in {key}"]
            ends[key].append(place)
            sent[process][key] = place
    at = next(number for number, entry in enumerate(entries) if entry["f"] == "final-polls")
    new = []
    for kind in ("invoke", "ok"):
        for process, places in sent.items():
            value = [["send", key, place[1] if kind == "invoke" else list(place)] for key, place in places.items()]
            new.append({"time": entries[at]["time"], "process": process, "type": kind, "f": "txn", "value": value})
    entries[at:at] = new
    renumber(entries)
    return set()


def detailed(seed: int) -> list[dict]:
    """A clean history that tells more: epochs, checksums, times, fences, questions, and what is stored where."""
    entries, dice = copy.deepcopy(clean(seed)), random.Random(f"details {seed}")
    logs: dict[str, dict[int, str]] = {}
    for _, key, pairs in polls_of(entries, "final"):
        logs.setdefault(key, {}).update(dict(pairs))
    cuts = {key: sorted(dice.sample(range(1, len(log)), 2)) for key, log in logs.items()}
    times = {key: [at * 10 + dice.randrange(40) for at in range(len(log))] for key, log in logs.items()}
    epochs: dict[str, int] = {}
    begun: dict[str, int] = {}
    out = []

    def tell(f, value):
        out.append({"time": out[-1]["time"], "process": "auditor", "type": "ok", "f": f, "value": value})

    def ask_for_time(key, end):
        wanted = dice.randrange(end * 10 + 60)
        tell("offset-for-time", {key: [wanted, next((at for at in range(end) if times[key][at] >= wanted), None)]})

    for entry in entries:
        process = entry["process"]
        out.append(entry)
        if entry["type"] == "invoke" and entry["f"] in ("send", "txn"):
            begun[process] = epochs.get(process, 0)
            if dice.random() < 0.1:
                # What is on its way may still be taken.
                epochs[process] = begun[process] + 1
                tell("fence", {"producer": process, "epoch": epochs[process]})
        for part in entry["value"] if entry["f"] in ("send", "txn", "poll") else []:
            if part[0] == "send" and isinstance(part[2], list):
                part[2].append({"sum": f"sum of {part[2][1]}", "producer": process, "producer-epoch": begun[process]})
            elif part[0] == "poll":
                for key, pairs in part[1].items():
                    for pair in pairs:
                        at, value = pair
                        epoch = sum(at >= cut for cut in cuts[key])
                        pair.append({"epoch": epoch, "sum": f"sum of {value}", "time": times[key][at]})
        if entry["f"] == "edges":
            [(key, (_, end))] = entry["value"].items()
            if end:
                ask_for_time(key, end)
                tell("epoch-end", {key: [sum(end > cut for cut in cuts[key]), end]})
    for key, log in logs.items():
        ask_for_time(key, len(log))
        for epoch, end in enumerate([*cuts[key], len(log)]):
            tell("epoch-end", {key: [epoch, end]})
    extents = {key: [[0, first, f"{key}/a"], [first, second, f"{key}/b"]] for key, (first, second) in cuts.items()}
    audit = {
        "log": {key: [cuts[key][1], len(log)] for key, log in logs.items()},
        "extents": extents,
        "bucket": [name for pieces in extents.values() for _, _, name in pieces] + ["old", "on its way"],
        "garbage": ["old"],
    }
    tell("tier", copy.deepcopy(audit))
    audit["bucket"].remove("on its way")
    tell("tier", {**audit, "settled": True})
    return renumber(out)


def told(entries, f):
    return [entry for entry in entries if entry["f"] == f]


def read_with_details(entries):
    return [pair for entry in told(entries, "poll") for pairs in entry["value"][0][1].values() for pair in pairs]


def damage_epoch_back(entries, dice):
    late = [pair for pair in read_with_details(entries) if pair[2]["epoch"] == 2]
    dice.choice(late)[2]["epoch"] = 0
    return {"epoch-back", "epoch-end"}


def damage_epoch_end(entries, dice):
    """Too early an end, or one beyond where the next epoch begins."""
    last = dice.random() < 0.5
    entry = dice.choice([e for e in told(entries, "epoch-end")[-9:] if last or list(e["value"].values())[0][0] < 2])
    for question in entry["value"].values():
        question[1] += -1 if last else 1
    return {"epoch-end"}


def damage_content(entries, dice):
    told_to = {p[2][1] for e in sends_of(entries) for p in e["value"]}
    pair = dice.choice([pair for pair in read_with_details(entries) if pair[1] in told_to])
    pair[2]["sum"] = "another"
    return {"content"}


def damage_zombie(entries, dice):
    """A newer epoch is told before a send that is taken all the same."""
    entry = dice.choice(sends_of(entries))
    details = entry["value"][0][2][2]
    begun = max(e["index"] for e in entries[: entry["index"]] if e["type"] == "invoke" and e["process"] == entry["process"])
    fence = {"producer": details["producer"], "epoch": details["producer-epoch"] + 1}
    entries.insert(begun, {**entry, "process": "auditor", "type": "ok", "f": "fence", "value": fence})
    renumber(entries)
    return {"zombie"}


def damage_time_query(entries, dice):
    """Another offset than the first one that fits; or none, though one does."""
    entry = dice.choice([e for e in told(entries, "offset-for-time") if list(e["value"].values())[0][1] is not None])
    question = list(entry["value"].values())[0]
    key = list(entry["value"])[0]
    known = {p[2][0] for e in sends_of(entries) if e["index"] < entry["index"] for p in e["value"] if p[1] == key}
    known |= {at for e in told(entries, "poll") if e["index"] < entry["index"] for at, *_ in e["value"][0][1].get(key, [])}
    if question[1] in known and dice.random() < 0.5:
        question[1] = dice.choice([None, question[1] + 1])
    else:
        # Nothing fits this.
        question[0] = 1 << 40
    return {"time-query"}


def an_audit(entries):
    return told(entries, "tier")[-1]["value"]


def damage_stored_nowhere(entries, dice):
    dice.choice(list(an_audit(entries)["log"].values()))[0] += 1
    return {"stored-nowhere"}


def damage_stored_twice(entries, dice):
    dice.choice(list(an_audit(entries)["log"].values()))[0] -= 1
    return {"stored-twice"}


def damage_missing_object(entries, dice):
    audit = an_audit(entries)
    audit["bucket"].remove(dice.choice([name for name in audit["bucket"] if "/" in name]))
    return {"missing-object"}


def damage_orphan(entries, dice):
    an_audit(entries)["bucket"].append("whose")
    return {"orphan"}


def lag_problems(seed: int) -> list[str]:
    """The lag of a reader by hand, and that of one that stood still."""
    out = Writer()
    for number in range(3):
        out.add("p", "invoke", "send", [["send", "t", f"v{number}"]])
        out.add("p", "ok", "send", [["send", "t", [number, f"v{number}"]]])
    out.add("c", "ok", "assign", ["t"])
    out.add("c", "invoke", "poll", [["poll"]])
    out.add("c", "ok", "poll", [["poll", {"t": [[0, "v0"]]}]])
    lag, who = worst_lag(History(out.entries))
    # It began at 7000; the record behind the one that it got was acknowledged at 3000.
    problems = [] if (lag, who) == (4000, "c in t") else [f"a lag of 4000 is told as {lag} of {who}"]
    entries, still = copy.deepcopy(clean(seed)), 10**9
    before, _ = worst_lag(History(entries))
    middle = len(entries) // 2
    for entry in entries[middle:]:
        entry["time"] += still
    lag, _ = worst_lag(History(entries))
    if before >= still or lag < still:
        problems.append(f"history {seed}: the worst lag is {before} and {lag}, with a reader that stood still for {still}")
    return problems


def named(prefix):
    return {name.removeprefix(prefix).replace("_", "-"): plant for name, plant in globals().items() if name.startswith(prefix)}


# In histories of the plain kind, and in those with details.
PLANTS, DAMAGES = named("plant_"), named("damage_")


def main() -> int:
    """Each anomaly in each history: it is named, and so is nothing that does not follow from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="histories")
    planted = PLANTS.keys() | DAMAGES.keys()
    failures, tried = [f"{name} is never planted" for name in sorted(KINDS - planted)], 0
    for seed in range(parser.parse_args().rounds):
        failures += lag_problems(seed)
        for what, entries in (("", clean(seed)), (" with trims", clean(seed, True)), (" with details", detailed(seed))):
            tried += 1
            failures += [f"clean history {seed}{what}: {anomaly}" for anomaly in check(entries)[:1]]
        for make, name, plant in [(clean, *item) for item in PLANTS.items()] + [(detailed, *item) for item in DAMAGES.items()]:
            entries = copy.deepcopy(make(seed))
            dice = random.Random(f"{seed} {name}")
            allowed = plant(entries, dice) | TOLD_ONLY
            tried += 1
            found = {anomaly.kind for anomaly in check(entries)}
            if name not in found:
                failures.append(f"{name} in history {seed}: not named, but {sorted(found)}")
            elif found - allowed - {name}:
                failures.append(f"{name} in history {seed}: named {sorted(found - allowed)} as well")
    for failure in failures[:20]:
        print(failure)
    print(f"{tried} histories with {len(planted)} anomalies, {len(failures)} judged wrongly")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Traces of a real SDK: sent by OTLP, found at once and from Parquet files, each span once though the broker is killed.

The Python SDK exports spans over OTLP/HTTP while the broker is killed (-9) and started again, rounds over. Every span of an
export that was answered well is found once, with what it said: by the command line, by the admin interface, and by DuckDB in
the files. Then bad input: each is refused with a status and a sentence, and nothing else is harmed.
"""

import gzip
import json
import random
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

import duckdb  # noqa: E402
from harness import Broken, Broker, arguments, free_port, run_suite, wait_until  # noqa: E402
from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: E402
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: E402
from opentelemetry.sdk.resources import Resource  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult, SimpleSpanProcessor  # noqa: E402
from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: E402

PATIENCE_S = 30
TRACES_A_ROUND, CHILDREN = 30, 4
# The bar for spans that were sent just now.
FOUND_WITHIN_S = 2


class Kept(SpanExporter):
    """Keeps spans until they are exported in one request, and knows which were acknowledged."""

    def __init__(self, url, compression):
        self.exporter = OTLPSpanExporter(endpoint=url, compression=compression, timeout=20)
        self.waiting, self.acknowledged, self.refused = [], [], 0

    def export(self, spans):
        self.waiting.extend(spans)
        return SpanExportResult.SUCCESS

    def send(self):
        spans, self.waiting = self.waiting, []
        if self.exporter.export(spans) is SpanExportResult.SUCCESS:
            self.acknowledged.extend(spans)
        else:
            self.refused += len(spans)

    def shutdown(self):
        self.exporter.shutdown()


class Application:
    """Something that makes traces: an order with its steps."""

    def __init__(self, url, compression, seed):
        self.chance, self.kept = random.Random(seed), Kept(url, compression)
        self.provider = TracerProvider(resource=Resource.create({"service.name": "shop", "host.cpus": 4}))
        self.provider.add_span_processor(SimpleSpanProcessor(self.kept))
        self.tracer = self.provider.get_tracer("orders", "1.2")

    def order(self, number):
        with self.tracer.start_as_current_span("order", kind=SpanKind.SERVER, attributes={"order.number": number}) as span:
            for step in range(CHILDREN):
                with self.tracer.start_as_current_span(f"step {step}", attributes={"http.method": "POST", "step": step}) as child:
                    child.add_event("thought", {"about": "it"})
                    if number % 10 == 0 and step == 3:
                        child.set_status(Status(StatusCode.ERROR, "declined"))
            return f"{span.get_span_context().trace_id:032x}"


def post(url, body, kind="application/json", **headers):
    request = urllib.request.Request(url, data=body, method="POST", headers={"content-type": kind, **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def ask(broker, path):
    with urllib.request.urlopen(f"http://{broker.admin}{path}", timeout=30) as answer:
        return json.load(answer)


def ids(spans):
    return sorted(f"{span.get_span_context().span_id:016x}" for span in spans)


def compare(broker, kept, what):
    """Every acknowledged span is found once, with its name, parent, status and attributes."""
    by_trace = {}
    for span in kept.acknowledged:
        by_trace.setdefault(f"{span.get_span_context().trace_id:032x}", []).append(span)
    for trace, spans in by_trace.items():
        found = {row["span_id"]: row for row in ask(broker, f"/v1/traces/{trace}")}
        for span in spans:
            row = found.get(f"{span.get_span_context().span_id:016x}")
            if row is None:
                raise Broken(f"{what}: a span of trace {trace} is not found: {span.name}")
            parent = f"{span.parent.span_id:016x}" if span.parent else ""
            attributes = {pair["key"] for pair in json.loads(row["attributes_json"])}
            wanted = (span.name, parent, span.status.status_code.name.lower(), span.start_time, set(span.attributes))
            got = (row["name"], row["parent_span_id"], row["status"], row["start_ns"], attributes)
            if got != wanted:
                raise Broken(f"{what}: {wanted} was sent and {got} is found")


def files_of(directory):
    return sorted(str(path) for path in (directory / "bucket" / "traces").rglob("*.parquet"))


def refusals(broker, otlp):
    """What is no trace, one status each."""
    good = json.dumps({"resourceSpans": []}).encode()
    cases = {
        "another type": (post(otlp, good, "text/plain"), 415),
        "no JSON": (post(otlp, b"{"), 400),
        "no protobuf": (post(otlp, b"\xff\xff\xff", "application/x-protobuf"), 400),
        "another compression": (post(otlp, good, **{"content-encoding": "br"}), 415),
        "no gzip": (post(otlp, good, **{"content-encoding": "gzip"}), 400),
        "a bomb": (post(otlp, gzip.compress(b" " * (65 << 20)), **{"content-encoding": "gzip"}), 413),
        "too long": (post(otlp, b" " * (17 << 20)), 413),
        "metrics": (post(otlp.replace("traces", "metrics"), good), 404),
        "nothing": (post(otlp, good), 200),
    }
    for name, ((status, body), wanted) in cases.items():
        if status != wanted or (wanted != 200 and b"message" not in body):
            raise Broken(f"{name}: {status} {body[:200]}, not {wanted}")
    zero = {"traceId": "0" * 32, "spanId": "0" * 16, "name": "nobody"}
    long = {"traceId": "9" * 32, "spanId": "9" * 16, "name": "x" * (2 << 20)}
    well = {"traceId": "8" * 32, "spanId": "8" * 16, "name": "well", "endTimeUnixNano": "1", "startTimeUnixNano": "18446744073709551615"}
    mixed = {"resourceSpans": [{"scopeSpans": [{"spans": [zero, long, well]}]}]}
    status, body = post(otlp, json.dumps(mixed).encode())
    partial = json.loads(body)["partialSuccess"]
    if status != 200 or int(partial["rejectedSpans"]) != 2 or not partial["errorMessage"]:
        raise Broken(f"of three spans two are no good, and the answer is {status} {body}")
    if [row["name"] for row in ask(broker, "/v1/traces/" + "8" * 32)] != ["well"]:
        raise Broken("a good span beside bad ones is not found")
    return len(cases) + 1


def page(broker, trace):
    """What a browser shows of the page: a list, a trace, a trace that is not there."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return "skipped: no chromium"

    def shown(place):
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
        done = subprocess.run(
            [*command, f"http://{broker.admin}/ui/{place}"], capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout

    for place, words in {
        "": ["Service", "shop", "order", "<circle"],
        f"#/trace/{trace}": ["step 3", 'class="bar', "shop order", f"{CHILDREN + 1} spans"],
        f"#/trace/{'f' * 32}": ["no span of trace", "Back to the search"],
        "#/?attr=nonsense": ["write attr=KEY=VALUE"],
    }.items():
        dom = shown(place)
        missing = [word for word in words if word not in dom]
        if missing:
            raise Broken(f"the page {place!r} shows nothing of {missing}: {dom[-700:]}")
    return "shown"


def main():
    options = arguments(__doc__, 3)

    def suite(directory):
        http = free_port()
        settings = {"esker.otlp.http.listener": f"127.0.0.1:{http}", "esker.traces.index.interval.ms": "700"}
        broker = Broker(
            options.program, directory / "data", directory / "esker.log", settings,
            bucket=f"file://{directory / 'bucket'}",
        )  # fmt: skip
        otlp = f"http://127.0.0.1:{http}/v1/traces"
        compression = [Compression.NoCompression, Compression.Gzip]
        applications = [Application(otlp, way, options.seed + n) for n, way in enumerate(compression)]
        found_s = []
        try:
            broker.start()
            for round_number in range(options.rounds):
                for application in applications:
                    traces = [application.order(number) for number in range(TRACES_A_ROUND)]
                    application.kept.send()
                    began = time.monotonic()
                    wait_until(
                        lambda trace=traces[-1]: len(ask(broker, f"/v1/traces/{trace}")) == CHILDREN + 1,
                        PATIENCE_S, "a trace is not found",
                    )  # fmt: skip
                    found_s.append(time.monotonic() - began)
                if round_number:
                    before = len(files_of(directory))
                    wait_until(lambda b=before: len(files_of(directory)) > b, PATIENCE_S, "no file is made")
                broker.kill()
                broker.start()
            for application in applications:
                compare(broker, application.kept, "after kills")
            refused = refusals(broker, otlp)
            sent = [span for application in applications for span in application.kept.acknowledged]

            def indexed():
                files = files_of(directory)
                query = f"SELECT span_id FROM read_parquet({files}) WHERE service_name = 'shop'"
                return sorted(row[0] for row in duckdb.sql(query).fetchall()) if files else []

            wait_until(lambda: len(indexed()) >= len(sent), PATIENCE_S, "the files lack spans")
            if indexed() != ids(sent):
                raise Broken("the files have other spans than were acknowledged, or some twice")
            failed = duckdb.sql(
                f"SELECT count(*) FROM read_parquet({files_of(directory)}) "
                "WHERE status = 'error' AND http_request_method = 'POST' AND scope_name = 'orders'"
            ).fetchall()[0][0]
            wanted = sum(span.status.status_code is StatusCode.ERROR for span in sent)
            if failed != wanted:
                raise Broken(f"DuckDB finds {failed} failed spans, {wanted} were sent")
            for application in applications:
                compare(broker, application.kept, "from files")
            cli = [options.program, "traces"]
            rest = ["--admin", broker.admin]

            def told(*words, want=0):
                done = subprocess.run([*cli, *words, *rest], capture_output=True, text=True, timeout=60, check=False)
                if done.returncode != want:
                    raise Broken(f"traces {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
                return done.stdout

            some = f"{sent[0].get_span_context().trace_id:032x}"
            if len(told("get", some).splitlines()) != CHILDREN + 1 or "step 3" not in told("get", some):
                raise Broken(f"a tree is {told('get', some)}")
            rows = json.loads(told("list", "--service", "shop", "--error", "--limit", "1000", "-o", "json"))
            if len(rows) != wanted or any(row["errors"] != 1 for row in rows):
                raise Broken(f"{len(rows)} failed traces are listed, {wanted} were sent")
            if told("list", "--attr", "step=2", "--attr", "host.cpus=4", "--limit", "5", "-o", "name").count("\n") != 5:
                raise Broken("traces are not found by attributes")
            if told("list", "--min-duration", "1h", "-o", "name"):
                raise Broken("no trace took an hour")
            if told("operations", "shop", "-o", "name").split("\n")[0] != "order" or "shop" not in told("services"):
                raise Broken("services or operations are missing")
            otlp_again = json.loads(told("get", some, "-o", "otlp"))
            status, _ = post(otlp, json.dumps(otlp_again).encode())
            if status != 200 or len(ask(broker, f"/v1/traces/{some}")) != CHILDREN + 1:
                raise Broken("a trace that was sent again as it was told is not the same trace")
            shown = page(broker, some)
            told("get", "f" * 32, want=3)
            told("get", "no-id", want=2)
            broker.stop()
        finally:
            broker.kill()
        slow = max(found_s)
        problems = [f"a trace was found after {slow:.1f} s"] if slow > FOUND_WITHIN_S else []
        figures = {
            "spans": len(sent), "kills": options.rounds, "files": len(files_of(directory)), "lost": 0, "doubled": 0,
            "found_ms_max": round(slow * 1000), "refused": refused, "page": shown,
        }  # fmt: skip
        return figures, problems

    return run_suite("otlp-in", suite)


if __name__ == "__main__":
    sys.exit(main())

"""Fixtures: one broker a module, topics named after the test, and observations for the comparison with Kafka."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("harness")

from harness import buckets  # noqa: E402
from harness.esker import Esker  # noqa: E402
from harness.kafka import Kafka  # noqa: E402
from harness.target import Target  # noqa: E402

# What every broker under test is told; a module adds its own by a variable SETTINGS.
_SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.num.partitions": "4",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--target", choices=("esker", "kafka"), default="esker", help="what to test")
    group.addoption("--bucket-backend", choices=buckets.BACKENDS, default="file", help="where Esker keeps its data")
    group.addoption("--artifacts", type=Path, help="directory for logs of modules that fail")
    group.addoption("--observations", type=Path, help="file (JSON) for outcomes and what the tests observed")


@pytest.fixture(scope="module")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The broker of this module. Its log is judged when the module ends; what failed leaves its files behind."""
    options = request.config.option
    name = f"{options.target}-{options.bucket_backend}-{request.module.__name__}"
    if options.artifacts is None:
        directory = tmp_path_factory.mktemp(name)
    else:
        directory = options.artifacts / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    settings = _SETTINGS | getattr(request.module, "SETTINGS", {})
    failed_before = request.session.testsfailed
    if options.target == "kafka":
        target: Esker | Kafka = Kafka(directory, settings)
    else:
        target = Esker(directory, options.bucket_backend, settings)
    try:
        yield target
    except BaseException:
        target.discard()
        raise
    target.stop()
    if request.session.testsfailed == failed_before:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic name of this test's own; the topic itself is not created."""
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", request.node.name).strip("-")


@pytest.fixture
def observe(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Keeps something that should be the same against Apache Kafka."""

    def keep(name: str, value: object) -> None:
        # Through JSON at once, so that what cannot be kept fails the test that keeps it.
        request.node.user_properties.append((name, json.loads(json.dumps(value))))

    return keep


class Observations:
    """Outcomes and observations by test. Under xdist the reports arrive at the one process that writes them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, dict[str, object]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        kept = self._kept.setdefault(report.nodeid, {})
        if report.when == "call" or report.outcome != "passed":
            kept["outcome"] = report.outcome
            kept["observed"] = dict(report.user_properties)

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(self._kept, indent=1, sort_keys=True))


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--observations")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Observations(path))

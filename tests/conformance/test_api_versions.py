"""What a broker says that it speaks, before any client makes something of it."""

from collections.abc import Callable

from harness import apis
from harness.target import Target

# Kafka advertises Produce from version 0, which it does not serve: clients built on librdkafka look for it.
PRODUCE, FETCH, API_VERSIONS = 0, 1, 18


def test_advertised_versions(broker: Target, observe: Callable) -> None:
    versions = apis.served(broker)
    assert versions[PRODUCE][0] == 0
    assert versions[API_VERSIONS] == (0, 4)
    assert versions[FETCH][0] == 4
    for key, (lowest, highest) in sorted(versions.items()):
        assert lowest <= highest
        observe(f"API {key}", f"{lowest}-{highest}")

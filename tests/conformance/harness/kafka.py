"""A node of Apache Kafka, the judge of what is right."""

from collections.abc import Iterator
from pathlib import Path

from harness import tools
from harness.child import Child
from harness.kafka_node import CLUSTER_ID, write_config
from harness.ports import free_port
from harness.waiting import wait_for


class Kafka:
    """One KRaft node, broker and controller in one process."""

    name = "kafka"

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        port, controller = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        own = {name: value for name, value in settings.items() if not name.startswith("esker.")}
        config = write_config(directory, self.bootstrap, controller, own)
        tools.run([*tools.java_command("kafka.tools.StorageTool"), "format", "-t", CLUSTER_ID, "-c", str(config)])
        self._process = Child([*tools.java_command("kafka.Kafka", heap="512m"), str(config)], directory / "kafka.log")
        wait_for(self._answers, "Kafka to be ready", 60)

    def _answers(self) -> bool:
        self._process.require_alive()
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def make_cold(self) -> None:
        raise NotImplementedError("Apache Kafka keeps its log on its own disk")

    def warmths(self) -> Iterator[str]:
        yield "hot"

    def stop(self) -> None:
        self._process.stop()

    def discard(self) -> None:
        self._process.kill()

"""How one node of Apache Kafka, broker and controller in one process, is set up. Needs nothing beside Python."""

from pathlib import Path

CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"


def write_config(directory: Path, address: str, controller_port: int, settings: dict[str, str]) -> Path:
    """Writes the node's properties into `directory`, where its data will be too; `settings` come last and win."""
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://{address},CONTROLLER://127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(directory / "data"),
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
    } | settings
    config = directory / "server.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    return config

"""As much of kafka-topics and kafka-acls as librdkafka's tests call, on top of an admin client."""

import argparse
import sys

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("tool", choices=("topics", "acls"))
    parser.add_argument("--bootstrap-server")
    for flag in ("create", "delete", "alter", "add", "force", "if-exists"):
        parser.add_argument(f"--{flag}", action="store_true")
    for option in ("topic", "group", "partitions", "replication-factor", "replica-assignment"):
        parser.add_argument(f"--{option}")
    for option in ("config", "operation", "allow-principal", "deny-principal", "allow-host", "deny-host"):
        parser.add_argument(f"--{option}", action="append", default=[])
    a, _unknown = parser.parse_known_args()
    admin = AdminClient({"bootstrap.servers": a.bootstrap_server})
    configs = dict(word.split("=", 1) for word in a.config)
    if a.tool == "acls":
        kind, name = (ResourceType.TOPIC, a.topic) if a.topic else (ResourceType.GROUP, a.group)
        allow = [(who, AclPermissionType.ALLOW) for who in a.allow_principal]
        deny = [(who, AclPermissionType.DENY) for who in a.deny_principal]
        host = (a.allow_host or a.deny_host or ["*"])[0]
        futures = admin.create_acls(
            [
                AclBinding(
                    kind, name, ResourcePatternType.LITERAL, who, host, AclOperation[operation.upper()], permission
                )
                for who, permission in allow + deny
                for operation in a.operation or ["all"]
            ]
        )
    elif a.create:
        count, factor = int(a.partitions or -1), int(a.replication_factor or -1)
        futures = admin.create_topics([NewTopic(a.topic, count, factor, config=configs)])
    elif a.delete:
        futures = admin.delete_topics([a.topic])
    elif a.partitions:
        futures = admin.create_partitions([NewPartitions(a.topic, int(a.partitions))])
    else:
        changes = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in configs.items()]
        futures = admin.incremental_alter_configs(
            [ConfigResource(ResourceType.TOPIC, a.topic, incremental_configs=changes)]
        )
    try:
        for future in futures.values():
            future.result()
    except KafkaException as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

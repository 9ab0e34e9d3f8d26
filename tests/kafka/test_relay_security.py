"""The relay and brokers that want to know who it is: passwords, ACLs, certificates; each may be wrong for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.doubles.certificates import Authority
from tests.integration.served import Server
from tests.kafka.copies import STREAM, Feeder, Relay, durable, relay_environment, until, warnings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka.conftest import Starts

pytestmark = pytest.mark.timeout(240)

_MODULE: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"
_USERS: Final = 'username="admin" password="a-secret" user_admin="a-secret" user_relay="r-secret"'
SASL: Final = {
    "listener.security.protocol.map": "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "listener.name.plaintext.plain.sasl.jaas.config": f"{_MODULE} required {_USERS};",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:admin;User:ANONYMOUS",
}


def _copied(server: Server) -> None:
    """Wait until the server knows that all is in Kafka."""
    count = durable(server)
    kept = server.data / "views" / "cursors" / f"relay@{STREAM}"
    until(lambda: kept.exists() and int(kept.read_text().rpartition(":")[2].rstrip("}")) >= count, "the copy")


def test_a_wrong_password_and_missing_acls_are_told_of_and_waited_out(tmp_path: Path, cluster: Starts) -> None:
    (broker,) = cluster(1, SASL)
    password = tmp_path / "password"
    password.write_text("wrong-secret\n")
    server = Server(
        tmp_path,
        relay_environment(broker.address)
        | {
            "STRONGROOM_KAFKA__SASL_MECHANISM": "PLAIN",
            "STRONGROOM_KAFKA__SASL_USERNAME": "relay",
            "STRONGROOM_KAFKA__SASL_PASSWORD_FILE": str(password),
        },
    )
    feeder = Feeder(server)
    feeder.send(100)
    until(lambda: any("Kafka refuses" in line for line in warnings(server)), "that the password is wrong")
    password.write_text("r-secret\n")
    until(lambda: any("uthoriz" in line for line in warnings(server)), "that it may do nothing")
    admin = AdminClient(
        {
            "bootstrap.servers": broker.address, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
            "sasl.username": "admin", "sasl.password": "a-secret",
        }
    )  # fmt: skip
    _grant(admin)
    _copied(server)
    _revoke(admin)
    feeder.send(10)
    until(lambda: any("relay: " in line and "uthoriz" in line for line in warnings(server)), "that it was revoked")
    _grant(admin)
    feeder.send(10)
    _copied(server)
    until(lambda: not any("uthoriz" in line for line in warnings(server)), "that it goes on")
    for secret in ("wrong-secret", "r-secret"):
        assert secret not in server.errors
    server.stop()


def _grants() -> list[AclBinding]:
    everything = ((ResourceType.TOPIC, "*"), (ResourceType.GROUP, "*"), (ResourceType.TRANSACTIONAL_ID, "*"))
    return [
        AclBinding(
            kind, name, ResourcePatternType.LITERAL, "User:relay", "*", AclOperation.ALL, AclPermissionType.ALLOW
        )
        for kind, name in (*everything, (ResourceType.BROKER, "kafka-cluster"))
    ]


def _grant(admin: AdminClient) -> None:
    for done in admin.create_acls(_grants()).values():
        done.result(60)


def _revoke(admin: AdminClient) -> None:
    filters = [
        AclBindingFilter(
            each.restype, each.name, each.resource_pattern_type, each.principal, each.host, each.operation,
            each.permission_type,
        )
        for each in _grants()
    ]  # fmt: skip
    for done in admin.delete_acls(filters).values():
        done.result(60)


def test_brokers_that_ask_for_a_certificate_get_one_and_refuse_an_expired_one(tmp_path: Path, cluster: Starts) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("broker")
    store = tmp_path / "broker.store.pem"
    store.write_bytes(key.read_bytes() + cert.read_bytes())
    (broker,) = cluster(
        1,
        {
            "listener.security.protocol.map": "PLAINTEXT:SSL,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.ca),
        },
    )
    mine, mine_key = authority.issue("relay")
    old, old_key = authority.issue("old", valid=(timedelta(days=-2), timedelta(days=-1)))
    server = Server(tmp_path)
    feeder = Feeder(server)
    feeder.send(100)
    env = relay_environment(broker.address) | {"STRONGROOM_KAFKA__TLS": "true"}
    trusting = env | {"STRONGROOM_KAFKA__TLS_CA_FILE": str(authority.ca)}

    def showing(cert: Path, key: Path) -> dict[str, str]:
        return trusting | {"STRONGROOM_KAFKA__TLS_CERT_FILE": str(cert), "STRONGROOM_KAFKA__TLS_KEY_FILE": str(key)}

    for wrong, said in (
        (env, "certificate verify failed"), (trusting, "Kafka "), (showing(old, old_key), "Kafka "),
    ):  # fmt: skip
        relay = Relay(server, wrong)
        _until_told(relay, said)
        assert relay.stop() == 0
    relay = Relay(server, showing(mine, mine_key))
    _copied(server)
    assert relay.stop() == 0
    server.stop()


def _until_told(relay: Relay, said: str) -> None:
    until(lambda: said in relay.errors, said)

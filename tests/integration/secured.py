"""A broker with users, and what they may do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import admin as _admin

from backbone.embedded import EmbeddedKafka
from backbone.embedded.broker import Secured, free_port

PASSWORD = "open-sesame"  # noqa: S105 - of a broker that lives for a test
USERS = ("alice", "bob")
provisioning: Any = _admin  # its types are exported by a star import only


@dataclass(frozen=True, slots=True)
class SecuredBroker:
    """``open`` is where anybody may do anything; ``closed`` where one signs in and may do what was granted."""

    open: str
    closed: str

    async def grant(self, user: str, operation: str, kind: str, name: str) -> None:
        """Let a user do something with a topic or a group, or with all whose names begin so: ``prefix*``."""
        pattern = "PREFIXED" if name.endswith("*") else "LITERAL"
        binding = provisioning.AclBinding(
            provisioning.ResourceType[kind], name.removesuffix("*"), provisioning.ResourcePatternType[pattern],
            f"User:{user}", "*", provisioning.AclOperation[operation], provisioning.AclPermissionType.ALLOW,
        )  # fmt: skip
        await asyncio.to_thread(self._create, binding)

    def _create(self, binding: Any) -> None:
        client = provisioning.AdminClient({"bootstrap.servers": self.open})
        for future in client.create_acls([binding]).values():
            future.result()

    def settings(self, user: str, password: str = PASSWORD) -> dict[str, Any]:
        """Return how a user signs in, as settings of a subscriber."""
        return {
            "bootstrap_servers": self.closed, "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN",
            "username": user, "password": password,
        }  # fmt: skip

    def environment(self, user: str, password: str = PASSWORD) -> dict[str, str]:
        """Return the same as variables for commands."""
        return {f"BACKBONE_{name.upper()}": value for name, value in self.settings(user, password).items()}


@asynccontextmanager
async def secured_broker() -> AsyncIterator[SecuredBroker]:
    """Start a broker with users."""
    port = free_port()
    async with EmbeddedKafka(secured=Secured(port, dict.fromkeys(USERS, PASSWORD))) as kafka:
        yield SecuredBroker(kafka.bootstrap_servers, f"127.0.0.1:{port}")

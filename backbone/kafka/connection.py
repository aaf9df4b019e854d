"""How to reach a Kafka cluster; the one value that everything in this package is given."""

from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Any, Literal, TypeVar

from backbone.kafka.certificates import client_context, ensure_valid
from backbone.secret import Secret

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Client = TypeVar("Client")
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Addresses and credentials. The password is never part of ``repr``."""

    bootstrap_servers: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    username: str | None = None
    password: Secret | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @property
    def principal(self) -> str:
        """Return as whom we sign in, for messages: a user name, a certificate's file, or nothing."""
        if self.username is not None:
            return self.username
        return "" if self.certificate_file is None else f"the certificate {self.certificate_file.name}"

    def ssl_context(self) -> SSLContext | None:
        """Return a verifying context where the protocol asks for TLS; raises UnreachableError."""
        if self.security_protocol not in {"SSL", "SASL_SSL"}:
            return None
        return client_context(self.ca_file, self.certificate_file, self.key_file)

    def ensure_certificate(self) -> None:
        """Raise UnreachableError where our certificate may be why nobody answers: it expired, or cannot be read."""
        if self.certificate_file is not None and self.security_protocol in {"SSL", "SASL_SSL"}:
            ensure_valid(self.certificate_file)

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments that every aiokafka client takes."""
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
            "sasl_mechanism": self.sasl_mechanism or "PLAIN",
            "sasl_plain_username": self.username,
            "sasl_plain_password": None if self.password is None else self.password.reveal(),
        }

    @property
    def has_sockets(self) -> bool:
        """Say whether brokers are reached over a network; in simulations they are not."""
        return True

    def attached(self, client: Client) -> Client:
        """Return an aiokafka client that was just made; simulations take its sockets away here."""
        return client

    def librdkafka_options(self) -> dict[str, Any]:
        """Return the same for confluent-kafka, which provisioning alone uses."""
        options: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
        }
        if self.sasl_mechanism is not None:
            options["sasl.mechanism"] = self.sasl_mechanism
            options["sasl.username"] = self.username or ""
            options["sasl.password"] = "" if self.password is None else self.password.reveal()
        for name, path in (
            ("ssl.ca.location", self.ca_file),
            ("ssl.certificate.location", self.certificate_file),
            ("ssl.key.location", self.key_file),
        ):
            if path is not None:
                options[name] = str(path)
        return options

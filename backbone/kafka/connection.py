"""How to reach a Kafka cluster; the one value that everything in this package is given."""

from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import Any, Literal

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Addresses and credentials. The password is never part of ``repr``."""

    bootstrap_servers: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    username: str | None = None
    password: "Secret | None" = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def ssl_context(self) -> SSLContext | None:
        """Return a verifying context where the protocol asks for TLS."""
        if self.security_protocol not in {"SSL", "SASL_SSL"}:
            return None
        context = create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context

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


class Secret:
    """Text that shows itself only when asked by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Wrap a password or a key."""
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        """Hide the text."""
        return "Secret('**********')"

    def __eq__(self, other: object) -> bool:
        """Compare by text."""
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        """Hash by text, so that a connection stays hashable."""
        return hash(self._text)

"""How a subscriber is set: by arguments, by environment variables (``BACKBONE_…``), or both."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone.errors import ConfigurationError
from backbone.kafka.connection import KafkaConnection, SaslMechanism, SecurityProtocol
from backbone.secret import Secret
from schemas.shared import Organisation


class Settings(BaseSettings):
    """Everything that a subscriber takes from its surroundings; times are seconds.

    ``organisation`` is who subscribes: dead letters go to ``<organisation>.dead.<subscriber>``. ``concurrency`` is how
    many cases are handled at once. A partition with ``window_records`` or ``window_bytes`` read and not done is read no
    further for now. ``facts_without_hook`` says what becomes of a revocation, correction, merger or
    erasure for which there is no handler: it is set aside for somebody to look at, or passed over.
    """

    model_config = SettingsConfigDict(env_prefix="BACKBONE_", frozen=True, extra="forbid")

    organisation: Organisation = "subscriber"
    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    begin: Literal["earliest", "latest"] = "earliest"
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 1
    window_records: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    window_bytes: Annotated[int, Field(ge=1_048_576)] = 67_108_864
    tries: Annotated[int, Field(ge=1, le=100)] = 5
    first_wait_secs: Annotated[float, Field(ge=0)] = 0.5
    longest_wait_secs: Annotated[float, Field(ge=0)] = 30.0
    after_dead: Literal["park", "continue"] = "park"
    facts_without_hook: Literal["dead", "ignore"] = "dead"
    stop_within_secs: Annotated[float, Field(gt=0)] = 10.0
    http: Annotated[str, StringConstraints(pattern=r"^[^:]+:[0-9]{1,5}$")] | None = None

    def __init__(self, **values: Any) -> None:
        """Take values, and missing ones from variables; raises ConfigurationError that names all that is wrong."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            faults = error.errors(include_input=False, include_url=False, include_context=False)
            wrong = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
            guidance = "look at the arguments of Settings and at the variables BACKBONE_..."
            raise ConfigurationError(wrong, code="config.invalid-value", guidance=guidance) from None

    def group_of(self, subscriber: str) -> str:
        """Return the consumer group of a subscriber of ours; other organisations may have one of the same name."""
        return f"{self.organisation}.subscriber.{subscriber}"

    def connection(self) -> KafkaConnection:
        """Return how to reach the cluster."""
        return KafkaConnection(
            self.bootstrap_servers,
            self.security_protocol,
            self.sasl_mechanism,
            self.username,
            None if self.password is None else Secret(self.password.get_secret_value()),
            self.ca_file,
            self.certificate_file,
            self.key_file,
        )

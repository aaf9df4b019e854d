"""A transform for fault runs: one event of another organisation means one to three of ours, none, or a dead letter."""

from backbone.subscriber import Event, PermanentError, Settings, Transform
from schemas.planningenforcement.v1 import CaseOpened
from schemas.servicerequests.v1 import Opened, Updated
from schemas.shared import Event as Data
from tests.chaos.casebook import MEANT
from tests.chaos.kafka_workload import NAME


def relay(servers: str, organisation: str, source: str) -> Transform:
    """Return the transform; it reads the topics of ``source`` alone and writes those of ``organisation``."""
    settings = Settings(bootstrap_servers=servers, organisation=organisation, after_dead="continue")
    transform = Transform(NAME, settings, emits=(Updated, CaseOpened, Opened))

    @transform.on(Updated, organisations=[source])
    def relayed(event: Event[Updated]) -> list[Data] | None:
        parts, kind = (event.data.service_code or "").split()
        if kind == "bad":
            message = "the record is bad on purpose"
            raise PermanentError(message, code="record.bad-reference")
        if kind == "skip":
            return None
        content = {"case_ref": event.data.case_ref, "organisation": organisation, "occurred_at": event.time}
        return [meant.model_validate(content) for meant in MEANT[: int(parts)]]

    return transform

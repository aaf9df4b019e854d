"""Receive one type of event with the backbone's own library: pip install council-backbone."""

from backbone.subscriber import Event, Subscriber
from schemas.servicerequests.v1 import StatusChanged

subscriber = Subscriber("your-service")  # the broker and the login come from BACKBONE_... variables


@subscriber.on(StatusChanged, organisations=["E09000099"])
async def handle(event: Event[StatusChanged]) -> None:
    """Do your work here; what raises is tried again, and set aside on a dead-letter topic at last."""
    print(event.id, event.data.case_ref, flush=True)


subscriber.main()

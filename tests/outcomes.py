"""What became of documents and records, as the topics of an organisation say it."""

from backbone.config import Deployment
from backbone.kafka.readers import read_topics
from backbone.receipts import Receipt
from backbone.rejects import Reject


async def receipts(deployment: Deployment) -> list[Receipt]:
    """Return every receipt, in order."""
    return [
        Receipt.model_validate_json(record.value or b"")
        async for record in read_topics(deployment.connection, [deployment.topics.receipts])
    ]


async def rejects(deployment: Deployment) -> list[Reject]:
    """Return everything on the rejects topic."""
    return [
        Reject.model_validate_json(record.value or b"")
        async for record in read_topics(deployment.connection, [deployment.topics.rejects])
    ]


async def balanced(deployment: Deployment) -> list[Receipt]:
    """Return the receipts, each of which must balance."""
    found = await receipts(deployment)
    for receipt in found:
        assert receipt.records == receipt.published + receipt.duplicate + receipt.skipped + receipt.rejected
    return found

"""The pipeline alone: first pass, parsing, validation, translation, encoding; no broker."""

import gc
import sys
import time
from pathlib import Path

from adapters.symology import updates_adapter
from backbone import memory
from backbone.adapter import Context, Document
from backbone.event import Encoder, Origin
from backbone.examine import Examined, examine
from backbone.feed import FeedSetup
from backbone.kafka.partitioning import CachedPartitioner
from backbone.pipeline import BATCH_RECORDS, DocumentFacts, Pipeline
from backbone.preview import local_document
from backbone.seen import SeenWindow


def run(path: Path) -> tuple[int, float]:
    """Return records and CPU seconds of one pass."""
    memory.tune()
    adapter, origin = updates_adapter, Origin("E09000099", "symology")
    setup = FeedSetup("bench", adapter, adapter.layouts, adapter.options(), origin)
    document = local_document(path)
    began = time.process_time()
    steps = examine(document, adapter, setup.layouts)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            examined: Examined = stop.value
            break
    assert examined.layout is not None
    pipeline = Pipeline(
        adapter,
        Context("E09000099", setup.options, Document(document.name, examined.layout.name)),
        Encoder(origin, adapter.emits, ordinal=0, traceparent="00-0-0-01"),
        DocumentFacts("E09000099", "bench", "main", "d", examined.sha256, examined.layout.name, 0, "now"),
        CachedPartitioner({"E09000099.servicerequests.v1": 6}),
        origin=origin,
        seen=SeenWindow(),
    )
    with document.open() as stream:
        reader = examined.reader(adapter, stream)
        records = iter(reader)
        more = True
        while more:
            more = pipeline.fill(records, reader, 100)
            if pipeline.batch.full or pipeline.batch.records >= BATCH_RECORDS:
                pipeline.cut()
    assert pipeline.counts.balanced()
    return pipeline.counts.records, time.process_time() - began


if __name__ == "__main__":
    count, seconds = run(Path(sys.argv[1]))
    print(count / seconds)
    gc.enable()

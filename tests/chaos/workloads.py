"""The sources that can be put through the faults, by the name that ``SOURCE=`` takes."""

from collections.abc import Callable, Mapping
from typing import Final

from tests.chaos.files_workload import FilesWorkload
from tests.chaos.kafka_workload import KafkaWorkload
from tests.chaos.workload import Ground, Workload

WORKLOADS: Final[Mapping[str, Callable[[Ground], Workload]]] = {"files": FilesWorkload, "kafka": KafkaWorkload}

"""A real Apache Kafka as a child process: for the demo, for tests and for a laptop."""

from backbone.embedded.broker import EmbeddedKafka
from backbone.embedded.jars import EmbeddedKafkaError

__all__ = ["EmbeddedKafka", "EmbeddedKafkaError"]

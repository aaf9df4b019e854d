"""Backbone: legacy council systems in, common-schema events on Kafka out. What adapter authors import.

>>> from backbone import Adapter, Context, Identity, Skip
"""

from backbone.adapter import Adapter, Context, Document, FeedOptions, Identity, OrderWithin, Skip, code_table
from backbone.errors import BackboneError, DocumentError, RecordError, UnmappedCodeError

__all__ = [
    "Adapter",
    "BackboneError",
    "Context",
    "Document",
    "DocumentError",
    "FeedOptions",
    "Identity",
    "OrderWithin",
    "RecordError",
    "Skip",
    "UnmappedCodeError",
    "code_table",
]

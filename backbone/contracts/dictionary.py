"""The vocabulary as one table that a spreadsheet opens: a line for every field of every event. Pure."""

import csv
import io
from collections.abc import Mapping
from types import ModuleType
from typing import Final

from backbone.contracts.fields import fields_of

COLUMNS: Final = (
    "family", "event", "event_type", "field", "type", "required", "category", "data_subject", "description", "values",
)  # fmt: skip


def data_dictionary(families: Mapping[str, ModuleType]) -> str:
    """Return the table as CSV: RFC 4180 with a header, UTF-8, lines ended by a newline alone."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, module in families.items():
        for event in module.EVENTS:
            for field in fields_of(event):
                values = "; ".join(f"{value} = {meaning}" for value, meaning in field.values.items())
                required = "yes" if field.required else "no"
                kind = f"{field.kind}, which may grow" if field.open_list else field.kind
                writer.writerow((
                    name, event.__name__, event.event_type, field.path, kind, required, field.category, field.subject,
                    field.description, values,
                ))  # fmt: skip
    return out.getvalue()

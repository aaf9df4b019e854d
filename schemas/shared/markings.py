"""How each field is marked: what category of data it is and whose.

Everything about privacy is derived from the markings: minimisation, retention, erasure, canary tests. They are
exported in JSON Schema as ``x-data-category`` and ``x-data-subject``.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

Category = Literal["none", "personal", "special", "criminal"]
"""UK GDPR: not personal, personal, special category (Article 9), criminal offence (Article 10)."""

DataSubject = Literal["reporter", "applicant", "tenant", "resident", "deceased", "officer", "business"]
"""Whose data it is, where it is personal."""

ENVELOPE_CATEGORY: dict[Category, str] = {
    "none": "none",
    "personal": "personal",
    "special": "special-category",
    "criminal": "criminal-offence",
}
"""How the envelope's ``datacategory`` spells a category."""


def marked(
    category: Category,
    subject: DataSubject | None = None,
    description: str | None = None,
    *,
    values: Mapping[str, str] | None = None,
    open_list: bool = False,
    never_shared: bool = False,
) -> Any:
    """Mark a field, for use within ``Annotated``; a personal field names its subject.

    ``values`` says what each value of a list means (``x-value-descriptions``); ``open_list`` says that a later
    version may add values to it without a new major (``x-open-list``); ``never_shared`` that no agreement may name the
    field (``x-never-shared``). Raises ValueError for a contradiction.
    """
    if (category == "none") != (subject is None):
        message = "a field names its data subject when, and only when, it is personal"
        raise ValueError(message)
    extra: dict[str, Any] = {"x-data-category": category}
    if subject is not None:
        extra["x-data-subject"] = subject
    if values is not None:
        extra["x-value-descriptions"] = dict(values)
    if open_list:
        extra["x-open-list"] = True
    if never_shared:
        extra["x-never-shared"] = True
    return Field(json_schema_extra=extra, description=description)


def chosen(values: Mapping[str, str], *names: str) -> dict[str, str]:
    """Return the meanings of some values of a list, for an event that can have no others."""
    return {name: values[name] for name in names}

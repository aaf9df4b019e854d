"""GRO's codes as data."""

from typing import Final

from schemas.lifeevents.v1 import Sex, UpdateReason

UPDATE_REASONS: Final[dict[str, UpdateReason]] = {
    "1": "formal_correction",
    "2": "quality_assurance",
    "3": "typographical",
    "4": "cancelled",
    "5": "cancellation_removed",
}
SEXES: Final[dict[str, Sex]] = {"1": "male", "2": "female", "9": "indeterminate"}

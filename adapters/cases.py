"""Where the cases of each built-in adapter lie."""

from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
FOLDERS: Final = {
    "gro-deaths": _HERE / "gro_deaths" / "cases",
    "planning-register": _HERE / "planning_register" / "cases",
    "symology": _HERE / "symology" / "cases",
    "symology-history": _HERE / "symology" / "cases_history",
}

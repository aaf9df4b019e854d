"""What is wrong with a deployment file: place, code, sentence and remedy for each fault."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from backbone.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. ``line`` and ``column`` count from 1; 0 means the file as a whole."""

    file: str
    line: int
    column: int
    code: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        """Return it as one line, as compilers print faults."""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{self.file}:{self.line}:{self.column} {self.code} {self.message}{remedy}"


class InvalidDeploymentError(ConfigurationError):
    """Carry every problem of a deployment file."""

    default_code = "config.invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Take the problems in the order of their lines."""
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column)))
        count = len(self.problems)
        super().__init__(f"the deployment file has {count} problem{'' if count == 1 else 's'}")


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return a remedy that names the nearest known word, or the known words."""
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"

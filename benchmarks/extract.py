"""The one job of all benchmarks: a synthetic Symology extract of about 220 bytes a row, one in a hundred bad."""

import random
from pathlib import Path

HEADER = (
    '"History Date/Time","Recorded Date","CRNo","Stage Desc.","Date Cleared","Inspection","LCA","Action Due",'
    '"Event Type","Stage","Site Note","Works Note"\n'
)
ACTIONS = ("RSW", "NFA", "CR", "PTC1", "N3", "")


def write(path: Path, rows: int) -> Path:
    """Write the extract; the same rows every time."""
    choose = random.Random(7)  # noqa: S311 - synthetic data
    with path.open("w") as file:
        file.write(HEADER)
        for number in range(rows):
            day = 31 if choose.random() < 0.01 else 1 + number % 28
            file.write(
                f"{day:02d}/06/2031 {number // 60 % 24:02d}:{number % 60:02d},11/06/2031,{700_000 + number // 3},"
                f'RECORDED,"",NI2,N3,"{choose.choice(ACTIONS)}",RES,1,"note {number:07d} of an inspection'
                " that an invented inspector made of an"
                ' invented place in a ward","and what the crew wrote of its works there, in many invented words"\n'
            )
    return path

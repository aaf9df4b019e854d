"""What a process uses now, as Linux says it."""

import os
from pathlib import Path


def resident_bytes(process_id: int) -> int:
    """Return how much memory a process has in use."""
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(process_id: int) -> tuple[int, int]:
    """Return how many descriptors a process has open, and how many of them are sockets."""
    found, sockets = 0, 0
    for name in os.listdir(f"/proc/{process_id}/fd"):  # noqa: PTH208 - one of them is gone when it is looked at
        found += 1
        try:
            sockets += os.readlink(f"/proc/{process_id}/fd/{name}").startswith("socket:")  # noqa: PTH115
        except OSError:
            continue
    return found, sockets


def cpu_secs(process_id: int) -> float:
    """Return the CPU time that a process has used."""
    parts = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

"""The most memory that this process has held; it imports nothing, so that a peer's environment can use it."""

import re
from pathlib import Path


def peak_mb() -> float:
    """Since this program began. ``ru_maxrss`` would also count what the parent held when it started this process."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, "Linux only"
    return int(found[1]) / 2**10

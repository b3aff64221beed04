"""What every result file says about how it was made."""

from __future__ import annotations

import platform
from typing import Any

from rla_gym.utils.provenance import commit, versions


def run_record() -> dict[str, Any]:
    """Commit (with "+changes" if tracked files differ), machine, and versions of Python and packages."""
    return {"commit": commit(), "machine": {"processor": platform.machine()}, "versions": versions()}

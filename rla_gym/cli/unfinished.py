"""How a command ends that was stopped before its work was done."""

from __future__ import annotations

UNFINISHED = 75
"""Exit status of a command that stopped as it was asked to before its work was done: the same command resumes it. It is
EX_TEMPFAIL of sysexits.h."""


class UnfinishedError(Exception):
    """A command stopped as it was asked to, by `--minutes` or SIGTERM, before its work was done; says what is left."""

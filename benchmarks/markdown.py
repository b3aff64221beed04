"""Tables of README."""

from __future__ import annotations


def markdown(columns: str, rows: list[str], note: str) -> str:
    """A table in Markdown, and what is to be known about it."""
    return "\n".join([columns, "|" + "---|" * (columns.count("|") - 1), *rows, "", note])

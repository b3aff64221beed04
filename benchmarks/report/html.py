"""The few pieces of HTML that the page is made of."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: .5rem 0; font-size: 13px; } caption { text-align: left; color: #555; }
td, th { padding: .2rem .6rem; border-bottom: 1px solid #e4e4e4; text-align: right; vertical-align: top; }
td:first-child, th:first-child { text-align: left; white-space: nowrap; } thead th { border-bottom: 1px solid #888; }
td.best { font-weight: 600; } td.ahead { background: #e3f4e3; } td.behind { background: #fae3e0; }
.wide { overflow-x: auto; } .note { color: #555; font-size: 13px; max-width: 60rem; }
.strip { display: grid; grid-template-columns: 12rem auto; align-items: center; gap: 0 .6rem; font-size: 13px; }
.strip img { height: 84px; width: auto; } video { max-width: 100%; } figure { margin: 1rem 0; }
svg { max-width: 100%; height: auto; } summary { cursor: pointer; margin: .4rem 0; } code { font-size: 13px; }
"""


def page(title: str, sections: Sequence[str]) -> str:
    """A whole page."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<style>{STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n" + "\n".join(sections) + "\n</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading and what comes under it."""
    return f"<section><h2>{escape(title)}</h2>\n" + "\n".join(part for part in parts if part) + "</section>"


def block(title: str, *parts: str) -> str:
    """A smaller one; nothing where there are no parts."""
    kept = [part for part in parts if part]
    return f"<h3>{escape(title)}</h3>\n" + "\n".join(kept) if kept else ""


def folded(title: str, *parts: str) -> str:
    """What opens at a click."""
    return f"<details><summary>{escape(title)}</summary>" + "\n".join(parts) + "</details>"


def note(text: str) -> str:
    """A sentence to be known about what stands above or below."""
    return f'<p class="note">{escape(text)}</p>'


class Cell(str):
    """Text of a cell with a class of its own: "best", "ahead" or "behind"."""

    kind: str

    def __new__(cls, text: str, kind: str = "") -> Cell:
        cell = super().__new__(cls, text)
        cell.kind = kind
        return cell


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table; an empty string without rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    kind = text.kind if isinstance(text, Cell) else ""
    attribute = f' class="{kind}"' if kind else ""
    return f"<td{attribute}>{escape(text)}</td>"


def number(value: float | None, digits: int = 3) -> str:
    """So many significant digits, without exponents; a dash for none."""
    if value is None:
        return "–"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e" in text and abs(value) >= 1 else f"{value:.5f}" if "e" in text else text


def interval(found: Sequence[float | None] | None, digits: int = 3) -> str:
    """Value [low, high]; the value alone where there is no interval, a dash where there is nothing."""
    if found is None:
        return "–"
    value, low, high = found
    text = number(value, digits)
    return text if low is None else f"{text} [{number(low, digits)}, {number(high, digits)}]"

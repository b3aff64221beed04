"""Curves as SVG inside the page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rla_gym.utils.optional import require

COLOURS = ("#1f5fbf", "#d1661b", "#2e8b57", "#b5338a", "#8a6d1f", "#c0392b", "#5b4bb7", "#2a9d9d", "#555555")
GREYS = ("#222222", "#999999")

Line = tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]]
"""Places, values, and low and high ends of intervals."""


def curves(
    panels: Sequence[tuple[str, str, Mapping[str, Line]]],
    styles: Mapping[str, tuple[str, str]],
    across: str,
    **axis: Any,
) -> str:
    """An SVG of panels side by side, one line a name with its interval, one legend.

    Args:
        panels: title, label of the vertical axis, lines by name.
        styles: colour and line style by name; others take the next colour.
        across: label of the horizontal axis.
        axis: settings of every panel's axes, such as xscale.
    """
    matplotlib = require("matplotlib", extra="plot")
    figures = require("matplotlib.figure", extra="plot")
    # Ids inside an SVG are those of the whole page: they are salted by what is drawn.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": repr(panels), "font.size": 9}):
        figure = figures.Figure(figsize=(3.9 * len(panels), 3.4), layout="constrained")
        names: dict[str, Any] = {}
        for axes, (title, label, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            for name, (places, values, low, high) in lines.items():
                colour, style = styles.get(name) or (COLOURS[len(names) % len(COLOURS)], "-")
                drawn = axes.plot(places, values, style, color=colour, marker="o", markersize=3, linewidth=1.4)
                axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
                names.setdefault(name, drawn[0])
            axes.set(title=title, xlabel=across, ylabel=label, **axis)
            axes.grid(alpha=0.25)
        figure.legend(names.values(), names, loc="outside lower center", ncols=5, frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return f"<figure>{text[text.index('<svg') :]}</figure>"


def line_of(points: Sequence[tuple[float, Sequence[float | None]]]) -> Line:
    """A line of [value, low, high] at places; without an interval its ends are the value."""
    values = [(place, *(float(each if each is not None else told[0] or 0) for each in told)) for place, told in points]
    places, middle, low, high = zip(*values, strict=True)
    return places, middle, low, high


def model_styles(models: Sequence[str], bounds: Sequence[str]) -> dict[str, tuple[str, str]]:
    """A colour for each model, greys for two that are none; the reconstruction of a model is dashed in its colour."""
    styles: dict[str, tuple[str, str]] = {}
    for model in models:
        base = model.removesuffix(" reconstruction")
        if model in bounds:
            styles[model] = (GREYS[bounds.index(model)], ":")
        elif base != model and base in styles:
            styles[model] = (styles[base][0], "--")
        else:
            styles[model] = (COLOURS[sum(style == "-" for _, style in styles.values()) % len(COLOURS)], "-")
    return styles

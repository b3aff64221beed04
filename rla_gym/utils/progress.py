"""Progress of whatever takes more than some seconds: a bar on a terminal, a line now and then everywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")

LINE_SECONDS = 15.0
"""Seconds between two lines where stderr is no terminal: logs stay short, and nobody takes the work for hung."""


class Progress:
    """How far a piece of work is, on stderr, from its first moment: a tqdm bar on a terminal, else a line now and then.

    Without tqdm a terminal gets lines too. Use it as a context manager, or call `close`.

    Args:
        total: units of the whole work.
        title: what is being done.
        unit: what is counted, in the singular.
        done: units that were done before.
        show: whether anything is shown at all.
        note: asked for some more text with every line, such as the time left of the work that this one is a part of.
    """

    def __init__(
        self,
        total: int,
        title: str,
        unit: str = "step",
        done: int = 0,
        show: bool = True,
        note: Callable[[], str] | None = None,
    ) -> None:
        self.total, self.title, self.unit, self.done, self.note = total, title, unit, done, note
        self._first, self._values = done, ""
        self._began = self._written = time.monotonic()
        self._show, self._bar = show, _bar(total, title, unit, done) if show else None
        self._refresh()
        if show and self._bar is None:
            self._line()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """Seconds since the work began here."""
        return time.monotonic() - self._began

    @property
    def rate(self) -> float | None:
        """Units a second; None before the first."""
        done = self.done - self._first
        return done / max(self.seconds, 1e-9) if done else None

    def update(self, count: int = 1, **values: Any) -> None:
        """Count `count` more units as done, and show `values` beside them."""
        self.done += count
        if values:
            self._values = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
        if self._bar is not None:
            self._refresh()
            self._bar.update(count)
        elif self._show and time.monotonic() - self._written >= LINE_SECONDS:
            self._line()

    def write(self, text: str) -> None:
        """Print a line above the bar, or as it is."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        elif self._show:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Show where it ended; safe to call twice."""
        if self._bar is not None:
            self._bar.close()
        elif self._show:
            print(f"{self.title}: {self._count()} in {duration(self.seconds)}", file=sys.stderr, flush=True)
        self._show, self._bar = False, None

    def _refresh(self) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str("; ".join(self._extras()), refresh=False)

    def _extras(self) -> list[str]:
        note = "" if self.note is None else self.note()
        return [text for text in (self._values, note) if text]

    def _count(self) -> str:
        return f"{self.done:,} of {self.total:,} {plural(self.unit, self.total)}"

    def _line(self) -> None:
        self._written = time.monotonic()
        parts = [self._count()]
        if self.rate is not None:
            parts += [f"{self.rate:.3g} a second", f"{duration((self.total - self.done) / self.rate)} left"]
        print(f"{self.title}: {'; '.join([', '.join(parts), *self._extras()])}", file=sys.stderr, flush=True)


def tracked(items: Iterable[Item], total: int, title: str, unit: str = "step", show: bool = True) -> Iterator[Item]:
    """Give out `items`, `total` of them, each counted as done when the next one is asked for."""
    with Progress(total, title, unit, show=show) as progress:
        for item in items:
            yield item
            progress.update()


def duration(seconds: float) -> str:
    """A time as people say it, to two digits or so: "40 s", "6 min", "1 h 20 min"."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def plural(unit: str, count: int) -> str:
    """A counted noun: "1 frame", "2 frames"."""
    return unit if count == 1 else f"{unit}s"


def _bar(total: int, title: str, unit: str, done: int) -> Any:
    """A tqdm bar where there is a terminal to draw it on; None elsewhere, and without tqdm."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, initial=done, desc=title, unit=f" {plural(unit, total)}", dynamic_ncols=True)

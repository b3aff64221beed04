"""Recording episodes without a process for it: starting one takes seconds of imports, and few episodes are recorded."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from rla_gym.collect.collect import CollectConfig, collect
from rla_gym.data import EpisodeDataset


@contextmanager
def _threads(target: Callable[..., None], arguments: tuple[Any, ...], count: int) -> Iterator[dict[Connection, Any]]:
    """As `rla_gym.tasks.workers.spawned`, with threads of this process."""
    workers: dict[Connection, threading.Thread] = {}
    for _ in range(count):
        ours, theirs = Pipe()
        workers[ours] = threading.Thread(target=target, args=(*arguments, theirs), daemon=True)
    for worker in workers.values():
        worker.start()
    try:
        yield workers
    finally:
        for connection, worker in workers.items():
            connection.close()
            worker.join()


@contextmanager
def workers_in_threads() -> Iterator[None]:
    """In here `collect`, and the command of that name, starts no processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[collect.__module__], "spawned", _threads)
        yield


def collect_here(config: CollectConfig) -> Path:
    """As `collect`, with one worker in a thread."""
    with workers_in_threads():
        return collect(replace(config, workers=1))


def record(task: str, episodes: int, out: Path, **settings: Any) -> EpisodeDataset:
    """Episodes as `collect` records them."""
    return EpisodeDataset(collect_here(CollectConfig(task, episodes, out=out, **settings)))

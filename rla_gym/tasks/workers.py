"""Worker processes that answer requests over a pipe, and whose failures reach the parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from rla_gym.tasks.offscreen import RenderingError

REIMPORTED = 78
"""Exit status of a worker that found itself starting workers while it imported its parent's script."""


def died(what: str, process: BaseProcess) -> str:
    """Why `process`, a worker that answers no more, ended, in one line.

    Args:
        what: the worker, such as "a simulator process".
    """
    process.join(timeout=5)
    if process.exitcode == REIMPORTED:
        return (
            "worker processes import the script that starts them: put what the script does under `if __name__ == "
            '"__main__":`, or take workers=0, which starts none'
        )
    return f"{what} died without a word (exit code {process.exitcode}; -9 is often a lack of memory)"


@contextmanager
def spawned(
    target: Callable[..., None], arguments: tuple[Any, ...], count: int
) -> Iterator[dict[Connection, BaseProcess]]:
    """Start `count` processes running `target(*arguments, connection)`; end them when the block is left.

    Yields:
        the processes by the parent's end of their connection.

    Raises:
        SystemExit: in a worker that imports a script which itself starts workers, with the status `REIMPORTED`: the
            parent, which is waiting for it, says what to do (`died`).
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(REIMPORTED)
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, BaseProcess] = {}
    try:
        # Numeric libraries read this when they are imported, so it has to be there before the child starts.
        with _environment(OMP_NUM_THREADS="1"):
            for _ in range(count):
                ours, theirs = context.Pipe()
                process: BaseProcess = context.Process(target=target, args=(*arguments, theirs), daemon=True)
                process.start()
                theirs.close()
                workers[ours] = process
        yield workers
    finally:
        for connection in workers:
            connection.close()  # an idle worker ends when its connection does
        for process in workers.values():
            process.join(timeout=1)
            if process.is_alive():
                process.terminate()
                process.join()


def receive(connection: Connection, index: int, process: BaseProcess) -> dict[str, Any]:
    """What a worker answers to the request for episode `index`.

    Raises:
        RenderingError: the worker has no OpenGL context; the text says what to set and install.
        RuntimeError: the worker failed or died; the text has the episode and, where there is one, the
            traceback.
    """
    try:
        answer: dict[str, Any] = connection.recv()
    except (EOFError, ConnectionResetError) as error:
        raise RuntimeError(
            f"{died(f'the worker collecting episode {index}', process)}; episodes so far are kept, run again to go on"
        ) from error
    raise_failure(answer, f"a worker failed in episode {index}; episodes so far are kept")
    return answer


def raise_failure(answer: Mapping[Any, Any], what: str) -> None:
    """Raise here what :func:`answering` sent from a worker; nothing happens where `answer` is an answer.

    Raises:
        RenderingError, OSError: as it was raised in the worker.
        RuntimeError: anything else, `what` followed by the worker's traceback.
    """
    if "expected" in answer:
        raise answer["expected"]
    if "traceback" in answer:
        raise RuntimeError(f"{what}. Its traceback:\n{answer['traceback']}")


def requests(connection: Connection) -> Iterator[int]:
    """In a worker: episode indices, until the parent closes the connection or is gone."""
    while True:
        try:
            yield connection.recv()
        except (EOFError, ConnectionResetError):
            return


@contextmanager
def answering(connection: Connection) -> Iterator[None]:
    """In a worker: send whatever goes wrong to the parent (see :func:`raise_failure`), then end quietly.

    It ends with its parent too, however that one ends: what it writes must not come after what the next run writes.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the parent's, which ends its workers
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        yield
    except Exception as error:  # a process boundary: the parent has to hear of it, whatever it is
        # A context that cannot be made, or a disk that is full, is a matter of the machine, and its text says so.
        expected = isinstance(error, RenderingError | OSError)
        with suppress(BrokenPipeError):  # another worker's failure came first, and the parent is gone
            connection.send({"expected": error} if expected else {"traceback": traceback.format_exc()})
        raise SystemExit(1) from error


def _end_with(parent: BaseProcess) -> None:
    wait([parent.sentinel])
    os._exit(1)


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

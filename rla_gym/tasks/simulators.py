"""Real simulators in numbers: in this process, or spread over worker processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, ClassVar, Protocol

import numpy as np

from rla_gym.tasks import Task, canonical_name, make_task
from rla_gym.tasks.offscreen import RenderingError
from rla_gym.tasks.workers import answering, died, raise_failure, spawned

Start = np.ndarray | int
"""How an episode begins: a simulator state (S,) float64 to restore, or a seed of the task's own reset."""


@dataclass(frozen=True)
class Observed:
    """What a simulator shows after a start or a chunk."""

    frame: np.ndarray  # (H, W, 3) uint8
    proprio: np.ndarray  # (P,) float32
    objects: np.ndarray  # (O,) float32, for measuring only
    success: bool  # at any control step since
    steps: int  # control steps executed


class Simulators(Protocol):
    """Simulators numbered from 0."""

    def start(self, starts: Mapping[int, Start]) -> dict[int, Observed]:
        """Begin episodes in some simulators."""
        ...

    def step(self, chunks: Mapping[int, np.ndarray], whole: bool = False) -> dict[int, Observed]:
        """Execute chunks (K, A) of actions in the task's bounds in some simulators.

        A chunk ends at the control step that solves the task, unless it is to be executed as a `whole`.
        """
        ...

    def close(self) -> None:
        """Free everything; safe to call twice."""
        ...


class LocalSimulators:
    """Simulators in this process, each made when it is first started. A pickle has none: its copy starts its own.

    Args:
        task: name that `make_task` takes.
        options: of the task, as JSON values.

    Raises:
        RuntimeError: a step without a start, or the process was forked from one in which some were used.
        RenderingError: they are used in another thread than before, and OpenGL does not follow.
    """

    _drawn_in: ClassVar[int | None] = None
    """The process that any of them drew in, which forked ones inherit."""

    def __init__(self, task: str, options: Mapping[str, Any] | None = None) -> None:
        self._name, self._options = task, dict(options or {})
        self._tasks: dict[int, Task] = {}
        self._thread: int | None = None

    def start(self, starts: Mapping[int, Start]) -> dict[int, Observed]:
        self._refuse_forks()
        return {index: self._start(self._task(index), begin) for index, begin in starts.items()}

    def step(self, chunks: Mapping[int, np.ndarray], whole: bool = False) -> dict[int, Observed]:
        self._refuse_forks()
        missing = sorted(set(chunks) - set(self._tasks))
        if missing:
            raise RuntimeError(f"simulators {missing} have not been started: reset the environment first")
        return {index: self._step(self._tasks[index], chunk, whole) for index, chunk in chunks.items()}

    def close(self) -> None:
        if LocalSimulators._drawn_in == os.getpid():  # what a parent opened is the parent's to close
            for task in self._tasks.values():
                task.close()
        self._tasks = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_name": self._name, "_options": self._options, "_tasks": {}, "_thread": None}

    def _refuse_forks(self) -> None:
        if LocalSimulators._drawn_in not in (None, os.getpid()):
            raise RuntimeError(
                "a simulator was used before this process was forked, and its OpenGL does not outlive that: use the "
                "'spawn' start method, or reset no RLAReal-v0 before forking"
            )
        LocalSimulators._drawn_in = os.getpid()

    def _task(self, index: int) -> Task:
        if index not in self._tasks:
            self._tasks[index] = make_task(self._name, **self._options)
        return self._tasks[index]

    def _start(self, task: Task, start: Start) -> Observed:
        # A reset comes first in both cases: it clears what a state does not hold, such as an episode's step counter.
        task.reset(start if isinstance(start, int) else 0)
        if not isinstance(start, int):
            task.set_state(start)
        return self._look(task, success=task.success(), steps=0)

    def _step(self, task: Task, chunk: np.ndarray, whole: bool) -> Observed:
        solved, done = False, 0
        for action in chunk:
            task.step(action)
            solved, done = solved or task.success(), done + 1
            if solved and not whole:
                break
        return self._look(task, success=solved, steps=done)

    def _render(self, task: Task) -> np.ndarray:
        here = threading.get_ident()
        try:
            frame = task.render()
        except Exception as error:
            # PyOpenGL has an error class a backend, of no common base but its package.
            if not type(error).__module__.startswith("OpenGL") or self._thread in (None, here):
                raise
            raise RenderingError(
                "the simulator was first rendered in another thread, where its OpenGL context is: reset and step the "
                "environment in one thread, or make one in each"
            ) from error
        self._thread = here
        return frame

    def _look(self, task: Task, success: bool, steps: int) -> Observed:
        return Observed(
            frame=self._render(task),
            proprio=np.asarray(task.proprioception(), np.float32),
            objects=np.asarray(task.object_state(), np.float32),
            success=success,
            steps=steps,
        )


class WorkerSimulators:
    """Simulators in spawned processes that step and render; simulator i lives in worker i modulo their number.

    A script that makes one must do so under `if __name__ == "__main__":`, as each worker imports the script again. Once
    closed, the next start opens them anew.

    Raises:
        ValueError: `workers` is under 1.
        RenderingError: a worker has no OpenGL context; the text says what to set and install.
        RuntimeError: a worker failed; the text has its traceback. Or this process was forked from the one that made
            them: two cannot talk to one worker.
        TypeError: they are pickled.
    """

    def __init__(self, task: str, workers: int, options: Mapping[str, Any] | None = None) -> None:
        if workers < 1:
            raise ValueError(f"workers={workers}: expected at least 1")
        self._process, self._workers = os.getpid(), workers
        self._made_of = (canonical_name(task), dict(options or {}))
        self._stack = ExitStack()
        self._open()

    def _open(self) -> None:
        self._processes = self._stack.enter_context(spawned(_serve, self._made_of, self._workers))
        self._connections: list[Connection] = list(self._processes)

    def start(self, starts: Mapping[int, Start]) -> dict[int, Observed]:
        if not self._connections and os.getpid() == self._process:
            self._open()
        return self._ask("start", starts, ())

    def step(self, chunks: Mapping[int, np.ndarray], whole: bool = False) -> dict[int, Observed]:
        return self._ask("step", chunks, (whole,))

    def close(self) -> None:
        if os.getpid() == self._process:
            self._stack.close()
        self._connections = []

    def __reduce__(self) -> Any:
        raise TypeError(
            "simulators in worker processes cannot be pickled or copied: make the environment where it is to be used, "
            "or with workers=0"
        )

    def _ask(self, what: str, values: Mapping[int, Any], options: tuple[Any, ...]) -> dict[int, Observed]:
        if os.getpid() != self._process:
            raise RuntimeError(
                "these simulators live in worker processes of the process that this one was forked from: use the "
                "'spawn' start method, or make an environment here"
            )
        if not self._connections:
            raise RuntimeError("the simulators are closed: reset the environment first")
        count = len(self._connections)
        asked = []
        for number, connection in enumerate(self._connections):
            part = {index: value for index, value in values.items() if index % count == number}
            if part:
                try:
                    connection.send((what, part, options))
                except BrokenPipeError as error:
                    raise RuntimeError(died("a simulator process", self._processes[connection])) from error
                asked.append(connection)
        observed: dict[int, Observed] = {}
        for connection in asked:
            observed |= self._receive(connection)
        return observed

    def _receive(self, connection: Connection) -> dict[int, Observed]:
        process = self._processes[connection]
        try:
            answer: dict[Any, Any] = connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise RuntimeError(died("a simulator process", process)) from error
        raise_failure(answer, "a simulator process failed")
        return answer


def _serve(task: str, options: Mapping[str, Any], connection: Connection) -> None:
    """A worker: its own simulators, and requests until the parent closes the connection."""
    with answering(connection):
        simulators = LocalSimulators(task, options)
        answers: dict[str, Callable[..., dict[int, Observed]]] = {
            "start": simulators.start,
            "step": simulators.step,
        }
        while True:
            try:
                what, values, options = connection.recv()
            except (EOFError, ConnectionResetError):  # the parent is done, or gone
                break
            connection.send(answers[what](values, *options))
        simulators.close()

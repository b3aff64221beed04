"""Kill every command at moments drawn by a seed, resume it, and compare with the same command undisturbed.

    python -m benchmarks.reliability.kills --kills 210 --out benchmarks/results/reliability-kills.json

Commands run in forks of this process, which has imported everything: a kill costs a second or two. A moment is a time,
or the n-th change to a file: an audit hook counts files that are opened for writing, renamed and removed. Ways of
killing: SIGKILL, SIGTERM, SIGINT; once, or twice with a short time between; the process, or its group as a terminal's
Ctrl-C does; with SIGINT ignored from the start, as in a shell's background job; and the resumed run killed too.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.reliability.stages import Stage, content, stages, use_small_networks
from rla_gym.utils.files import read_json, write_json

WEIGHTS = {
    "export-over": 4.0,
    "export": 3.0,
    "encode": 3.0,
    "merge": 3.0,
    "train-autoencoder": 2.0,
    "train-features": 2.0,
    "train-image-decoder": 2.0,
    "collect": 0.7,
    "collect-more": 0.5,
    "build": 0.5,
    "demo": 0.5,
}
"""Kills of a stage, over those of the others; 1 for those that are not here. Long commands have fewer."""
TRIES = 5
"""Draws until one reaches a command that is still running."""
PATIENCE = 1200.0
"""Seconds after which a command counts as hanging; the longest takes ten, but on a machine that is busy a hundred."""


@dataclass(frozen=True)
class Kill:
    """How a command is killed."""

    signal: str  # SIGKILL, SIGTERM or SIGINT
    moment: float  # fraction of the undisturbed command's seconds, or of its changes to files
    writing: bool  # which of both
    twice: float | None  # seconds until the same signal comes again
    group: bool  # of all its processes
    ignored: bool  # SIGINT is ignored from the start; it is sent first, and must not matter
    again: float | None  # the moment at which the resumed command is killed too


def draw(generator: random.Random) -> Kill:
    """A way of killing."""
    return Kill(
        signal=generator.choice(("SIGKILL", "SIGTERM", "SIGINT")),
        moment=generator.random(),
        writing=generator.random() < 0.6,
        twice=generator.random() * 0.1 if generator.random() < 0.3 else None,
        group=generator.random() < 0.3,
        ignored=generator.random() < 0.15,
        again=generator.random() if generator.random() < 0.25 else None,
    )


class Command:
    """A command in a fork of this process.

    Args:
        arguments: of `rla-gym`.
        log: file for what it prints.
        ignored: SIGINT is ignored in it.
        at: the number of the change to files at which `then` is called in it.
    """

    def __init__(
        self,
        arguments: list[str],
        log: Path,
        ignored: bool = False,
        at: int | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        self.reader, writer = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            self._become(arguments, log, ignored, at, then, writer)
        os.close(writer)

    def _become(
        self,
        arguments: list[str],
        log: Path,
        ignored: bool,
        at: int | None,
        then: Callable[[], None] | None,
        writer: int,
    ) -> None:
        status = 1
        try:
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for stream in (1, 2):
                os.dup2(handle, stream)
            sys.stdout = sys.stderr = os.fdopen(handle, "w", buffering=1)
            signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
            changes = count_changes(at, then)
            from rla_gym.cli import main

            status = main(arguments)
            os.write(writer, str(changes()).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def send(self, name: str, group: bool) -> bool:
        """Send a signal; whether the command was still there."""
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        try:
            (os.killpg if group else os.kill)(self.pid, signal.Signals[name])
        except ProcessLookupError:  # it ended meanwhile, or has no group of its own yet
            return False
        return True

    def wait(self) -> int:
        """Its exit status, negative for a signal.

        Raises:
            TimeoutError: it hangs; it is ended then.
        """
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.changes = int(os.read(self.reader, 20) or 0)
                os.close(self.reader)
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise TimeoutError(f"it had not ended after {PATIENCE:.0f} s")


def count_changes(at: int | None, then: Callable[[], None] | None) -> Callable[[], int]:
    """Count changes to files in this process, and call `then` before number `at`; what is returned has the count."""
    changes, main_process = 0, os.getpid()

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal changes
        changing = event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod")
        if event == "open" and isinstance(arguments[2], int):
            path = arguments[0]
            changing = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR)) and not str(path).startswith("/dev/")
        if changing and os.getpid() == main_process:
            changes += 1
            if changes == at and then is not None:
                then()

    sys.addaudithook(audit)
    return lambda: changes


@dataclass
class Reference:
    """A stage undisturbed."""

    stage: Stage
    content: dict[str, bytes]
    seconds: float
    changes: int


def undisturbed(stage: Stage, inputs: Path) -> Reference:
    """Run a stage into the folder of inputs, where later ones find it.

    Raises:
        RuntimeError: it failed; the text has its last line.
    """
    out, log = inputs / stage.name, inputs / f"{stage.name}.log"
    stage.prepare(inputs, out)
    began = time.perf_counter()
    command = Command(stage.arguments(inputs, out), log)
    if command.wait():
        raise RuntimeError(f"{stage.name} failed undisturbed: {last_line(log)}")
    seconds = time.perf_counter() - began
    stage.check(out)
    return Reference(stage, content(out), seconds, command.changes)


def killed(reference: Reference, kill: Kill, inputs: Path, work: Path) -> dict[str, Any]:
    """Kill a stage, look at what is there, resume it and compare; `wrong` says what did not hold, None is right."""
    out, log = work / "out", work / "log.txt"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    stage = reference.stage
    stage.prepare(inputs, out)
    arguments = stage.arguments(inputs, out)
    result: dict[str, Any] = {"stage": stage.name, **asdict(kill), "delivered": 0, "statuses": [], "wrong": None}
    try:
        for moment in (kill.moment, kill.again):
            if moment is not None:
                _kill(reference, kill, moment, arguments, log, result)
                stage.check(out)
        status = Command(arguments, log, kill.ignored).wait()
        result["statuses"].append(status)
        if status:
            result["wrong"] = f"the resumed command ended with {status}: {last_line(log)}"
        else:
            result["wrong"] = difference(reference.content, content(out))
            beside = sorted(path.name for path in work.iterdir() if path not in (out, log))
            if beside:
                result["wrong"] = f"left beside the output: {', '.join(beside)}"
    except Exception as error:  # whatever it is, it is a finding
        result["wrong"] = f"{type(error).__name__}: {error}"
    return result


def _kill(
    reference: Reference, kill: Kill, moment: float, arguments: list[str], log: Path, result: dict[str, Any]
) -> None:
    names = (["SIGINT"] if kill.ignored else []) + [kill.signal] * (2 if kill.twice is not None else 1)

    def now() -> None:  # in the command itself
        for name in names[:1]:
            (os.killpg if kill.group else os.kill)(os.getpid(), signal.Signals[name])

    at = 1 + int(moment * reference.changes) if kill.writing else None
    command = Command(arguments, log, kill.ignored, at, now)
    if kill.writing:
        delivered = True
        names = names[1:]
    else:
        time.sleep(moment * reference.seconds)
        delivered = command.send(names.pop(0), kill.group)
    for name in names:
        time.sleep(kill.twice or 0.02)
        command.send(name, kill.group)
    status = command.wait()
    result["statuses"].append(status)
    # A command that ended well before the signal came, or ignored it, was not killed.
    result["delivered"] += int(delivered and (status != 0))


def difference(expected: dict[str, bytes], found: dict[str, bytes]) -> str | None:
    """The first thing that differs between two outputs."""
    for name in sorted({*expected, *found}):
        if name not in found:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} is too many"
        if expected[name] != found[name]:
            return f"{name} differs"
    return None


def last_line(log: Path) -> str:
    """The last line that a command printed."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    return lines[-1] if lines else "nothing printed"


def hunt(
    kills: int,
    seed: int,
    work: Path,
    names: Sequence[str] | None = None,
    available: Sequence[Stage] = (),
    processes: int = 1,
) -> dict[str, Any]:
    """Kill each stage until `kills` or a few more were delivered, shared out by `quotas`.

    Args:
        work: folder; in its `inputs` may be what the first stages need.
        names: stages to kill, by default all.
        available: stages, by default `stages()`; each is run undisturbed, since later ones need it.
        processes: hunters side by side, each with draws of its own.
    """
    import rla_gym.data.tokens as tokens

    tokens.JOURNAL_SECONDS = 0.0  # in commands of a second: after every batch, as in commands of hours
    inputs = work / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    references = [undisturbed(stage, inputs) for stage in available or stages()]
    chosen = [one for one in references if names is None or one.stage.name in names]
    for one in chosen:
        print(f"{one.stage.name}: {one.seconds:.1f} s, {one.changes} changes to files", flush=True)
    by_name = {one.stage.name: one for one in chosen}
    planned = [by_name[name] for name, count in quotas(list(by_name), kills).items() for _ in range(count)]
    random.Random(seed).shuffle(planned)
    hunters = {}
    for number in range(processes):
        pid = os.fork()
        if pid == 0:
            try:
                _hunt(planned[number::processes], random.Random(f"{seed}/{number}"), work, number)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        hunters[number] = pid
    statuses = [os.waitpid(pid, 0)[1] for pid in hunters.values()]
    if any(statuses):
        raise RuntimeError("a hunter failed; its traceback is above")
    return summary([row for number in hunters for row in read_json(work / f"rows-{number}.json")], seed)


def quotas(names: Sequence[str], kills: int) -> dict[str, int]:
    """At least how many of `kills` each stage gets: by `WEIGHTS`, and one at least."""
    total = sum(WEIGHTS.get(name, 1.0) for name in names)
    return {name: math.ceil(kills * WEIGHTS.get(name, 1.0) / total) for name in names}


def _hunt(planned: Sequence[Reference], generator: random.Random, work: Path, number: int) -> None:
    """One hunter, which kills each of `planned` once; what it finds is in `rows-<number>.json` after each kill."""
    rows: list[dict[str, Any]] = []
    delivered, began = 0, time.perf_counter()
    for reference in planned:
        for _ in range(TRIES):
            row = killed(reference, draw(generator), work / "inputs", work / f"killed-{number}")
            delivered += row["delivered"]
            rows.append(row)
            write_json(work / f"rows-{number}.json", rows)
            if row["wrong"] is not None:
                kept = work / f"wrong-{number}-{len(rows)}"
                shutil.move(work / f"killed-{number}", kept)
                print(f"WRONG {kept}: {row}", flush=True)
            if row["delivered"]:
                break
        if len(rows) % 10 == 0:
            seconds = time.perf_counter() - began
            print(f"{delivered} kills of {len(planned)} planned, {seconds:.0f} s", flush=True)


def summary(rows: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """What `benchmarks/results/reliability-kills.json` holds, but for where it was run."""
    stages_found = list(dict.fromkeys(row["stage"] for row in rows))
    table = {}
    for name in stages_found:
        of_stage = [row for row in rows if row["stage"] == name]
        signals = Counter()
        for row in of_stage:
            signals[row["signal"]] += row["delivered"]
        table[name] = {
            "kills": sum(row["delivered"] for row in of_stage),
            **dict(sorted(signals.items())),
            "while_writing": sum(row["delivered"] for row in of_stage if row["writing"]),
            "twice": sum(row["delivered"] for row in of_stage if row["twice"] is not None),
            "sigint_ignored": sum(row["delivered"] for row in of_stage if row["ignored"]),
            "resumed_killed_too": sum(row["delivered"] for row in of_stage if row["again"] is not None),
            "wrong": sum(row["wrong"] is not None for row in of_stage),
        }
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seed": seed,
        "kills": sum(row["delivered"] for row in rows),
        "runs": len(rows),
        "wrong": sum(row["wrong"] is not None for row in rows),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime),
        "stages": table,
        "rows": rows,
    }


def import_all() -> None:
    """Import what commands import, before they are forked."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    import accelerate
    import h5py
    import imageio.v2
    import matplotlib.figure
    import mujoco
    import stable_baselines3
    import timm
    import torch

    import rla_gym.cli.commands
    import rla_gym.collect.collect
    import rla_gym.data.merge
    import rla_gym.export.export
    import rla_gym.learning.run
    import rla_gym.models.presets
    import rla_gym.training.autoencoder
    import rla_gym.training.features
    import rla_gym.training.flow
    import rla_gym.training.image_decoder
    import rla_gym.training.loop  # noqa: F401

    assert accelerate and h5py and imageio and matplotlib and mujoco and stable_baselines3 and timm
    torch.set_num_threads(1)
    use_small_networks()


def main() -> None:
    """Hunt, write the result and exit with 1 where anything was wrong."""
    from benchmarks.record import run_record
    from benchmarks.reliability.report import write_block

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=210, help="kills that reach a running command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1, help="hunters side by side")
    parser.add_argument("--stages", nargs="*", help="by default all")
    parser.add_argument("--out", type=Path, help="JSON file; docs/reliability.md gets its table where it is given")
    parser.add_argument("--work", type=Path, help="folder to work in, kept; by default a temporary one")
    arguments = parser.parse_args()
    import_all()
    with tempfile.TemporaryDirectory() as temporary:
        result = hunt(
            arguments.kills,
            arguments.seed,
            arguments.work or Path(temporary),
            arguments.stages,
            processes=arguments.processes,
        )
    if arguments.out is not None:
        write_json(arguments.out, {**run_record(), **result})
        write_block(result)
    print(f"{result['kills']} kills, {result['wrong']} wrong, {result['cpu_seconds']} CPU seconds")
    sys.exit(bool(result["wrong"]))


if __name__ == "__main__":
    main()

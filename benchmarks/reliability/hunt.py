"""Read thousands of damaged checkpoints, data sets, token stores and training runs, each in a process of its own.

    python -m benchmarks.reliability.hunt --count 10000     (half an hour of one core; --count 300 for a look)

Every mutation must end in one of three ways. "error": an exception that rla_gym raised itself (the innermost frame of
its traceback is a file of the package), of a class that the command line reports in one line, whose text names the
folder or file. "same": nothing raised, and everything that comes out is what the untouched folder gives. "other file":
the mutation made all hashes fit again, so that the folder is another one than before but a possible one, and it was
read; what comes out is finite. All else is a fault: "foreign" (another exception), "silent" (other results of a folder
whose hashes were not made to fit), "memory" (over `MEMORY` more than before), "hang" (over `SECONDS` of CPU or
`PATIENCE` in all), "crash" (a signal).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import rla_gym
from benchmarks.reliability import mutate, mutate_hdf5
from benchmarks.reliability.targets import Target, make_targets
from rla_gym.cli import EXPECTED
from rla_gym.utils.files import write_json
from rla_gym.utils.provenance import commit, versions

FOLDER = Path(rla_gym.__file__).parent
RESULT = Path(__file__).parents[1] / "results" / "reliability-mutations.json"
FAULTS = ("foreign", "silent", "memory", "hang", "crash")
OUTCOMES = ("error", "same", "other file", *FAULTS)
MEMORY = 512 << 20
SECONDS, PATIENCE = 20, 900  # the second is wall time, on a machine that may be busy
FIRST = {"data set": 0.25, "token store": 0.3, "training run": 0.2, "checkpoint": 0.25}
"""Fraction of the mutations that each kind of folder gets."""
IGNORED = (".rla_gym.json", "card.md", "README.md")
"""Never read back by what is done here, or read by commands that write alone."""


def hunt(
    count: int, seed: int, folder: Path, targets: list[Target], processes: int = 1, done: Path | None = None
) -> list[dict[str, Any]]:
    """`count` mutations, each a function of `seed` and its number; a record for each.

    Args:
        folder: for the mutated copies, which are removed.
        done: folder where records are kept as they are made, and where those of a hunt that was killed are taken from.
        processes: among which they are divided; 0 for this one alone, without limits on memory and time: for a look.
    """
    known: dict[str, str] = {}
    for target in targets:
        for name in ("a", "b"):  # twice: what is written at the first use is there for the second
            copy = shutil.copytree(target.folder, folder / name / target.name)
            known.setdefault(target.name, "")
            found = target.use(copy)
            if known[target.name] not in ("", found):
                raise AssertionError(f"{target.name}: two readings of one folder differ")
            known[target.name] = found
    jobs = [(t, number) for t in targets for number in range(max(1, round(count * FIRST[t.name])))]
    if not processes:
        return [_record(t, number, seed, folder, known[t.name], isolated=False) for t, number in jobs]
    done = done or folder
    done.mkdir(parents=True, exist_ok=True)
    before = {(r["target"], r["number"]) for r in _records(done)}
    jobs = [(t, number) for t, number in jobs if (t.name, number) not in before]
    children = []
    for part in range(processes):
        child = os.fork()
        if not child:
            code = 1
            try:
                with (done / f"records-{os.getpid()}.jsonl").open("a") as file:
                    for t, number in jobs[part::processes]:
                        file.write(json.dumps(_record(t, number, seed, folder, known[t.name])) + "\n")
                        file.flush()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    ended = [os.waitpid(child, 0)[1] for child in children]
    if any(ended):
        raise RuntimeError("a process of the hunt ended early; its text is above")
    return sorted(_records(done), key=lambda r: (list(FIRST).index(r["target"]), r["number"]))


def _records(folder: Path) -> list[dict[str, Any]]:
    lines = [line for path in folder.glob("records-*.jsonl") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines if line.endswith("}")]


def _record(target: Target, number: int, seed: int, folder: Path, known: str, isolated: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng([seed, list(FIRST).index(target.name), number])
    copy = folder / f"mutated-{target.name.replace(' ', '-')}-{number}"
    shutil.copytree(target.folder, copy)
    try:
        files = sorted(path for path in copy.rglob("*") if path.is_file() and path.name not in IGNORED)
        path = files[int(rng.integers(len(files)))]
        kinds = mutate_hdf5.MUTATIONS if path.suffix == ".hdf5" else mutate.OF_SUFFIX.get(path.suffix, ())
        if kinds and rng.integers(3):
            mutation = kinds[int(rng.integers(len(kinds)))]
        else:
            mutation = mutate.BYTES[int(rng.integers(len(mutate.BYTES)))]
        mutation(path, rng)
        # What h5py writes is a data set of its own: its hash is that of what it holds.
        # The motion of a store is named nowhere else than in its own file, which `tensor_values` signs.
        alone = mutation is mutate.tensor_values and path.name == "motion.safetensors"
        signed = bool(rng.integers(2)) or mutation in mutate_hdf5.MUTATIONS or alone
        if signed:
            mutate.sign(copy)
        outcome, text = (_outcome if isolated else _outcome_here)(target, copy, known, signed)
        name = path.relative_to(copy).as_posix()
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        (folder / f"outside-{os.getpid()}").unlink(missing_ok=True)
    if outcome in FAULTS:
        print(f"{target.name} {number}, {name}: {mutation.__name__}, {outcome}: {text}", file=sys.stderr, flush=True)
    return {
        "target": target.name,
        "number": number,
        "file": name,
        "mutation": mutation.__name__,
        "signed": signed,
        "outcome": outcome,
        "text": text,
    }


def _outcome(target: Target, copy: Path, known: str, signed: bool) -> tuple[str, str]:
    """How a process of its own that uses `copy` ends."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.close(reading)
        code = 1
        try:
            os.write(writing, json.dumps(_use(target, copy)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    deadline, parts = time.monotonic() + PATIENCE, []
    os.set_blocking(reading, False)
    while True:
        try:
            piece = os.read(reading, 1 << 16)
            if not piece:
                break
            parts.append(piece)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                os.close(reading)
                return "hang", f"no end after {PATIENCE} s"
            time.sleep(0.002)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return ("hang" if os.WTERMSIG(status) == signal.SIGXCPU else "crash"), f"signal {os.WTERMSIG(status)}"
    if not parts:
        return "crash", f"status {status}"
    outcome, text, grown = json.loads(b"".join(parts))
    if grown > MEMORY:
        return "memory", f"{grown >> 20} MiB; {text}"
    return _compared(outcome, text, known, signed)


def _outcome_here(target: Target, copy: Path, known: str, signed: bool) -> tuple[str, str]:
    """How using `copy` ends in this process."""
    return _compared(*_tried(target, copy), known, signed)


def _compared(outcome: str, text: str, known: str, signed: bool) -> tuple[str, str]:
    if outcome == "read":
        return ("same" if text == known else "other file" if signed else "silent"), ""
    return outcome, text


def _tried(target: Target, copy: Path) -> tuple[str, str]:
    """("read", fingerprint), or what an exception is."""
    try:
        return "read", target.use(copy)
    except BaseException as error:
        return _judged(error, copy)


def _use(target: Target, copy: Path) -> tuple[str, str, int]:
    """In the child: what came of it, and by how many bytes the process grew."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    before = _resident()
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (virtual + 4 * MEMORY,) * 2)
    outcome, text = _tried(target, copy)
    return outcome, text, _resident() - before


def _resident() -> int:
    """The most bytes of memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _judged(error: BaseException, copy: Path) -> tuple[str, str]:
    frames = traceback.extract_tb(error.__traceback__)
    own = bool(frames) and Path(frames[-1].filename).is_relative_to(FOLDER)
    message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    named = copy.name in message or "'tiny'" in message  # the folder, or the checkpoint's name
    clear = own and isinstance(error, EXPECTED) and named and len(message) < 2000 and type(error) is not AssertionError
    where = "" if clear else " | ".join(f"{Path(f.filename).name}:{f.lineno}" for f in frames[-4:])
    return ("error" if clear else "foreign"), f"{type(error).__name__}: {message[:300]} {where}"


def summary(records: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Counts by kind of folder, mutation, and outcome, with every fault."""
    counts = Counter((r["target"], r["mutation"], "signed" if r["signed"] else "plain", r["outcome"]) for r in records)
    table: dict[str, Any] = {}
    for (target, mutation, signed, outcome), count in sorted(counts.items()):
        table.setdefault(target, {}).setdefault(mutation, {}).setdefault(signed, {})[outcome] = count
    return {
        "mutations": len(records),
        "seed": seed,
        "outcomes": {name: sum(r["outcome"] == name for r in records) for name in OUTCOMES},
        "counts": table,
        "faults": [record for record in records if record["outcome"] in FAULTS],
        "limits": {"memory_bytes": MEMORY, "cpu_seconds": SECONDS, "seconds": PATIENCE},
        "commit": commit(),
        "versions": versions(("rla_gym", "torch", "numpy", "safetensors", "h5py", "timm")),
    }


def main() -> int:
    """Run the hunt; the exit status is 1 if there is a fault."""
    parser = argparse.ArgumentParser(description="Read thousands of damaged files.")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", help="one kind of folder")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--work", type=Path, help="folder for records; a hunt that was killed resumes from there")
    args = parser.parse_args()
    memory = Path("/dev/shm")  # every write there is settled at once
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as place:
        targets = [t for t in make_targets(Path(place) / "made") if args.only in (None, t.name)]
        records = hunt(
            args.count, args.seed, Path(place), targets, args.processes, args.work and args.work / str(commit())
        )
    found = summary(records, args.seed)
    write_json(args.out, found)
    print(json.dumps(found["outcomes"]))
    for fault in found["faults"][:200]:
        print({name: fault[name] for name in ("target", "number", "file", "mutation", "signed", "outcome", "text")})
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    raise SystemExit(main())

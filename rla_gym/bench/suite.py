"""A suite: a protocol file, fixed before the run, that names everything that is measured; run to its end, resumably.

```toml
name = "mine"
benchmarks = ["transfer", "ranking"]     # in this order; ranking takes what transfer played
checkpoints = ["checkpoints/mine"]
seeds = [0, 1]
episodes = 200

[arms]                                   # agents by name; {seed} and {checkpoint} are filled in
bc = "runs/bc-{seed}/agent.zip"
ppo = "runs/ppo-{seed}/agent.zip"

[settings.transfer]                      # other settings of a benchmark
videos = 0
```
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from rla_gym.bench.pooled import pooled, pooled_table
from rla_gym.bench.registry import benchmark
from rla_gym.bench.results import Results, dumps, jsonable
from rla_gym.bench.run import FILE, FOLDER, run
from rla_gym.bench.transfer import Transfer
from rla_gym.utils.checks import check_fields
from rla_gym.utils.files import parse_json, sha256_file
from rla_gym.utils.outputs import output
from rla_gym.utils.typed import build, check

SUMMARY = "summary.json"
"""Of all seeds, in the suite's folder."""
ADVICE = "see the docstring of rla_gym.bench.suite for an example"


@dataclass(frozen=True)
class Protocol:
    """What a suite's file says."""

    name: str
    benchmarks: tuple[str, ...]
    checkpoints: tuple[str, ...]
    seeds: tuple[int, ...]
    episodes: int
    arms: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("benchmarks", "checkpoints", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} = {list(values)}: expected at least one, and none twice")
        if self.episodes < 1:
            raise ValueError(f"episodes = {self.episodes}: expected at least 1")
        wrong = [arm for arm, source in self.arms.items() if not isinstance(source, str) or "=" in arm]
        if wrong:
            raise ValueError(f"arms {wrong}: expected names without '=' and files or entry points as text")
        unused = sorted(set(self.settings) - set(self.benchmarks))
        if unused:
            raise ValueError(f"settings of {unused}, which are none of the benchmarks {list(self.benchmarks)}")


@dataclass(frozen=True)
class Part:
    """One benchmark of one checkpoint with one seed, with its settings; `folder` is its own below the suite's."""

    benchmark: str
    checkpoint: str
    seed: int
    folder: Path
    settings: Any


def read_protocol(path: Path) -> tuple[Protocol, dict[str, str]]:
    """The protocol of a .json or .toml file, and what results say of it: the file's name and its SHA-256.

    Raises:
        FileNotFoundError: no such file.
        ValueError: neither JSON nor TOML, or entries that are unknown, missing or of another type.
        ImportError: TOML on Python 3.10, which cannot read it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no protocol file at {path}: expected JSON or TOML; {ADVICE}")
    content = path.read_bytes()
    try:
        values = _toml(content, path) if path.suffix == ".toml" else parse_json(content.decode())
    except ValueError as error:
        raise ValueError(f"{path} is neither valid JSON nor, as .toml, valid TOML ({error}); {ADVICE}") from error
    protocol: Protocol = build(Protocol, values, path, ADVICE)
    return protocol, {"file": path.name, "sha256": hashlib.sha256(content).hexdigest()}


def parts(protocol: Protocol, out: Path) -> Iterator[Part]:
    """Everything that is to be measured, in order.

    Raises:
        ValueError: a benchmark that there is not, or a setting that it does not have or of another type.
    """
    several = len(protocol.checkpoints) > 1
    for position, name in enumerate(protocol.benchmarks):
        kind = benchmark(name)
        known = {entry.name for entry in fields(kind)}
        settings = _settings(kind, protocol.settings.get(name, {}), name)
        for number, checkpoint in enumerate(protocol.checkpoints):
            place = f"{number}-{Path(checkpoint.partition('@')[0]).name}" if several else ""
            for seed in protocol.seeds:
                below = Path(place, f"seed-{seed}")
                agents = tuple(_filled(arm, source, seed, checkpoint) for arm, source in protocol.arms.items())
                given = {"ckpt": checkpoint, "seed": seed, "episodes": protocol.episodes, "agents": agents}
                if "results" in known and Transfer.name in protocol.benchmarks[:position]:
                    given |= {"results": out / Transfer.name / below / FILE, "agents": ()}
                given = {key: value for key, value in given.items() if key in known} | settings
                part = Part(name, checkpoint, seed, out / name.replace(":", ".") / below, kind(**given))
                check_fields(part.settings)
                yield part


def run_suite(file: Path, out: Path | None = None, progress: bool = True) -> str:
    """Run what has no result yet, and return all tables as Markdown.

    Args:
        out: folder of the results; by default ./bench/NAME.

    Raises:
        FileExistsError: files of others are in the way.
        BlockingIOError: another process runs a suite into that folder.
        ValueError: the file changed after the first result, or as of `read_protocol`, `parts` and the benchmarks.
    """
    protocol, said = read_protocol(file)
    out = FOLDER / protocol.name if out is None else out
    todo = list(parts(protocol, out))
    with output(out, "bench suite") as folder:
        for path in sorted(out.rglob(FILE)):
            _check_protocol(path, Results.read(path), file, said)
        folder.check([SUMMARY])
        texts, pools = [], dict[tuple[str, str], list[Results]]()
        for number, part in enumerate(todo, start=1):
            path = part.folder / FILE
            if path.is_file():
                results = Results.read(path)
                _check_inputs(path, results)
            else:
                results, _ = run(part.settings, part.folder, said, progress)
            title = f"{part.benchmark}, {part.checkpoint}, seed {part.seed} ({number} of {len(todo)})"
            texts.append(f"## {title}\n\n{results.table()}\n")
            pools.setdefault((part.benchmark, part.checkpoint), []).append(results)
        over_seeds = {}
        for (name, checkpoint), found in pools.items():
            if name == Transfer.name and len(found) > 1:
                over_seeds[checkpoint] = pooled(found)
                texts.append(f"## {name}, {checkpoint}, {len(found)} seeds\n\n{pooled_table(over_seeds[checkpoint])}\n")
        if over_seeds:
            text = dumps(jsonable({"protocol": said, "seeds": protocol.seeds, "transfer": over_seeds}))
            folder.claim([SUMMARY])
            with folder.writing(SUMMARY) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
            folder.seal()
        return "\n".join(texts)


def _check_protocol(path: Path, results: Results, file: Path, said: Mapping[str, str]) -> None:
    had = (results.protocol or {}).get("sha256")
    if had == said["sha256"]:
        return
    if had is None:
        raise ValueError(f"{path} is no result of a suite: choose another folder with --out")
    raise ValueError(
        f"{file} changed after {path} was measured (SHA-256 {had[:12]}, now {said['sha256'][:12]}): a protocol is "
        "fixed before its first result. Put the old file back, or run the new one into another folder with --out"
    )


def _check_inputs(path: Path, results: Results) -> None:
    """A ValueError where an agent's files are others than those that were measured."""
    for name, agent in results.facts.get("agents", {}).items():
        for file, measured in agent["hashes"].items():
            now = Path(agent["source"]).expanduser().with_name(file)
            if now.is_file() and sha256_file(now) != measured:
                raise ValueError(
                    f"{now} changed after {path} measured it as {name!r}: put the old file back, or run the suite into "
                    "another folder with --out"
                )


def _filled(arm: str, source: str, seed: int, checkpoint: str) -> str:
    try:
        return f"{arm}={source.format(seed=seed, checkpoint=checkpoint)}"
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"arm {arm!r} = {source!r}: {error!r}; expected {{seed}} and {{checkpoint}} alone") from error


def _settings(kind: type[Any], given: Any, name: str) -> dict[str, Any]:
    """Settings of a file, checked against the benchmark's annotations."""
    if not isinstance(given, Mapping):
        raise ValueError(f"settings.{name} is {given!r}: expected settings by name")
    hints, known = get_type_hints(kind), [entry.name for entry in fields(kind)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"settings.{name} has {unknown}, which {name!r} does not: it has {', '.join(known)}")
    where = f"settings.{name}"
    return {
        key: Path(value)
        if Path in get_args(hints[key]) and isinstance(value, str)
        else check(hints[key], value, where, ADVICE, key)
        for key, value in given.items()
    }


def _toml(content: bytes, path: Path) -> Any:
    try:
        import tomllib
    except ImportError as error:
        raise ImportError(f"{path}: Python 3.10 reads no TOML; write the protocol as JSON") from error
    return tomllib.loads(content.decode())

"""README's way from nothing to a world model of one's own and an agent in it: the commands as they stand there, timed.

    python -m benchmarks.quickstart --work runs/quickstart

Commands that are finished are left alone, so that the same command goes on where it was killed; what was killed is
marked, as its time is then that of the last go alone.
"""

from __future__ import annotations

import os
import re
import resource
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.markdown import markdown
from benchmarks.record import run_record
from rla_gym.utils.files import read_json, write_json
from rla_gym.utils.statistics import difference_text, rate_text

ROOT = Path(__file__).resolve().parents[1]
MORE = {"eval": ["--out", "eval.json"], "demo": ["--seeds", "0", "1", "2"]}
"""Arguments beside those in README, by command: they keep raw results, and three agents tell more than one."""
TOY: dict[str, list[str]] = {
    "collect": ["--episodes", "30", "--workers", "1"],
    "train": [f"--{stage}.steps=2" for stage in ("autoencoder", "features", "flow", "image-decoder")],
    "export": ["--references", "2"],
    "eval": ["--count", "4", "--probe-steps", "2"],
    "demo": ["--seeds", "0", "--demonstrations", "3", "--clone-epochs", "1", "--timesteps", "4", "--num-envs", "2",
             "--n-steps", "2", "--batch-size", "4", "--episodes", "2", "--workers", "0", "--videos", "0"],
}  # fmt: skip
"""The same for `--smoke`."""


@dataclass(frozen=True)
class Args:
    """Where it works and writes."""

    work: Path = Path("runs/quickstart")
    """Folder that the commands run in."""
    out: Path = Path("benchmarks/results/quickstart-push-cube.json")
    smoke: bool = False
    """A few episodes and steps, to see that it runs."""


def commands(readme: str) -> list[list[str]]:
    """README's block of commands that begins with `rla-gym collect`, in words, without the program's name.

    Raises:
        ValueError: there is no such block, or more than one.
    """
    found = re.findall(r"^```bash\n(rla-gym collect.*?)^```", readme, re.MULTILINE | re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"README has {len(found)} blocks that begin with `rla-gym collect`: expected one")
    return [shlex.split(line)[1:] for line in found[0].splitlines() if line.strip()]


def run(words: list[str], work: Path) -> dict[str, float]:
    """Run one command in `work`: minutes by the clock and of one core.

    Raises:
        CalledProcessError: it failed.
    """
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    began, before = time.monotonic(), spent()
    subprocess.run([sys.executable, "-m", "rla_gym", *words], cwd=work, check=True, env=env)
    return {"minutes": (time.monotonic() - began) / 60, "core_minutes": (spent() - before) / 60}


def spent() -> float:
    """Seconds of processors that finished processes of this one have had."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(args: Args) -> dict[str, Any]:
    """Run what is not finished, read the results, write and print.

    Raises:
        CalledProcessError: a command failed; the same call goes on there once that is mended.
        ValueError: the folder has another README's commands, or README none.
    """
    args.work.mkdir(parents=True, exist_ok=True)
    log = args.work / "commands.json"
    done: list[dict[str, Any]] = read_json(log) if log.is_file() else []
    for number, words in enumerate(commands((ROOT / "README.md").read_text(encoding="utf-8"))):
        words = [*words, *MORE.get(words[0], []), *(TOY.get(words[0], []) if args.smoke else [])]
        if number == len(done):
            done.append({"command": words, "goes": 0})
        if done[number]["command"] != words:
            before = shlex.join(done[number]["command"])
            raise ValueError(f"{args.work} is of `{before}`, this is `{shlex.join(words)}`: give another --work")
        if "minutes" not in done[number]:
            done[number]["goes"] += 1
            write_json(log, done)
            done[number] |= run(words, args.work)
            write_json(log, done)
    result = {
        **run_record(),
        "commands": done,
        "eval": read_json(args.work / "eval.json"),
        "demo": read_json(args.work / "demo" / "result.json"),
    }
    write_json(args.out, result)
    print(f"{quickstart(result)}\n{args.out}")
    return result


def quickstart(found: dict[str, Any]) -> str:
    """README's table: minutes of each command, and what came of it."""
    rows = []
    for each in found["commands"]:
        words = each["command"]
        name = " ".join(words[:2]) if words[0] == "train" else words[0]
        again = "" if each["goes"] == 1 else f" (the last of {each['goes']} goes)"
        rows.append(f"| `{name}` | {each['minutes']:.1f}{again} | {each['core_minutes']:.1f} |")
    total = [sum(each[place] for each in found["commands"]) for place in ("minutes", "core_minutes")]
    rows.append(f"| all | {total[0]:.0f} | {total[1]:.0f} |")
    cube = found["eval"]["kinds"]["recorded"]["cube"]
    chunks = len(cube["error"]) - 1
    ratios = [cube["contact_ratio"][str(number)][0] for number in (1, chunks)]
    real = found["demo"]["summary"]["real"]
    change = difference_text(*(real["difference"][name] for name in ("difference", "low", "high")))
    seeds = found["demo"]["seeds"]
    return markdown(
        "| command | minutes | of one core |",
        rows,
        f"The dream's error is {ratios[0]:.2f} of the cube's way after 1 chunk and {ratios[1]:.2f} after {chunks}, "
        f"over {cube['contact_handles']} held-out starts where it moved. Agents ({len(seeds)} seeds, "
        f"{real['episodes']} real episodes): {rate_text(real['before'], real['before_interval'])} cloned, "
        f"{rate_text(real['after'], real['after_interval'])} after PPO in this dream, {change} points; the time of "
        f"`demo` is that of all of them (`benchmarks/results/quickstart-push-cube.json`).",
    )


if __name__ == "__main__":
    main(tyro.cli(Args))

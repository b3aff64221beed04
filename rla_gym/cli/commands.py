"""All commands of `rla-gym`, and how arguments become one of them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Annotated, Any, Protocol

import tyro

from rla_gym.cli.bench import Bench, parse_bench
from rla_gym.cli.build import Build
from rla_gym.cli.collect import Collect
from rla_gym.cli.demo import Demo
from rla_gym.cli.encode import Encode
from rla_gym.cli.encoder import MakeEncoder
from rla_gym.cli.evaluate import Evaluate
from rla_gym.cli.export import Export
from rla_gym.cli.inspect import Inspect
from rla_gym.cli.merge import Merge
from rla_gym.cli.play import Play
from rla_gym.cli.train import Train

COMMANDS: dict[str, type] = {
    "demo": Demo,
    "collect": Collect,
    "merge": Merge,
    "encoder": MakeEncoder,
    "encode": Encode,
    "train": Train,
    "export": Export,
    "eval": Evaluate,
    "bench": Bench,
    "inspect": Inspect,
    "play": Play,
    "build": Build,
}
DESCRIPTION = "World models learned from videos, as Gymnasium environments: collect, encode, train, export, try."


class Command(Protocol):
    """Parsed arguments of one command."""

    def run(self) -> None:
        """Do it."""


def parse(arguments: Sequence[str]) -> Command:
    """The command that `arguments` ask for; SystemExit for `--help` (0) and for what does not parse (2)."""
    if arguments[:1] == ["bench"]:
        bench: Command = parse_bench(arguments[1:])
        return bench
    choices: Any = reduce(
        operator.or_, (Annotated[kind, tyro.conf.subcommand(name)] for name, kind in COMMANDS.items())
    )
    command: Command = tyro.cli(
        choices,
        args=list(arguments),
        prog="rla-gym",
        description=DESCRIPTION,
        config=(tyro.conf.OmitSubcommandPrefixes,),
    )
    return command

"""The page of each environment: all headings, every argument, and the defaults that it really has."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

import rla_gym
from rla_gym.envs.options import EpisodeOptions

HEADINGS = (
    "Description",
    "Action Space",
    "Observation Space",
    "Rewards",
    "Starting State",
    "Episode End",
    "Arguments",
    "Learned model",
    "Known failure modes",
    "Version History",
)


def arguments(kind: type) -> set[str]:
    """Names of everything that the constructor of `kind` takes."""
    names = set(inspect.signature(kind).parameters)
    return names - {"options"} | {field.name for field in dataclasses.fields(EpisodeOptions)}


def sections(kind: type) -> dict[str, str]:
    """The parts of the page of `kind`, by heading."""
    parts = re.split(r"^## (.+)$", inspect.cleandoc(kind.__doc__ or ""), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("kind", [rla_gym.RLAWorldEnv, rla_gym.RLAWorldGoalEnv, rla_gym.RLARealEnv])
def test_pages_have_all_headings(kind: type) -> None:
    page = sections(kind)
    assert list(page) == list(HEADINGS)
    assert all(text.strip() for text in page.values())


@pytest.mark.parametrize("kind", [rla_gym.RLAWorldEnv, rla_gym.RLARealEnv])
def test_pages_name_every_argument(kind: type) -> None:
    named = set(re.findall(r"`(\w+)", sections(kind)["Arguments"]))
    assert arguments(kind) <= named, f"not on the page: {sorted(arguments(kind) - named)}"


def test_defaults_on_the_page_are_those_of_the_constructor() -> None:
    parameters = inspect.signature(rla_gym.RLAWorldEnv).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items() if name != "options"}
    defaults |= {field.name: field.default for field in dataclasses.fields(EpisodeOptions)}
    told = dict(re.findall(r"`(\w+)=([^`]+)`", sections(rla_gym.RLAWorldEnv)["Arguments"]))
    for name, default in defaults.items():
        assert told[name].replace('"', "'") == repr(default), name

"""The card of a data set: what it holds, for programs (card.json) and for people (card.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rla_gym.data.spec import checked_spec
from rla_gym.utils.digests import check_intact, read_object, with_digest
from rla_gym.utils.files import atomic_path, write_json
from rla_gym.utils.provenance import versions
from rla_gym.utils.typed import build

if TYPE_CHECKING:
    from rla_gym.data.episodes import EpisodeDataset

Card = dict[str, Any]

CARD_SCHEMA = 1
CARD_NAME, CARD_TEXT_NAME = "card.json", "card.md"
PACKAGES = ("mujoco", "numpy", "h5py", "rla_gym")
"""What a recording depends on."""
RECORDING = ("settings", "versions", "frames_per_second_a_process")
"""Entries of a card that tell how a data set was recorded."""


def make_card(dataset: EpisodeDataset, settings: Mapping[str, Any], frames_per_second: float, file_bytes: int) -> Card:
    """Summarise a data set that was just recorded.

    Args:
        settings: the collection's settings that its episodes depend on (seed, noise, shares).
        frames_per_second: of one process, stepping and rendering.
        file_bytes: size of the HDF5 file.
    """
    recording = {
        "settings": dict(settings),
        "versions": versions(PACKAGES),
        "frames_per_second_a_process": round(frames_per_second, 1),
    }
    return {**_contents([dataset], dataset.hash, file_bytes), **recording}


def make_merged_card(datasets: Sequence[EpisodeDataset], cards: Sequence[Card | None], digest: str, size: int) -> Card:
    """Summarise a data set that was joined from others of the same spec.

    Args:
        datasets: those that it was joined from, in order.
        cards: the card beside each of them, None without one.
        digest: hash of the joined data set.
        size: of its HDF5 file, in bytes.
    """
    merged: dict[str, Card] = {}
    for dataset, card in zip(datasets, cards, strict=True):
        merged |= _recordings(dataset, card)
    return {**_contents(datasets, digest, size), "merged": merged}


def _recordings(dataset: EpisodeDataset, card: Card | None) -> dict[str, Card]:
    """What a data set was recorded in: hash to episodes, frames, and the entries `RECORDING` as far as they are known.

    Args:
        card: the one beside it, None without one. A data set that was itself merged counts as those it came from.
    """
    if card is None or card.get("hash") != dataset.hash:  # of something else
        card = {}
    if "merged" in card:
        return {name: dict(entry) for name, entry in card["merged"].items()}
    known = {name: card[name] for name in RECORDING if name in card}
    return {dataset.hash: {"episodes": len(dataset), "frames": int(dataset.lengths.sum()), **known}}


def _contents(datasets: Sequence[EpisodeDataset], digest: str, size: int) -> Card:
    """What is in data sets of the same spec, however they came to be."""
    lengths = np.concatenate([dataset.lengths for dataset in datasets])
    successes = np.concatenate([dataset.successes for dataset in datasets])
    names = np.array([source for dataset in datasets for source in dataset.sources])
    sources = {}
    for source in sorted(set(names.tolist())):
        rows = names == source
        sources[source] = {
            "episodes": int(rows.sum()),
            "frames": int(lengths[rows].sum()),
            "success_rate": float(successes[rows].mean()),
        }
    return {
        "schema": CARD_SCHEMA,
        "task": datasets[0].task_name,
        "episodes": len(lengths),
        "frames": int(lengths.sum()),
        "success_rate": float(successes.mean()),
        "sources": sources,
        "spec": datasets[0].spec,
        "bytes": size,
        "hash": digest,
    }


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write card.json and card.md into `folder`."""
    with atomic_path(folder / CARD_TEXT_NAME) as temporary:
        temporary.write_text(card_markdown(card), encoding="utf-8")
    write_json(folder / CARD_NAME, with_digest(card))


@dataclass(frozen=True)
class SourceEntry:
    """What a card says of one demonstrator's episodes."""

    episodes: int
    frames: int
    success_rate: float


@dataclass(frozen=True)
class RecordingEntry:
    """What a card says of one data set that another was merged from."""

    episodes: int
    frames: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str | None] = field(default_factory=dict)
    frames_per_second_a_process: float = 0.0


@dataclass(frozen=True)
class CardEntries:
    """Everything in card.json."""

    schema: int
    task: str
    episodes: int
    frames: int
    success_rate: float
    sources: Mapping[str, SourceEntry]
    spec: Mapping[str, Any]
    bytes: int
    hash: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str | None] = field(default_factory=dict)
    frames_per_second_a_process: float = 0.0
    merged: Mapping[str, RecordingEntry] = field(default_factory=dict)


def read_card(folder: Path) -> Card | None:
    """The card in `folder` as it was written, None without one; a ValueError says what in it cannot be."""
    place, advice = folder / CARD_NAME, "move it away: the data set can do without"
    if not os.path.lexists(place):
        return None
    card, intact = read_object(place)
    build(CardEntries, card, place, advice)
    card["spec"] = checked_spec(card["spec"], f"{place}: the spec")
    check_intact(place, intact, advice)
    return card


def card_markdown(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    spec = card["spec"]
    lines = [
        f"# Episodes of {card['task']}",
        "",
        f"{card['episodes']} episodes, {card['frames']} frames of "
        f"{spec['frame_size'][0]}x{spec['frame_size'][1]} at {spec['control_hz']:g} Hz, "
        f"{card['bytes'] / 1e6:.1f} MB; actions of width {len(spec['action_low'])}, proprioception of width "
        f"{spec['proprio_size']}.",
        "",
        "| demonstrator | episodes | frames | success |",
        "|---|---|---|---|",
        *(
            f"| {name} | {row['episodes']} | {row['frames']} | {100 * row['success_rate']:.1f} % |"
            for name, row in card["sources"].items()
        ),
        f"| all | {card['episodes']} | {card['frames']} | {100 * card['success_rate']:.1f} % |",
        "",
        "Success: the task's criterion held after some control step.",
        "",
    ]
    if "merged" in card:
        lines.append(f"Merged from {len(card['merged'])} data sets:")
        for name, entry in card["merged"].items():
            lines += ["", f"- `{name}`, {entry['episodes']} episodes, {entry['frames']} frames."]
            lines += [f"  {line}" for line in _recording_lines(entry)]
        lines.append("")
    else:
        lines += _recording_lines(card)
    return "\n".join([*lines, f"Hash: `{card['hash']}`.", ""])


def _recording_lines(card: Mapping[str, Any]) -> list[str]:
    """Lines on how a data set was recorded, as far as its card tells."""
    lines = []
    if "settings" in card:
        lines.append("Recorded with " + ", ".join(f"{name} {value}" for name, value in card["settings"].items()) + ".")
    else:
        lines.append("It had no card that tells how it was recorded.")
    if "versions" in card:
        found = (f"{name} {value or 'none'}" for name, value in card["versions"].items())
        lines.append("Versions: " + ", ".join(found) + ".")
    if "frames_per_second_a_process" in card:
        lines.append(f"Measured: {card['frames_per_second_a_process']} frames a second a process, rendered.")
    return lines

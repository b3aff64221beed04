"""The card of a collected data set: what it holds, for programs (card.json) and for people (card.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rla_gym.files import atomic_path, write_json
from rla_gym.provenance import versions

if TYPE_CHECKING:
    from rla_gym.data.episodes import EpisodeDataset

CARD_SCHEMA = 1
PACKAGES = ("mujoco", "numpy", "h5py", "rla_gym")
"""What a recording depends on."""


def make_card(
    dataset: EpisodeDataset, settings: Mapping[str, Any], frames_per_second: float, file_bytes: int
) -> dict[str, Any]:
    """Summarise a data set.

    Args:
        settings: the collection's settings that its episodes depend on (seed, noise, shares).
        frames_per_second: of one process, stepping and rendering.
        file_bytes: size of the HDF5 file.
    """
    sources = {}
    for source in sorted(set(dataset.sources)):
        rows = [index for index, name in enumerate(dataset.sources) if name == source]
        sources[source] = {
            "episodes": len(rows),
            "frames": int(dataset.lengths[rows].sum()),
            "success_rate": float(dataset.successes[rows].mean()),
        }
    return {
        "schema": CARD_SCHEMA,
        "task": dataset.task_name,
        "episodes": len(dataset),
        "frames": int(dataset.lengths.sum()),
        "success_rate": float(dataset.successes.mean()),
        "sources": sources,
        "settings": dict(settings),
        "spec": dataset.spec,
        "versions": versions(PACKAGES),
        "frames_per_second_a_process": round(frames_per_second, 1),
        "bytes": file_bytes,
        "hash": dataset.hash,
    }


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write card.json and card.md into `folder`."""
    with atomic_path(folder / "card.md") as temporary:
        temporary.write_text(card_markdown(card), encoding="utf-8")
    write_json(folder / "card.json", dict(card))


def card_markdown(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    spec, settings = card["spec"], card["settings"]
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
        "Recorded with " + ", ".join(f"{name} {value}" for name, value in settings.items()) + ".",
        "Versions: "
        + ", ".join(f"{name} {value or 'none'}" for name, value in card["versions"].items())
        + ".",
        f"Measured: {card['frames_per_second_a_process']} frames a second a process, rendered.",
        f"Hash: `{card['hash']}`.",
        "",
    ]
    return "\n".join(lines)

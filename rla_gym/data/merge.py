"""Join recorded data sets of one task into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rla_gym.data.card import CARD_NAME, CARD_TEXT_NAME, Card, make_merged_card, read_card, write_card
from rla_gym.data.digests import combine_digests
from rla_gym.data.episodes import FILE_NAME, SETTINGS_NAME, EpisodeDataset
from rla_gym.data.formats.robomimic import copy_episodes, index_written
from rla_gym.data.index import index_path
from rla_gym.utils.digests import read_object
from rla_gym.utils.disk import need_room
from rla_gym.utils.files import atomic_path, write_json
from rla_gym.utils.optional import require
from rla_gym.utils.outputs import is_sealed, output
from rla_gym.utils.typed import check

MERGE_NAME = "merge.json"
"""Lists the hashes of the data sets that a folder was merged from."""


def merge(paths: Sequence[str | Path], out: str | Path) -> Path:
    """Join data sets into the folder `out`, in order and without recompressing frames, and return it.

    The folder holds `episodes.hdf5`, whole or not at all, `card.json`, `card.md` and `merge.json`. A second call with
    the same data sets returns at once. The hash is that of all episodes recorded in one go.

    Args:
        paths: two or more data sets: folders or .hdf5 files.

    Raises:
        FileNotFoundError: no data set at one of the paths.
        ValueError: fewer than two data sets, of differing tasks, specs or arrays, or with an episode in common; `out`
            was made from something else.
        FileExistsError: files that `merge` did not write are in its way.
        BlockingIOError: another process writes there.
        OSError: the disk has no room, or the folder cannot be written to.
    """
    if len(paths) < 2:
        raise ValueError(f"merging takes at least 2 data sets, got {len(paths)}: name all of them")
    out = Path(out)
    if (out / SETTINGS_NAME).is_file():
        raise ValueError(f"{out} was begun by `rla-gym collect` ({SETTINGS_NAME}): choose another folder")
    if (out / FILE_NAME).is_file():
        _expect_made_from(out, [_hash_of(path) for path in paths])
        if not is_sealed(out):  # killed at the very end
            with output(out, "merge") as folder:
                folder.seal()
        return out
    with ExitStack() as stack:
        datasets = [stack.enter_context(EpisodeDataset(path)) for path in paths]
        for dataset in datasets[1:]:
            _expect_alike(datasets[0], dataset)
        _expect_no_episode_twice(datasets)
        folder = stack.enter_context(output(out, "merge"))
        folder.claim((CARD_NAME, CARD_TEXT_NAME, MERGE_NAME, FILE_NAME, index_path(out / FILE_NAME).name))
        needed = sum(dataset.path.stat().st_size for dataset in datasets)
        need_room(out, needed, f"the merged data set {out / FILE_NAME}")
        # `episodes.hdf5` comes last, so that it stands for a finished data set.
        with atomic_path(out / FILE_NAME) as temporary:
            digests = copy_episodes(temporary, _groups(datasets), datasets[0].spec)
            cards = [_card_of(dataset) for dataset in datasets]
            card = make_merged_card(datasets, cards, combine_digests(digests), temporary.stat().st_size)
            write_card(out, card)
            write_json(out / MERGE_NAME, {"datasets": [dataset.hash for dataset in datasets]})
        index_written(out / FILE_NAME, digests)
        folder.seal()
    print(
        f"{out / FILE_NAME}: {card['episodes']} episodes, {card['frames']} frames, {card['bytes'] / 1e6:.1f} MB, of "
        f"{len(paths)} data sets",
        flush=True,
    )
    return out


def _groups(datasets: Sequence[EpisodeDataset]) -> Iterator[tuple[Any, str]]:
    """Each episode's open HDF5 group and its digest."""
    h5py = require("h5py", extra="data")
    for dataset in datasets:
        with h5py.File(dataset.path, "r") as file:
            for index, digest in enumerate(dataset.digests):
                yield file[f"data/demo_{index}"], digest


def _hash_of(path: str | Path) -> str:
    with EpisodeDataset(path) as dataset:
        return dataset.hash


def _card_of(dataset: EpisodeDataset) -> Card | None:
    return read_card(dataset.path.parent)


def _expect_made_from(out: Path, asked: list[str]) -> None:
    """Refuse a folder that holds anything else than what is asked for."""
    place = out / MERGE_NAME
    if not place.is_file():
        raise ValueError(f"{out / FILE_NAME} exists but no {MERGE_NAME} tells how it was made: choose another folder")
    content, _ = read_object(place)
    found = check(list[str], content.get("datasets"), place, "choose another folder, or remove that one", "datasets")
    if found != asked:
        there, given = (", ".join(name[:12] for name in names) for names in (found, asked))
        raise ValueError(
            f"{out} was merged from data sets of the hashes {there}; those given are {given}: give the same in the "
            "same order, choose another folder, or remove that one"
        )


def _expect_alike(first: EpisodeDataset, other: EpisodeDataset) -> None:
    """Refuse data sets that one task with one spec did not record."""
    absent = "nothing"
    differing = [
        f"{name}: {other.spec.get(name, absent)!r} there, {first.spec.get(name, absent)!r} in {first.path}"
        for name in sorted({*first.spec, *other.spec})
        if first.spec.get(name, absent) != other.spec.get(name, absent)
    ]
    kept, there = (
        [name for name, array in dataset.arrays(0).items() if array is not None] for dataset in (first, other)
    )
    if kept != there:
        differing.append(f"arrays: {there} there, {kept} in {first.path}")
    if differing:
        raise ValueError(
            f"{other.path} was recorded otherwise ({'; '.join(differing)}): only data sets of one task with one spec "
            "can be merged"
        )


def _expect_no_episode_twice(datasets: Sequence[EpisodeDataset]) -> None:
    seen: dict[str, str] = {}
    again: list[str] = []
    for dataset in datasets:
        for index, digest in enumerate(dataset.digests):
            here = f"episode {index} of {dataset.path}"
            if digest in seen:
                again.append(f"{here} is {seen[digest]}")
            seen[digest] = here
    if again:
        raise ValueError(
            f"{len(again)} episodes are there twice, the first: {again[0]}; name each data set once, and record them "
            "with seeds of their own"
        )

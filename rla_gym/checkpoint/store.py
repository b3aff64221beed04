"""Checkpoint folders: written whole, read with checks, found by path, built-in name or hub id.

    config.json           schema version, sizes, configurations, defaults, cards, hashes of the files below
    model.safetensors     tensors named autoencoder.*, flow.*, features.*, image_decoder.* and stats.*
    encoder.safetensors   the frame encoder; optional, needed only to encode real frames
    references/           the episodes that dreams start from and are rewarded against
    README.md             the card, for people

Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from rla_gym.checkpoint.bundle import Bundle, BundleConfig
from rla_gym.checkpoint.card import card_markdown
from rla_gym.checkpoint.consistency import check_bundle
from rla_gym.checkpoint.parts import OPTIONAL_STATISTICS, STATISTICS, by_part, statistics_of
from rla_gym.checkpoint.references import References
from rla_gym.checkpoint.resolve import CARD, CONFIG, ENCODER, FILES, MODEL, REFERENCES, find_checkpoint
from rla_gym.models.autoencoder import RLAAutoencoder
from rla_gym.models.encoder import Encoder
from rla_gym.models.features import KeypointFeatures
from rla_gym.models.image_decoder import ImageDecoder
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.utils.digests import check_intact, read_object, with_digest
from rla_gym.utils.disk import need_room
from rla_gym.utils.files import atomic_path, sha256_file, write_json
from rla_gym.utils.outputs import Output, output, staged
from rla_gym.utils.tensors import built, check_file_inside, read_tensors
from rla_gym.utils.typed import build, check, shown

SCHEMA = 1
AGAIN = "export or fetch the checkpoint again"
"""What to do about a checkpoint that is damaged."""


@dataclass(frozen=True)
class StoredFile:
    """What a checkpoint's configuration says of another of its files."""

    sha256: str
    bytes: int


def save_checkpoint(folder: str | Path, bundle: Bundle, half: bool = True) -> Path:
    """Write `bundle` as a checkpoint folder, whole or not at all, and return its path.

    Killed at any moment it leaves the old checkpoint or the new one, whole. What else is in the folder stays.

    Args:
        folder: if it is a checkpoint that was written so, its files are replaced.
        bundle: its encoder goes with it if it has one.
        half: store float32 weights as float16 (statistics and buffers never are).

    Raises:
        FileExistsError: `folder` holds something else than a checkpoint, or files of it were changed since.
            (A checkpoint without a manifest is one where each file is what its configuration names.)
        BlockingIOError: another process writes there.
        OSError: the disk has no room, or the folder cannot be written to.
        ValueError: the encoder's weights would change by being stored, or the flow is anchored in another autoencoder.
    """
    folder = Path(folder)
    with checkpoint_output(folder) as out:
        tensors = _model_tensors(bundle, half)
        size = sum(tensor.nbytes for tensor in tensors.values()) + bundle.references.tokens.nbytes
        size += bundle.encoder_path.stat().st_size if bundle.encoder_path is not None else 0
        need_room(folder, size, f"the checkpoint {folder}")
        with out.replacing(last=CONFIG) as new:
            _save_tensors(tensors, new / MODEL)
            bundle.references.save(new / REFERENCES)
            _write_encoder(new / ENCODER, bundle)
            files = {
                name: {"sha256": sha256_file(new / name), "bytes": (new / name).stat().st_size}
                for name in (MODEL, REFERENCES, ENCODER)
                if (new / name).is_file()
            }
            (new / CARD).write_text(card_markdown(bundle), encoding="utf-8")
            write_json(new / CONFIG, with_digest({"schema": SCHEMA, **asdict(bundle.config), "files": files}))
    return folder


def _adopt(out: Output) -> None:
    """Take a checkpoint that has no manifest for one of `rla-gym export`, as those of before there were manifests.

    Its configuration names the files by their SHA-256, and it loads. The card is named nowhere: it is taken where it is
    what would be written of this checkpoint, and is somebody else's file otherwise, as is whatever else is there.
    """
    if CONFIG in out or not (out.folder / CONFIG).is_file():
        return
    try:
        raw, _ = read_object(out.folder / CONFIG)
        bundle = load_checkpoint(out.folder)
    except (ValueError, KeyError, FileNotFoundError):  # damaged, changed, or none of ours
        return
    names = {CONFIG: sha256_file(out.folder / CONFIG)}
    names |= {name: raw["files"][name]["sha256"] for name in (MODEL, ENCODER, REFERENCES) if name in raw["files"]}
    card = card_markdown(bundle).encode()
    if (out.folder / CARD).is_file() and (out.folder / CARD).read_bytes() == card:
        names[CARD] = hashlib.sha256(card).hexdigest()
    out.adopt(names)


@contextmanager
def checkpoint_output(folder: str | Path) -> Iterator[Output]:
    """The folder of a checkpoint that is about to be written; errors as those of `save_checkpoint`."""
    folder = Path(folder)
    with output(folder, "export") as out:
        _adopt(out)
        foreign = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if foreign and CONFIG not in out:
            raise FileExistsError(
                f"{folder} is not empty ({foreign[0]}) and no checkpoint that `rla-gym export` wrote: choose another "
                "folder"
            )
        out.check(FILES)
        yield out


def load_checkpoint(name_or_path: str | Path | Bundle) -> Bundle:
    """The checkpoint called `name_or_path`: a folder, a built-in name or a hub id `owner/name@revision`.

    One process loads a checkpoint once: several environments share its networks. A `Bundle` is given back as it is.

    Raises:
        FileNotFoundError: nothing of that name; the text lists the built-in ones.
        ValueError: a pickle, a newer schema, a file that is cut off or has another hash, a damaged configuration.
        KeyError: a tensor that is missing, by name.
        ConnectionError: a hub id that cannot be downloaded, and is not in the hub's cache.
    """
    if isinstance(name_or_path, Bundle):
        return name_or_path
    folder = find_checkpoint(name_or_path)
    status = (folder / CONFIG).stat()
    version = (folder, status.st_mtime_ns, status.st_ino)
    bundle = _IN_USE.get(version)
    if bundle is None:
        bundle = _IN_USE[version] = _load(*version)
    return bundle


_IN_USE: WeakValueDictionary[tuple[Path, int, int], Bundle] = WeakValueDictionary()
"""Loaded checkpoints that someone still has; `_load` keeps the last ones besides."""


@lru_cache(maxsize=4)
def _load(folder: Path, modified: int, inode: int) -> Bundle:
    """Read a checkpoint; `modified` and `inode` of its configuration are there to tell versions apart."""
    raw, intact = read_object(folder / CONFIG)
    schema = raw.pop("schema", None)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise ValueError(f"{folder / CONFIG} has no schema version: it is no rla_gym checkpoint")
    if schema > SCHEMA:
        raise ValueError(
            f"{folder} has schema {shown(schema)}, this version of rla_gym reads up to {SCHEMA}: upgrade rla_gym"
        )
    files: dict[str, StoredFile] = check(
        Mapping[str, StoredFile], raw.pop("files", None), folder / CONFIG, AGAIN, "files"
    )
    config = config_from_dict(raw, folder)
    check_intact(folder / CONFIG, intact, AGAIN)
    tensors = _read_tensors(folder, MODEL, files)
    if config.flow.anchor and "autoencoder.components" in tensors:
        tensors["flow.components"] = tensors["autoencoder.components"]
    references = References.from_tensors(_read_tensors(folder, REFERENCES, files), folder / REFERENCES)
    makers: dict[str, Any] = {
        "autoencoder": lambda: RLAAutoencoder(config.autoencoder),
        "flow": lambda: FlowWorldModel(config.flow),
        "features": lambda: KeypointFeatures(config.features),
    }
    if config.image_decoder is not None:
        decoder = config.image_decoder
        makers["image_decoder"] = lambda: ImageDecoder(decoder)
    parts = by_part(tensors, (*makers, "stats"), folder / MODEL, AGAIN)
    models = {name: built(make, parts[name], folder / MODEL, AGAIN, f"{name}.") for name, make in makers.items()}
    statistics = statistics_of(parts["stats"], config, folder / MODEL, AGAIN)
    encoder_path = None
    if ENCODER in files:
        encoder_path = _check_file(folder, ENCODER, files)
    bundle = Bundle(
        config=config, references=references, encoder_path=encoder_path, path=folder, **models, **statistics
    )
    check_bundle(bundle, folder, AGAIN)
    return bundle


def config_from_dict(raw: Mapping[str, Any], place: Path) -> BundleConfig:
    """The configuration of what `json` gave; a ValueError names what is unknown, missing or of another type."""
    config: BundleConfig = build(BundleConfig, raw, place / CONFIG, AGAIN)
    return config


def _model_tensors(bundle: Bundle, half: bool) -> dict[str, Tensor]:
    """All networks and statistics by name, as they are stored."""
    tensors: dict[str, Tensor] = {}
    for name in ("autoencoder", "flow", "features", "image_decoder"):
        model = getattr(bundle, name)
        if model is None:
            continue
        parameters = {key for key, _ in model.named_parameters()}
        for key, value in model.state_dict().items():
            tensor = value.detach().cpu()
            if half and key in parameters and tensor.dtype == torch.float32:
                shortened = tensor.half()
                tensor = shortened if bool(shortened.isfinite().all()) else tensor
            tensors[f"{name}.{key}"] = tensor.clone().contiguous()
    # Megabytes, and the same as the autoencoder's.
    anchored = tensors.pop("flow.components", None)
    if anchored is not None and not torch.equal(anchored, tensors["autoencoder.components"]):
        raise ValueError(
            "the flow is anchored in the components of another autoencoder than the checkpoint's: train it on this one"
        )
    for name in (*STATISTICS, *OPTIONAL_STATISTICS):
        value = getattr(bundle, name)
        if value is not None:
            tensors[f"stats.{name}"] = value.detach().cpu().float().clone().contiguous()
    return tensors


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        save_file(tensors, str(temporary))


def _write_encoder(path: Path, bundle: Bundle) -> None:
    if bundle.encoder_path is not None:
        with atomic_path(path) as temporary:
            shutil.copyfile(bundle.encoder_path, temporary)
    elif bundle._encoder is not None:
        bundle._encoder.save(path)
        if Encoder.load(path).hash != bundle.config.encoder_hash:
            raise ValueError(
                f"the weights of encoder {bundle.config.encoder_name} change when they are stored as float16, so its "
                "hash would not fit the tokens: save the encoder, load it, and encode the data set with that one"
            )


def _read_tensors(folder: Path, name: str, files: Mapping[str, StoredFile]) -> dict[str, Tensor]:
    return read_tensors(_check_file(folder, name, files), AGAIN)[0]


def _check_file(folder: Path, name: str, files: Mapping[str, StoredFile]) -> Path:
    """Where the file is that has the size and the hash that the configuration says."""
    expected = files.get(name)
    path = staged(folder, name, None if expected is None else expected.sha256)
    if expected is None or not path.is_file():
        raise FileNotFoundError(f"the checkpoint lacks {path}: {AGAIN}")
    check_file_inside(path, folder)
    size = path.stat().st_size
    if size < expected.bytes:
        raise ValueError(f"{path} is cut off: {size} of {expected.bytes} bytes; {AGAIN}")
    found = sha256_file(path)
    if found != expected.sha256:
        raise ValueError(
            f"{path} has the SHA-256 {found[:12]}, {CONFIG} says {expected.sha256[:12]}: the file was changed or "
            f"damaged; {AGAIN}"
        )
    return path

"""Checkpoint folders: written whole, read with checks, found by path, built-in name or hub id.

    config.json           schema version, sizes, configurations, defaults, cards, hashes of the files below
    model.safetensors     tensors named autoencoder.*, flow.*, features.*, image_decoder.* and stats.*
    encoder.safetensors   the frame encoder; optional, needed only to encode real frames
    references/           the episodes that dreams start from and are rewarded against
    README.md             the card, for people

Nothing is unpickled.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rla_gym.bundle import Bundle, BundleConfig
from rla_gym.card import card_markdown
from rla_gym.checks import expanded
from rla_gym.data_range import RANGES
from rla_gym.disk import need_room
from rla_gym.files import atomic_path, read_json, sha256_file, write_json
from rla_gym.hub import download, is_hub_id
from rla_gym.models.autoencoder import RLAAutoencoder
from rla_gym.models.encoder import Encoder
from rla_gym.models.features import KeypointFeatures
from rla_gym.models.image_decoder import ImageDecoder
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.outputs import Output, output, staged
from rla_gym.references import FILE_NAME, References
from rla_gym.typed import build, check

SCHEMA = 1
CONFIG, MODEL, ENCODER, CARD = "config.json", "model.safetensors", "encoder.safetensors", "README.md"
REFERENCES = f"references/{FILE_NAME}"
FILES = (CONFIG, MODEL, ENCODER, REFERENCES, CARD)
BUILT_IN = Path(__file__).parent / "checkpoints"
DEFAULT_CHECKPOINT = "push-cube"
"""Built-in checkpoint of environments that are made without naming one."""
PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin")
STATISTICS = ("mean", "std", "proprio_mean", "proprio_std")
OPTIONAL_STATISTICS = ("pca_mean", "pca_components", "object_weights", *RANGES)


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
        BlockingIOError: another process writes there.
        OSError: the disk has no room, or the folder cannot be written to.
        ValueError: the encoder's weights would change by being stored, or the flow is anchored in another autoencoder.
    """
    folder = Path(folder)
    with checkpoint_output(folder) as out:
        tensors = _model_tensors(bundle, half)
        size = sum(tensor.nbytes for tensor in tensors.values()) + bundle.references.tokens.nbytes
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
            write_json(new / CONFIG, {"schema": SCHEMA, **asdict(bundle.config), "files": files})
    return folder


@contextmanager
def checkpoint_output(folder: str | Path) -> Iterator[Output]:
    """The folder of a checkpoint that is about to be written; errors as those of `save_checkpoint`."""
    folder = Path(folder)
    with output(folder, "export") as out:
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
    return _load(folder, status.st_mtime_ns, status.st_ino)


def built_in_names() -> tuple[str, ...]:
    """Names of the checkpoints that come with the package."""
    return tuple(sorted(path.parent.name for path in BUILT_IN.glob(f"*/{CONFIG}")))


def find_checkpoint(name_or_path: str | Path) -> Path:
    """Resolved folder of a path, a built-in name or a hub id, tried in this order; errors as `load_checkpoint`."""
    if not isinstance(name_or_path, str | Path):
        raise ValueError(f"ckpt={name_or_path!r}: expected a checkpoint's folder, built-in name or hub id, or a Bundle")
    text, path = str(name_or_path), expanded(name_or_path)
    if path.suffix in PICKLES:
        raise ValueError(
            f"{path} is a pickle, and pickles can run any code when loaded, so none is: give a checkpoint folder "
            f"holding {CONFIG} and {MODEL}; `rla-gym export` writes one from training runs"
        )
    # A folder that only happens to have the name, such as a data set's, does not hide a built-in checkpoint.
    if path.is_dir() and ((path / CONFIG).is_file() or text not in built_in_names()):
        if not (path / CONFIG).is_file():
            raise FileNotFoundError(f"{path} is no checkpoint: it holds no {CONFIG}")
        return path.resolve()
    if path.is_file():
        raise ValueError(f"{path} is a file; give the checkpoint folder, which holds {CONFIG} and {MODEL}")
    if text in built_in_names():
        return (BUILT_IN / text).resolve()
    built_in = f"the built-in ones are {', '.join(built_in_names()) or 'none'}"
    if is_hub_id(text):
        return _from_hub(text, built_in)
    raise FileNotFoundError(
        f"no checkpoint {text!r}: no such folder, and {built_in}; "
        "a checkpoint on the Hugging Face hub is written owner/name@revision"
    )


def _from_hub(text: str, built_in: str) -> Path:
    folder = download(text, FILES, built_in)
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"the hub repository {text!r} holds no {CONFIG}: it is no rla_gym checkpoint")
    return folder


@lru_cache(maxsize=4)
def _load(folder: Path, modified: int, inode: int) -> Bundle:
    """Read a checkpoint; `modified` and `inode` of its configuration are there to tell versions apart."""
    raw = read_json(folder / CONFIG)
    schema = raw.pop("schema", None) if isinstance(raw, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool):
        raise ValueError(f"{folder / CONFIG} has no schema version: it is no rla_gym checkpoint")
    if schema > SCHEMA:
        raise ValueError(f"{folder} has schema {schema}, this version of rla_gym reads up to {SCHEMA}: upgrade rla_gym")
    files: dict[str, StoredFile] = check(
        Mapping[str, StoredFile], raw.pop("files", None), folder / CONFIG, "export or fetch it again", "files"
    )
    config = config_from_dict(raw, folder)
    tensors = _read_tensors(_find(folder, MODEL, files), files.get(MODEL))
    if config.flow.anchor and "autoencoder.components" in tensors:
        tensors["flow.components"] = tensors["autoencoder.components"]
    place = _find(folder, REFERENCES, files)
    references = References.from_tensors(_read_tensors(place, files.get(REFERENCES)), place)
    models: dict[str, Any] = {
        "autoencoder": RLAAutoencoder(config.autoencoder),
        "flow": FlowWorldModel(config.flow),
        "features": KeypointFeatures(config.features),
        "image_decoder": config.image_decoder and ImageDecoder(config.image_decoder),
    }
    for name, model in models.items():
        if model is not None:
            _fill(model, name, tensors, folder)
    statistics: dict[str, Any] = {}
    for name in STATISTICS:
        if f"stats.{name}" not in tensors:
            raise KeyError(f"{folder / MODEL} lacks the tensor 'stats.{name}': export or fetch the checkpoint again")
        statistics[name] = tensors[f"stats.{name}"].float()
    statistics |= {name: tensors.get(f"stats.{name}") for name in OPTIONAL_STATISTICS}
    encoder_path = None
    if ENCODER in files:
        encoder_path = _find(folder, ENCODER, files)
        _check_file(encoder_path, files[ENCODER])
    return Bundle(config=config, references=references, encoder_path=encoder_path, path=folder, **models, **statistics)


def config_from_dict(raw: Mapping[str, Any], place: Path) -> BundleConfig:
    """The configuration of what `json` gave; a ValueError names what is unknown, missing or of another type."""
    config: BundleConfig = build(BundleConfig, raw, place / CONFIG, "export or fetch the checkpoint again")
    return config


def _fill(model: nn.Module, name: str, tensors: Mapping[str, Tensor], folder: Path) -> None:
    wanted = model.state_dict()
    for key, value in wanted.items():
        full = f"{name}.{key}"
        if full not in tensors:
            raise KeyError(f"{folder / MODEL} lacks the tensor {full!r}: export or fetch the checkpoint again")
        if tensors[full].shape != value.shape:
            raise ValueError(
                f"{folder / MODEL}: {full!r} has shape {tuple(tensors[full].shape)}, the configuration asks for "
                f"{tuple(value.shape)}: model and configuration are of different exports"
            )
    model.load_state_dict({key: tensors[f"{name}.{key}"].to(value.dtype) for key, value in wanted.items()})


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


def _read_tensors(path: Path, expected: StoredFile | None) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _check_file(path, expected)
    try:
        return load_file(str(path))
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file ({error}): fetch or export it again") from error


def _find(folder: Path, name: str, files: Mapping[str, StoredFile]) -> Path:
    return staged(folder, name, files[name].sha256 if name in files else None)


def _check_file(path: Path, expected: StoredFile | None) -> None:
    if expected is None or not path.is_file():
        raise FileNotFoundError(f"the checkpoint lacks {path}: fetch or export it again")
    size = path.stat().st_size
    if size < expected.bytes:
        raise ValueError(f"{path} is cut off: {size} of {expected.bytes} bytes; fetch or export it again")
    found = sha256_file(path)
    if found != expected.sha256:
        raise ValueError(
            f"{path} has the SHA-256 {found[:12]}, {CONFIG} says {expected.sha256[:12]}: the file was changed or "
            "damaged; fetch or export the checkpoint again"
        )

"""Where a checkpoint is: its files, and its folder by path, built-in name or hub id."""

from __future__ import annotations

from pathlib import Path

from rla_gym.checkpoint.hub import download, is_hub_id
from rla_gym.checkpoint.references import FILE_NAME
from rla_gym.utils.checks import expanded

CONFIG, MODEL, ENCODER, CARD = "config.json", "model.safetensors", "encoder.safetensors", "README.md"
REFERENCES = f"references/{FILE_NAME}"
FILES = (CONFIG, MODEL, ENCODER, REFERENCES, CARD)
BUILT_IN = Path(__file__).parents[1] / "checkpoints"
DEFAULT_CHECKPOINT = "push-cube"
"""Built-in checkpoint of environments that are made without naming one."""
PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin")


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

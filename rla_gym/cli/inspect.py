"""`rla-gym inspect`: print the card of whatever lies at a path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class Inspect:
    """Print the card of a checkpoint, data set, token store, training run or encoder file."""

    path: tyro.conf.Positional[str]
    """Its path, or the name of a checkpoint."""
    verify: bool = False
    """Of a data set: also decode every frame and compare with the recorded hash."""

    def run(self) -> None:
        """Print the card."""
        print(card_of(self.path, self.verify))


def card_of(text: str, verify: bool = False) -> str:
    """The card of what lies at the path, or is the checkpoint called, `text`.

    Raises:
        FileNotFoundError: nothing of that name.
        ValueError: something that is damaged or that rla_gym does not know.
    """
    path = Path(text)
    if path.is_dir():
        for marker, card in (
            ("config.json", _checkpoint),
            ("index.json", _token_store),
            ("latest.json", _training_run),
        ):
            if (path / marker).is_file():
                return card(text)
        if (path / "episodes.hdf5").is_file():
            return _dataset(path, verify)
        runs = sorted(place.parent for place in path.glob("*/latest.json"))
        if runs:
            return "\n\n".join([*(_training_run(str(run)) for run in runs), *_missing(path)])
        raise FileNotFoundError(
            f"{path} holds no checkpoint (config.json), data set (episodes.hdf5), token store (index.json) or training "
            "run (latest.json)"
        )
    if path.suffix in (".hdf5", ".h5"):
        return _dataset(path, verify)
    if path.is_file() and path.suffix == ".safetensors":
        return _encoder(path)
    return _checkpoint(text)


def _checkpoint(text: str) -> str:
    from rla_gym.checkpoint.card import card_markdown
    from rla_gym.checkpoint.store import load_checkpoint
    from rla_gym.checkpoint.verdicts import checkpoint_warnings

    bundle = load_checkpoint(text)
    models = {name: getattr(bundle, name) for name in ("autoencoder", "flow", "features", "image_decoder")}
    parameters = ", ".join(
        f"{name} {sum(weight.numel() for weight in model.parameters()) / 1e6:.2f} M"
        for name, model in models.items()
        if model is not None
    )
    warnings = "".join(f"\nWarning: {text}." for text in checkpoint_warnings(bundle.config))
    return f"{card_markdown(bundle)}\nParameters: {parameters}\nFolder: {bundle.path}; all hashes fit.{warnings}"


def _dataset(path: Path, verify: bool) -> str:
    from rla_gym.data.card import card_markdown, read_card
    from rla_gym.data.episodes import EpisodeDataset

    with EpisodeDataset(path) as dataset:
        card = read_card(dataset.path.parent)
        lines = [card_markdown(card)] if card and card.get("hash") == dataset.hash else []
        lines.append(f"{dataset!r}")
        lines.append(f"lengths {dataset.lengths.min()} to {dataset.lengths.max()} frames, hash {dataset.hash}")
        if verify:
            dataset.verify()
            lines.append("every frame decoded; the hash fits")
        return "\n".join(lines)


def _token_store(text: str) -> str:
    from rla_gym.data.store import PARTS, TokenStore

    store = TokenStore.open(text)
    info = store.info
    parts = ", ".join(f"{len(store.split(part))} {part}" for part in PARTS)
    pca = "no PCA"
    if info["pca"]:
        pca = f"PCA to {info['pca']['components']} channels, {info['pca']['explained']:.3f} of the variance kept"
    if info.get("like"):
        pca += "; channel map and statistics are those of another store"
    return "\n".join(
        [
            f"# Tokens of {info['task']}",
            "",
            f"{len(store)} frames of {len(store.lengths)} episodes ({parts}), tokens {store.tokens.shape} float16, "
            f"{store.tokens.nbytes / 1e6:.1f} MB, grid {store.grid[0]}x{store.grid[1]}, {pca}.",
            f"Encoder: {info['encoder']['name']}, hash {info['encoder']['hash']}.",
            f"Data set hash: {info['dataset']}.",
        ]
    )


def _training_run(text: str) -> str:
    from rla_gym.checkpoint.verdicts import metric_lines, metric_warnings
    from rla_gym.training.run import TrainedRun

    run = TrainedRun.read(text)
    warnings = metric_warnings({run.folder.name: run.metrics})
    left = [] if run.finished else ["", f"Unfinished: {run.lacks()}."]
    sizes = ", ".join(
        f"{name} {sum(tensor.numel() for tensor in tensors.values()) / 1e6:.2f} M numbers"
        for name, tensors in run.weights.items()
    )
    return "\n".join(
        [
            f"# Training run {run.folder}",
            "",
            f"Step {run.step} of {run.steps}; {sizes}.",
            *left,
            "",
            *metric_lines(run.metrics),
            *(f"\nWarning: {text}." for text in warnings),
        ]
    )


def _missing(run: Path) -> list[str]:
    """What a folder of trainings lacks of those that a world model needs."""
    from rla_gym.training.run import NEEDED

    missing = [kind for kind in NEEDED if not (run / kind / "latest.json").is_file()]
    if not missing:
        return []
    return [f"Unfinished: {' and '.join(missing)} not trained yet: the command that began the run resumes it."]


def _encoder(path: Path) -> str:
    from rla_gym.models.encoder import Encoder

    encoder = Encoder.load(path)
    height, width = encoder.config.frame_size
    rows, columns = encoder.grid(height, width)
    return "\n".join(
        [
            f"# Encoder {encoder.name}",
            "",
            f"{encoder.config.description or 'no description'}.",
            f"Frames of {height}x{width}, {rows}x{columns} tokens of {encoder.channels} channels, "
            f"{sum(weight.numel() for weight in encoder.parameters()) / 1e6:.2f} M parameters, "
            f"{path.stat().st_size / 1e6:.1f} MB.",
            f"Hash: {encoder.hash}.",
        ]
    )

"""A checkpoint out of a training run: averaged weights, statistics, reference episodes, thresholds and cards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rla_gym.checkpoint.bundle import Bundle, BundleConfig, RewardDefaults
from rla_gym.checkpoint.data_range import store_range
from rla_gym.checkpoint.references import References
from rla_gym.checkpoint.store import checkpoint_output, save_checkpoint
from rla_gym.data.card import read_card
from rla_gym.data.episodes import UNSKILLED, EpisodeDataset
from rla_gym.data.spec import checked_spec
from rla_gym.data.tokens import TokenStore
from rla_gym.export.object_weights import object_weights
from rla_gym.export.thresholds import calibrate
from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig
from rla_gym.models.encoder import Encoder
from rla_gym.models.features import FeaturesConfig, KeypointFeatures
from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.image_decoder import ImageDecoder, ImageDecoderConfig
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.training.batches import proprio_statistics, weights_hash
from rla_gym.training.run import TrainedRun, check_complete
from rla_gym.utils.provenance import commit, versions

MODELS: dict[str, tuple[Any, Any]] = {
    "autoencoder": (RLAConfig, RLAAutoencoder),
    "decoder": (RLAConfig, RLAAutoencoder),
    "features": (FeaturesConfig, KeypointFeatures),
    "flow": (FlowConfig, FlowWorldModel),
    "image_decoder": (ImageDecoderConfig, ImageDecoder),
}
MODULES = {"decoder": "autoencoder"}
"""Names of the trained modules where they are not those of the runs."""
OPTIONAL = ("decoder", "image_decoder")


def export(
    run: str | Path,
    tokens: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    encoder_file: str | Path | None = None,
    references: int = 96,
    held_out_references: int = 12,
    sources: Sequence[str] | None = None,
    unsuccessful: bool = False,
    reward: RewardDefaults | None = None,
    steps: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    unfinished: bool = False,
) -> Path:
    """Write the checkpoint folder `out` from the trainings in `run`, and return it.

    Args:
        run: folder with the runs `autoencoder`, `features`, `flow` and, if wanted, `image_decoder` and `decoder`: the
            autoencoder trained on with its encoder frozen, which then takes its place.
        tokens, data: the token store and the data set that the flow was trained on; the others may have been trained on
            the store that this one was encoded like.
        name: of the checkpoint; None: that of the folder `out`.
        encoder_file: the encoder that made the tokens; None: `encoder.safetensors` in the store.
        references: episodes of the training part that dreams may start from; fewer where there are fewer.
        held_out_references: the same of the validation part, and of the test part; never trained on.
        sources: demonstrators whose episodes may become references; None: all that are there but `UNSKILLED`, or those
            where there are no others.
        unsuccessful: whether episodes may that did not reach success, for tasks that have no rule for it; always of
            `UNSKILLED` demonstrators, where there are no others and none succeeded. Beside successful ones they are
            dreamed from with `successful_references=False` only.
        reward, steps, temperature: the checkpoint's defaults; None: those of `RewardDefaults`.
        seed: of the choice of references and of the episodes that thresholds are calibrated on.
        unfinished: take trainings that were stopped before their last step as they are.

    Raises:
        FileNotFoundError: a run, the encoder or the store is missing.
        ValueError: an unfinished training, parts that were not made from one another, or no episode to refer to.
    """
    run = Path(run)
    if run.is_dir():
        check_complete(run, unfinished)
    with checkpoint_output(out):  # before the minutes that the thresholds take
        with EpisodeDataset(data) as dataset:
            store = TokenStore.open(tokens, dataset)
            checked_spec(store.info["spec"], f"the spec of {store.path}")
            chosen, unsuccessful = reference_sources(store, sources, unsuccessful)
            episodes = choose_references(store, references, held_out_references, chosen, seed, unsuccessful)
            encoder_path = Path(store.path / "encoder.safetensors" if encoder_file is None else encoder_file)
            encoder = Encoder.load(encoder_path)
            TokenStore.open(tokens, encoder=encoder)  # refuses an encoder that did not make these tokens
            trained = {
                kind: TrainedRun.read(run / kind) for kind in MODELS if kind not in OPTIONAL or (run / kind).is_dir()
            }
            for part in () if unfinished else trained.values():
                part.complete()
            models = {kind: build_model(kind, part) for kind, part in trained.items()}
            check_parts(trained, models, store)
            following = object_weights(store, models["features"], seed=seed)
            calibration = calibrate(store, dataset, models["features"], seed=seed, object_weights=following.weights)
        autoencoder = models.get("decoder", models["autoencoder"])
        spec, chunk = store.info["spec"], trained["flow"].entry("options.chunk", int)
        config = BundleConfig(
            name=name or Path(out).resolve().name,
            task=store.info["task"],
            encoder_name=encoder.name,
            encoder_hash=encoder.hash,
            grid=store.grid,
            frame_size=(int(spec["frame_size"][0]), int(spec["frame_size"][1])),
            chunk=chunk,
            action_low=tuple(spec["action_low"]),
            action_high=tuple(spec["action_high"]),
            max_episode_steps=math.ceil(spec["max_steps"] / chunk),
            autoencoder=autoencoder.config,
            flow=models["flow"].config,
            features=models["features"].config,
            image_decoder=models["image_decoder"].config if "image_decoder" in models else None,
            reward=reward or RewardDefaults(),
            thresholds=calibration.thresholds,
            steps=steps,
            temperature=temperature,
            control_hz=float(spec["control_hz"]),
            object_names=tuple(spec["object_names"]),
            task_options=spec.get("options", {}),
            data_card=data_card(store, Path(data), encoder),
            training_card={
                **{kind: training_card(part) for kind, part in trained.items()},
                "thresholds": calibration.card,
                "object_weights": following.card,
                "references": {
                    "sources": chosen,
                    "unsuccessful": unsuccessful,
                    "seed": seed,
                    "episodes": [int(e) for e in episodes],
                },
                "commit": commit(),
                "versions": versions(),
            },
            metrics={kind: part.metrics for kind, part in trained.items()},
        )
        pca = store.pca
        proprio_mean, proprio_std = proprio_statistics(store)
        bundle = Bundle(
            config=config,
            autoencoder=autoencoder,
            flow=models["flow"],
            features=models["features"],
            image_decoder=models.get("image_decoder"),
            object_weights=following.weights,
            mean=torch.from_numpy(store.mean),
            std=torch.from_numpy(store.std),
            proprio_mean=proprio_mean,
            proprio_std=proprio_std,
            **store_range(store),
            references=References.from_store(store, episodes).rounded(),
            pca_mean=None if pca is None else torch.from_numpy(pca.mean),
            pca_components=None if pca is None else torch.from_numpy(pca.components),
            encoder_path=encoder_path,
        )
        return save_checkpoint(out, bundle)


def build_model(kind: str, trained: TrainedRun) -> Any:
    """The model of a run with its averaged weights, in evaluation mode."""
    config, model_class = MODELS[kind]
    sizes = trained.config(config)
    model = trained.build(MODULES.get(kind, kind), lambda: model_class(sizes))
    return model.eval().requires_grad_(False)


def skilled_sources(store: TokenStore) -> list[str]:
    """The demonstrators of a store but `UNSKILLED`."""
    return sorted(set(store.sources) - set(UNSKILLED))


def reference_sources(store: TokenStore, sources: Sequence[str] | None, unsuccessful: bool) -> tuple[list[str], bool]:
    """The demonstrators that references may be of, and whether they need no success: see `export`.

    Recordings of unskilled demonstrators alone, as of a task that has no other, need none where none succeeded: any
    recorded episode is a video to follow. The training card's `references` has what was chosen.
    """
    chosen = skilled_sources(store) if sources is None else list(sources)
    if not chosen:
        chosen = sorted(set(store.sources))
    train = store.split("train")
    succeeded = store.successes[train] & np.isin(np.asarray(store.sources)[train], chosen)
    return chosen, unsuccessful or (set(chosen) <= set(UNSKILLED) and not succeeded.any())


def choose_references(
    store: TokenStore,
    count: int,
    held_out: int,
    sources: Sequence[str] | None = None,
    seed: int = 0,
    unsuccessful: bool = False,
) -> np.ndarray:
    """Episodes (n,) int64 in rising order: those of `sources`, by default `skilled_sources`, drawn by `seed`.

    Up to `count` of the training part and up to `held_out` each of validation and test.

    Args:
        unsuccessful: whether episodes are taken that did not reach success.

    Raises:
        ValueError: no such training episode, or numbers that cannot be.
    """
    if count < 1 or held_out < 0:
        raise ValueError(f"references={count}, held_out_references={held_out}: expected at least 1 and 0")
    sources = skilled_sources(store) if sources is None else sources
    chosen: list[np.ndarray] = []
    for index, (part, wanted) in enumerate((("train", count), ("validation", held_out), ("test", held_out))):
        episodes = store.split(part)
        fits = np.isin(np.asarray(store.sources)[episodes], list(sources)) & (unsuccessful | store.successes[episodes])
        episodes = np.random.default_rng([seed, 7, index]).permutation(episodes[fits])
        chosen.append(episodes[:wanted])
    if not len(chosen[0]):
        what = "training episode" if unsuccessful else "successful training episode"
        raise ValueError(
            f"{store.path} has no {what} of {', '.join(sources) or 'a skilled demonstrator'} to refer to (it has "
            f"{', '.join(sorted(set(store.sources)))}, {int(store.successes.sum())} successful in all): "
            + _one_flag(store, sources, unsuccessful)
        )
    return np.sort(np.concatenate(chosen))


def _one_flag(store: TokenStore, sources: Sequence[str], unsuccessful: bool) -> str:
    """What to do where no episode may be referred to: the one flag that is enough, where there is one."""
    training = np.asarray(store.sources)[store.split("train")]
    if not unsuccessful and np.isin(training, list(sources)).any():
        return "take those without success with --unsuccessful, or record some that succeed"
    others = sorted(set(training) - set(sources))
    if others:
        return f"take those of other demonstrators with --sources {' '.join(others)}, or record some"
    return "record more episodes"


def check_parts(trained: dict[str, TrainedRun], models: dict[str, Any], store: TokenStore) -> None:
    """Raise the ValueError of runs that belong to other data, or of a flow on another autoencoder."""
    for kind, part in trained.items():
        part.check_data(store, like=kind != "flow")  # its proprioception is standardised by its own store's statistics
    wanted, present = trained["flow"].entry("autoencoder.weights", str), weights_hash(models["autoencoder"])
    if wanted != present and not _continues(trained["autoencoder"], wanted):
        raise ValueError(
            f"the flow in {trained['flow'].folder} was trained on an autoencoder with weights {wanted[:12]}, the one "
            f"in {trained['autoencoder'].folder} has {present[:12]}: train the flow again"
        )
    if "decoder" in trained and not _continues(trained["decoder"], wanted):
        raise ValueError(
            f"the decoder in {trained['decoder'].folder} does not continue the autoencoder that the flow was trained "
            f"on ({wanted[:12]}), or its encoder was not frozen: train the decoder again, or remove that folder"
        )


def _continues(trained: TrainedRun, weights: str) -> bool:
    """Whether an autoencoder went on from `weights` with its encoder frozen: its latents are then the same."""
    return bool(trained.trainable.get("freeze_encoder")) and trained.trainable.get("start") == weights


def training_card(trained: TrainedRun) -> dict[str, Any]:
    """How one network was trained."""
    description = {key: value for key, value in trained.trainable.items() if key not in ("model", "data")}
    return {
        "steps_done": trained.step,
        "processes": trained.processes,
        "dataset": trained.entry("data.dataset", str),
        "loop": trained.loop,
        **description,
    }


def data_card(store: TokenStore, data: Path, encoder: Encoder) -> dict[str, Any]:
    """What the tokens were made from: the data set's own card where there is one, the encoder and the channel map."""
    folder = data if data.is_dir() else data.parent
    own = read_card(folder) or {}
    if own.get("hash") != store.info["dataset"]:  # none, or that of another data set in the same folder
        own = {"episodes": len(store.lengths), "frames": len(store)}
    return {
        **own,
        "hash": store.info["dataset"],
        "split": {part: len(store.split(part)) for part in ("train", "validation", "test")},
        "encoder": {**store.info["encoder"], "description": encoder.config.description},
        "pca": store.info["pca"],
    }

"""The whole measurement of one task."""

from __future__ import annotations

import time
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fidelity.handles import file_of
from benchmarks.fidelity.pictures import write_index
from benchmarks.fidelity.probe import Reader
from benchmarks.fidelity.results import write_compressed, write_tables
from benchmarks.properties.compression import Compressor, ResidualPCA, autoencoded, simple_compressors
from benchmarks.properties.options import Args, smoked
from benchmarks.properties.pictures import write_ways
from benchmarks.properties.progression import Latents, progression, summarized
from benchmarks.properties.reconstruction import Errors, Pairs, compared, draw_pairs, everything, nothing, pair_errors
from benchmarks.properties.sweep import KINDS, trained
from benchmarks.record import run_record
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.reference_data import check_coordinates
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.data import TokenStore
from rla_gym.models.autoencoder import RLAAutoencoder
from rla_gym.utils.threads import use_threads

RESULTS = Path(__file__).resolve().parents[1] / "results" / "properties"
Models = dict[tuple[str, str], list[RLAAutoencoder]]
"""One a seed, by kind and by size in words."""


def main(args: Args) -> dict[str, Any]:
    """Train what is not there, measure, write and print.

    Raises:
        ValueError: stores, checkpoint or budgets that do not fit each other.
    """
    use_threads(args.threads)
    began = time.perf_counter()
    args = smoked(args) if args.smoke else args
    store = TokenStore.open(args.tokens)
    splits = {"held out": drawn(args, store, held_out(store))}
    if args.ood_tokens is not None:
        other = same_tokens(store, TokenStore.open(args.ood_tokens))
        splits["out of distribution"] = drawn(args, other, np.arange(len(other.lengths)))
    bundle = None if args.ckpt is None else load_checkpoint(args.ckpt)
    if bundle is not None:
        check_coordinates(store, bundle)
    reader = Reader.train(store, args.probe_steps, args.seed)
    models, budgets = autoencoders(args, store, bundle)
    methods = {way: [autoencoded(model) for model in found] for way, found in models.items()}
    pca = ResidualPCA.fit(store, args.pca_pairs, max(args.horizons), max(args.sizes), args.seed)
    for size in args.sizes:
        for name, compress in simple_compressors(pca, size, store.tokens.shape[2]).items():
            methods[name, str(size)] = [compress]
    found, raw = {}, {}
    for split, pairs in splits.items():
        here = reader if alike(store, next(iter(pairs.values())).store) else None
        found[split], raw[split] = reconstruction(args, methods, pairs, here)
    ways, strips = follow(args, store, models, bundle)
    result = {
        **run_record(),
        "task": store.info["task"],
        "settings": asdict(args),
        "seeds": {"trainings": list(args.seeds), "pairs, noise, probe and resamples": args.seed},
        "minutes": (time.perf_counter() - began) / 60,
        "stores": {split: next(iter(pairs.values())).store.info["dataset"] for split, pairs in splits.items()},
        "trainings": budgets,
        "thing": reader.thing,
        "reconstruction": found,
        "progression": ways,
    }
    out = args.out or RESULTS / file_of(store.info["task"])
    write_tables(out, result)
    write_compressed(out.with_suffix(".raw.json.gz"), raw)
    if strips:
        write_index(strip_folder(args), strips)
    print(f"{len(methods)} ways of compression, {result['minutes']:.1f} minutes: {out}")
    return result


def held_out(store: TokenStore) -> np.ndarray:
    """Test episodes; those of training where a toy store has none."""
    test = store.split("test")
    return test if len(test) else store.split("train")


def same_tokens(store: TokenStore, other: TokenStore) -> TokenStore:
    """`other`; a ValueError unless its tokens have the same coordinates as those of `store`."""
    if store.coordinates != other.coordinates:
        raise ValueError(
            f"the tokens of {other.path} have other channels or statistics than those of {store.path}: encode them "
            f"with `rla-gym encode --like {store.path}`"
        )
    return other


def alike(store: TokenStore, other: TokenStore) -> bool:
    """Whether a probe that was trained on `store` reads the things of `other`."""
    names = ("object_names", "proprio_names")
    return all(store.info["spec"].get(name) == other.info["spec"].get(name) for name in names)


def drawn(args: Args, store: TokenStore, episodes: np.ndarray) -> dict[int, Pairs]:
    """Pairs of frames by horizon."""
    return draw_pairs(store, episodes, args.horizons, args.count, args.seed)


def autoencoders(args: Args, store: TokenStore, bundle: Bundle | None) -> tuple[Models, dict[str, Any]]:
    """Of each kind and size, and what was spent on them; and that of the checkpoint."""
    models: Models = {}
    budgets: dict[str, Any] = {kind: {} for kind in KINDS}
    for kind, size in product(KINDS, args.sizes):
        done = [trained(args, store, kind, size, seed) for seed in args.seeds]
        models[kind, str(size)] = [model for model, _ in done]
        budgets[kind][str(size)] = [budget for _, budget in done]
    if bundle is not None:
        config = bundle.autoencoder.config
        numbers = config.latent_tokens * config.latent_channels
        models[KINDS[config.encoder_blocks == 0], f"{numbers}, checkpoint {bundle.config.name}"] = [bundle.autoencoder]
    return models, budgets


def reconstruction(
    args: Args, methods: dict[tuple[str, str], list[Compressor]], pairs: dict[int, Pairs], reader: Reader | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """By method, size and horizon what `compared` gives, bounds ("nothing", "everything") included; and raw numbers."""
    result: dict[str, Any] = {}
    raw: dict[str, Any] = {"rows": {str(horizon): each.rows.tolist() for horizon, each in pairs.items()}}
    bounds: dict[tuple[str, str], list[Compressor]] = {("nothing", "0"): [nothing], ("everything", "all"): [everything]}
    for horizon, each in pairs.items():
        still = pair_errors(nothing, each, reader)
        for (name, size), compressors in {**bounds, **methods}.items():
            found: list[Errors] = [pair_errors(compress, each, reader) for compress in compressors]
            place = result.setdefault(name, {}).setdefault(size, {})
            place[str(horizon)] = compared(found, still, each, args.draws, args.seed)
            kept = raw.setdefault(name, {}).setdefault(size, {})
            kept[str(horizon)] = [errors["moving_l1"].tolist() for errors in found]
        print(f"{horizon} control steps: measured", flush=True)
    return result, raw


def follow(
    args: Args, store: TokenStore, models: Models, bundle: Bundle | None
) -> tuple[dict[str, Any], list[dict[str, object]]]:
    """By kind, size and horizon what `summarized` gives, of the first seed; and strips, of the checkpoint's."""
    pairs = draw_pairs(store, held_out(store), args.progression, args.followed, args.seed)
    ways: dict[str, Any] = {kind: {} for kind in KINDS}
    strips: list[dict[str, object]] = []
    for (kind, size), found in models.items():
        latents = Latents.of(found[0], store, max(args.horizons), args.seed)
        for horizon, each in pairs.items():
            measured = progression(latents, each, args.times, args.noises)
            ways[kind].setdefault(size, {})[str(horizon)] = summarized(measured, each, args.draws, args.seed)
            if bundle is not None and found[0] is bundle.autoencoder and bundle.image_decoder is not None:
                strips += write_ways(strip_folder(args), latents, each, bundle, args.pictures)
    return ways, strips


def strip_folder(args: Args) -> Path:
    """Where pictures go."""
    return args.strips or args.runs / "strips"

"""Properties at toy size: baselines that are exact where they can be, and a way through time that is known."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from benchmarks.properties.compression import ResidualPCA, largest_entries, largest_patches
from benchmarks.properties.options import Args
from benchmarks.properties.progression import WAYS, Latents, _measures, between, nearest, progression
from benchmarks.properties.reconstruction import compared, draw_pairs, everything, nothing, pair_errors
from benchmarks.properties.run import main
from benchmarks.properties.sweep import KINDS, LATENTS, autoencoder_config
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data import TokenStore
from rla_gym.utils.files import read_json


def test_simple_ways_keep_as_many_numbers_as_they_say(encoded: TokenStore) -> None:
    tokens, later = encoded.normalized(np.arange(4)), encoded.normalized(np.arange(4) + 12)
    total = tokens[0].numel()
    for compress, kept in ((largest_entries(20), 20), (largest_patches(36, 12), 36)):
        assert compress is not None
        assert ((compress(tokens, later) != tokens).flatten(1).sum(dim=1) <= kept).all()
    assert torch.allclose(largest_entries(total)(tokens, later), later, atol=1e-6)
    assert largest_patches(11, 12) is None
    error = [float((largest_entries(n)(tokens, later) - later).square().sum()) for n in (10, 100, 400)]
    assert error[0] > error[1] > error[2]


@pytest.mark.parametrize("pairs", [40, 900])  # fewer and more than L * C = 768: the two ways to the same components
def test_principal_components_are_the_best_linear_ones(encoded: TokenStore, pairs: int) -> None:
    pca = ResidualPCA.fit(encoded, pairs, 8, 2048, seed=0)
    size = len(pca.components)
    assert size < min(pairs, 769)
    assert torch.allclose(pca.components @ pca.components.T, torch.eye(size), atol=1e-3)
    rows = np.arange(0, 60, 5)
    tokens, later = encoded.normalized(rows), encoded.normalized(rows + 4)
    assert pca.compressor(size + 1) is None
    errors = []
    for numbers in (1, 8, size):
        compress = pca.compressor(numbers)
        assert compress is not None
        errors.append(float((compress(tokens, later) - later).square().sum()))
    assert errors[0] > errors[1] > errors[2]


def test_errors_are_relative_to_persistence(encoded: TokenStore) -> None:
    pairs = draw_pairs(encoded, encoded.split("train"), (4, 1000), 10, seed=0)
    assert list(pairs) == [4]  # no episode is that long
    still, exact = (pair_errors(compress, pairs[4], None) for compress in (nothing, everything))
    assert compared([still], still, pairs[4], 50, 0)["tokens_square"][0] == pytest.approx(1)  # type: ignore[index]
    assert compared([exact], still, pairs[4], 50, 0)["moving_l1"][0] == pytest.approx(0)  # type: ignore[index]


def test_the_nearest_frame_and_what_follows_from_it() -> None:
    real = torch.arange(5.0).view(1, 5, 1, 1).expand(1, 5, 2, 1)
    moving = torch.tensor([[True, False]])
    found = torch.tensor([0.1, 1.2, 1.9, 3.3, 3.8]).view(1, 5, 1, 1).repeat(1, 1, 2, 1)
    found[:, :, 1] = 99  # does not move, does not count
    places, distances = nearest(found, real, moving)
    assert places.tolist() == [[0, 1, 2, 3, 4]] and distances[0, 1] == pytest.approx(0.2, abs=1e-6)
    taus = np.linspace(0, 1, 5)
    even = _measures(places, distances, np.array([4.0]), taus, 4)
    assert even["correlation"] == pytest.approx(1) and even["off"] == pytest.approx(0) and even["between"] == 1
    assert even["distance"] == pytest.approx((0.2 + 0.1 + 0.3) / 3 / 4, abs=1e-6)
    jump = _measures(np.array([[0, 0, 0, 4, 4]]), distances, np.array([4.0]), taus, 4)
    assert jump["between"] == 0 and jump["off"] == pytest.approx(0.2) and 0 < jump["correlation"][0] < 1


def test_ways_begin_and_end_where_they_must(bundle: Bundle, encoded: TokenStore) -> None:
    latents = Latents.of(bundle.autoencoder, encoded, 8, seed=0)
    pairs = draw_pairs(encoded, encoded.split("train"), (6,), 6, seed=0)[6]
    _, tokens, later = pairs.blocks()[0]
    z = bundle.autoencoder.encode(later - tokens)
    for way, last in (("noise", bundle.autoencoder.decode(z, tokens)), ("tokens", later)):
        made = between(latents, way, tokens, later, np.linspace(0, 1, 3), np.arange(6), 0)
        assert made.shape[:2] == (6, 3) and torch.allclose(made[:, -1], last, atol=1e-4)
    found = progression(latents, pairs, times=5, noises=2)
    assert set(found) == set(WAYS)
    valid = np.isfinite(found["tokens"]["correlation"])
    assert valid.any() and (found["tokens"]["correlation"][valid] > 0.5).all()  # a straight line never turns back
    again = progression(latents, pairs, times=5, noises=2)
    np.testing.assert_array_equal(found["noise"]["distance"], again["noise"]["distance"])
    assert (found["noise"]["distance"] != found["mean"]["distance"])[valid].any()


def test_sizes_are_what_they_say(encoded: TokenStore) -> None:
    for numbers, kind in product(LATENTS, KINDS):
        config = autoencoder_config(encoded, numbers, kind)
        assert config.latent_tokens * config.latent_channels == numbers
        assert config.linear_path == (kind == "rla-linear")
    with pytest.raises(ValueError, match="no latent of 17 numbers; there are 16, 32"):
        autoencoder_config(encoded, 17)


@pytest.fixture(scope="module")
def result(encoded: TokenStore, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("properties")
    return main(
        Args(
            tokens=encoded.path,
            ood_tokens=encoded.path,
            ckpt=str(checkpoint),
            runs=out / "runs",
            out=out / "p.json",
            strips=out / "strips",
            smoke=True,
        )
    )


def test_the_whole_measurement(result: dict[str, Any]) -> None:
    written = read_json(result["settings"]["out"])
    for split in ("held out", "out of distribution"):
        found = written["reconstruction"][split]
        assert set(found) == {"nothing", "everything", "rla", "rla-linear", "linear", "entries", "patches"}
        assert set(found["rla"]) == {"16", "64", "32, checkpoint small"}
        assert set(found["rla-linear"]) == {"16", "64"}
        assert set(found["rla"]["16"]) == {"1", "4"}
        assert found["entries"]["64"]["4"]["tokens_square"][0] < found["entries"]["16"]["4"]["tokens_square"][0] < 1
        assert found["everything"]["all"]["1"]["cube_mm"][0] > 0  # the probe's own error
    ways = written["progression"]["rla"]["32, checkpoint small"]["6"]
    assert set(ways["means"]) == set(WAYS) and set(ways["differences"]) == {"noise", "mean"}
    strips = read_json(Path(result["settings"]["strips"]) / "strips.json")["strips"]
    assert len(strips) == 4
    for strip in strips:
        assert iio.imread(Path(result["settings"]["strips"]) / strip["file"]).shape == (112, 7 * 112, 3)

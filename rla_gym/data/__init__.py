"""Recorded episodes: storing, encoding to tokens once, and sampling from them."""

from __future__ import annotations

from rla_gym.data.episodes import UNSKILLED, Episode, EpisodeDataset
from rla_gym.data.formats.robomimic import accept_edits, write_dataset
from rla_gym.data.merge import merge
from rla_gym.data.tokens import TokenStore, encode_dataset

__all__ = [
    "UNSKILLED",
    "Episode",
    "EpisodeDataset",
    "TokenStore",
    "accept_edits",
    "encode_dataset",
    "merge",
    "write_dataset",
]

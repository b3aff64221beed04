"""Checkpoints: what one holds, reading and writing it, and the reference episodes that come with it."""

from rla_gym.checkpoint import pickling as pickling  # registers how bundles are pickled, wherever one is made

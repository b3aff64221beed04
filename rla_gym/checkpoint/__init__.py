"""Checkpoints: what one holds, reading and writing it, and the reference episodes that come with it."""

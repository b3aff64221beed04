"""Hunts for what damaged files and killed processes do; see docs/reliability.md."""

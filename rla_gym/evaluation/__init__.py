"""Measuring a world model against the simulator it was recorded in. True states are used here, and only here."""

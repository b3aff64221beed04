"""World models against the simulator, on the same held-out starts; `python -m benchmarks.fidelity`."""

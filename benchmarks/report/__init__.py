"""One page of all that the benchmarks of fidelity and properties found; `python -m benchmarks.report`."""

"""What a dream costs, against the real simulator and the other world models: `python -m benchmarks.speed`."""

"""What the paper shows of residual latent actions in pictures, in numbers; `python -m benchmarks.properties`."""

"""File formats of recorded episodes, one module each."""

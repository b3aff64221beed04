"""Environments: the dream and the real simulator behind the same spaces, single and batched."""

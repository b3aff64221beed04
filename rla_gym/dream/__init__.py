"""The dream: batched episodes of a world model, and how far to trust them."""

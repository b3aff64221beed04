"""Training: one loop (`loop.fit`) and one trainable for each model of a world model."""

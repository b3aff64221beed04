"""Networks of the world model, in plain torch."""

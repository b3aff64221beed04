"""Recording episodes: plans, rollouts and the demonstrators that act in them."""

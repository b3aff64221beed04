"""The suite: measures of a user's checkpoint, data and agents; `rla-gym bench` runs them."""

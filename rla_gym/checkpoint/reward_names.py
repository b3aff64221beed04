"""Names of rewards, distances and sets of patches that a checkpoint may have as its defaults (`rla_gym.rewards`)."""

MODES = ("corresponding", "goal", "progress", "success")
METRICS = ("l1", "l2", "cosine", "features", "objects")
PATCHES = ("all", "moving")

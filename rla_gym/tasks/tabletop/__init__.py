"""Small planar manipulation tasks in plain MuJoCo: one pusher, one block, one target, one close camera."""

"""Default cameras of other libraries' environments whose own show objects too small for 14-pixel patches."""

from __future__ import annotations

from rla_gym.tasks.offscreen import Viewpoint

REACHER_VIEW = Viewpoint(lookat=(0.0, 0.0, 0.0), distance=0.58, azimuth=90.0, elevation=-90.0)

GYMNASIUM_VIEWS = {
    "Reacher": REACHER_VIEW,
    # Gymnasium's own view of these leaves a few pixels to what matters.
    "Pusher": Viewpoint(lookat=(0.43, -0.25, -0.27), distance=0.75, azimuth=0.0, elevation=-55.0),
    "InvertedDoublePendulum": Viewpoint(lookat=(0.0, 0.0, 0.35), distance=3.6, azimuth=90.0, elevation=-5.0),
}
"""By the environment's id without its version."""

LIFT_VIEW = Viewpoint(lookat=(-0.02, 0.0, 0.88), distance=0.31, azimuth=180.0, elevation=-12.0)
"""A close view of Lift from the front of the robot: at 112 pixels the cube covers 2 to 4 patches of 14."""

ROBOSUITE_VIEWS = {
    "Lift": LIFT_VIEW,
    "Door": Viewpoint(lookat=(-0.17, -0.28, 1.02), distance=0.72, azimuth=195.0, elevation=-15.0),
    "Stack": Viewpoint(lookat=(0.0, 0.0, 0.87), distance=0.45, azimuth=180.0, elevation=-30.0),
}
"""By the environment's name. In robosuite's own "agentview" the door is cut off, and the cubes are a patch each."""

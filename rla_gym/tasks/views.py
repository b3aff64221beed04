"""Default cameras of other libraries' environments, at which objects cover two 14-pixel patches of 112 x 112 pixels."""

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

ROBOSUITE_VIEWS = {"Lift": LIFT_VIEW}
"""By the environment's name."""

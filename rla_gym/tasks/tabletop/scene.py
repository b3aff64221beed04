"""The MuJoCo scene that the tabletop tasks share: table, rim, pusher, a planar block and a target mark.

The block moves in the plane (two slides and a hinge with dry friction), so that it stops soon after
nothing pushes it.
"""

from __future__ import annotations

from dataclasses import dataclass

TABLE_HALF = 0.18
"""Half the side of the square that the block's centre can reach, in metres."""

PUSHER_REACH = TABLE_HALF + 0.02
"""Half the side of the square that the pusher can reach, in metres."""

PUSHER_RADIUS = 0.016
"""Radius of the pusher's cylinder in metres."""


@dataclass(frozen=True)
class Sliding:
    """How the block moves along x and y.

    Attributes:
        damping: N s/m.
        friction: dry friction in N.
        extra: further MJCF attributes of the two joints.
    """

    damping: float = 0.4
    friction: float = 0.5
    extra: str = ""


# Shadows and multisampling cost 15 times in software rendering, hence off.
_TEMPLATE = """
<mujoco model="{name}">
  <option timestep="0.005" integrator="implicitfast" cone="elliptic" impratio="3"/>
  <visual>
    <quality shadowsize="0" offsamples="0"/>
    <headlight ambient="0.45 0.45 0.45" diffuse="0.45 0.45 0.45" specular="0 0 0"/>
    <global offwidth="640" offheight="640"/>
    <map znear="0.05" zfar="5"/>
  </visual>
  <asset>
    <texture name="table" type="2d" builtin="checker" rgb1="0.78 0.74 0.68" rgb2="0.72 0.68 0.62"
             width="128" height="128"/>
    <material name="table" texture="table" texrepeat="4 4" specular="0"/>
  </asset>
  <worldbody>
    <light pos="0.3 -0.4 1.2" dir="-0.3 0.4 -1.2" diffuse="0.35 0.35 0.35" specular="0 0 0"
           castshadow="false"/>
    <camera name="agentview" pos="0 -0.39 0.62" xyaxes="1 0 0 0 0.857 0.515" fovy="{fovy:g}"/>
    <geom name="floor" type="plane" size="3 3 0.1" pos="0 0 -0.03" rgba="0.35 0.37 0.40 1" contype="0"
          conaffinity="0"/>
    <geom name="table" type="box" size="0.26 0.26 0.014" pos="0 0 -0.014" material="table" contype="0"
          conaffinity="0"/>
    <body name="target" mocap="true" pos="0 0 0.0005">
      {target}
    </body>
    <body name="block" pos="0 0 0">
      <joint name="block_x" type="slide" axis="1 0 0" range="-{half} {half}" limited="true" damping="{damping}"
             frictionloss="{friction}"{sliding}/>
      <joint name="block_y" type="slide" axis="0 1 0" range="-{half} {half}" limited="true" damping="{damping}"
             frictionloss="{friction}"{sliding}/>
      <joint name="block_yaw" type="hinge" axis="0 0 1" damping="0.002" frictionloss="{yaw_friction}"/>
      {block}
    </body>
    <body name="pusher" pos="0 0 0.035">
      <joint name="pusher_x" type="slide" axis="1 0 0" range="-{reach} {reach}" limited="true" damping="20"/>
      <joint name="pusher_y" type="slide" axis="0 1 0" range="{low_y} {high_y}" limited="true" damping="20"/>
      {tool}
    </body>{rim}
  </worldbody>
  <actuator>
    <position name="pusher_x" joint="pusher_x" kp="900" dampratio="1" ctrlrange="-{reach} {reach}"{force}/>
    <position name="pusher_y" joint="pusher_y" kp="900" dampratio="1" ctrlrange="{low_y} {high_y}"{force}/>
  </actuator>
</mujoco>
"""


def scene_xml(
    name: str,
    block: str,
    target: str,
    tool: str,
    yaw_friction: float = 0.01,
    sliding: Sliding = Sliding(),
    reach_y: tuple[float, float] = (-PUSHER_REACH, PUSHER_REACH),
    force: float = 0.0,
    fovy: float = 41.0,
    rim: str = "",
) -> str:
    """MJCF of a tabletop scene.

    Args:
        name: model name.
        block: MJCF of the block's geoms, in the block's own frame.
        target: MJCF of the target mark's geoms, without contacts.
        tool: MJCF of the pusher's geoms, in the pusher's frame, whose origin is 3.5 cm above the table.
        yaw_friction: dry friction of the block's rotation in N m.
        sliding: how the block moves along x and y.
        reach_y: least and greatest y of the pusher in metres.
        force: greatest force along an axis with which the pusher is moved, in N; 0 is no bound.
        fovy: the camera's vertical field of view in degrees.
        rim: MJCF of further geoms that stand on the table.
    """
    return _TEMPLATE.format(
        name=name,
        block=block,
        target=target,
        tool=tool,
        half=TABLE_HALF,
        reach=PUSHER_REACH,
        low_y=reach_y[0],
        high_y=reach_y[1],
        yaw_friction=yaw_friction,
        damping=sliding.damping,
        friction=sliding.friction,
        sliding=sliding.extra and f" {sliding.extra}",
        force=f' forcerange="{-force} {force}"' if force else "",
        fovy=fovy,
        rim=rim and f"\n    {rim}",
    )

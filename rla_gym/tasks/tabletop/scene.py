"""The MuJoCo scene that the tabletop tasks share: table, rim, pusher, a planar block and a target mark.

The block moves in the plane (two slides and a hinge with dry friction), so that it stops soon after
nothing pushes it.
"""

from __future__ import annotations

TABLE_HALF = 0.18
"""Half the side of the square that the block's centre can reach, in metres."""

PUSHER_REACH = TABLE_HALF + 0.02
"""Half the side of the square that the pusher can reach, in metres."""

PUSHER_RADIUS = 0.016
"""Radius of the pusher's cylinder in metres."""

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
    <camera name="agentview" pos="0 -0.39 0.62" xyaxes="1 0 0 0 0.857 0.515" fovy="41"/>
    <geom name="floor" type="plane" size="3 3 0.1" pos="0 0 -0.03" rgba="0.35 0.37 0.40 1" contype="0"
          conaffinity="0"/>
    <geom name="table" type="box" size="0.26 0.26 0.014" pos="0 0 -0.014" material="table" contype="0"
          conaffinity="0"/>
    <body name="target" mocap="true" pos="0 0 0.0005">
      {target}
    </body>
    <body name="block" pos="0 0 0">
      <joint name="block_x" type="slide" axis="1 0 0" range="-{half} {half}" limited="true" damping="0.4"
             frictionloss="0.5"/>
      <joint name="block_y" type="slide" axis="0 1 0" range="-{half} {half}" limited="true" damping="0.4"
             frictionloss="0.5"/>
      <joint name="block_yaw" type="hinge" axis="0 0 1" damping="0.002" frictionloss="{yaw_friction}"/>
      {block}
    </body>
    <body name="pusher" pos="0 0 0.035">
      <joint name="pusher_x" type="slide" axis="1 0 0" range="-{reach} {reach}" limited="true" damping="20"/>
      <joint name="pusher_y" type="slide" axis="0 1 0" range="-{reach} {reach}" limited="true" damping="20"/>
      <geom name="pusher" type="cylinder" size="{radius} 0.03" rgba="0.15 0.35 0.85 1" mass="0.3"
            friction="0.3"/>
    </body>
  </worldbody>
  <actuator>
    <position name="pusher_x" joint="pusher_x" kp="900" dampratio="1" ctrlrange="-{reach} {reach}"/>
    <position name="pusher_y" joint="pusher_y" kp="900" dampratio="1" ctrlrange="-{reach} {reach}"/>
  </actuator>
</mujoco>
"""


def scene_xml(name: str, block: str, target: str, yaw_friction: float = 0.01) -> str:
    """MJCF of a tabletop scene.

    Args:
        name: model name.
        block: MJCF of the block's geoms, in the block's own frame.
        target: MJCF of the target mark's geoms, without contacts.
        yaw_friction: dry friction of the block's rotation in N m.
    """
    return _TEMPLATE.format(
        name=name,
        block=block,
        target=target,
        half=TABLE_HALF,
        reach=PUSHER_REACH,
        radius=PUSHER_RADIUS,
        yaw_friction=yaw_friction,
    )

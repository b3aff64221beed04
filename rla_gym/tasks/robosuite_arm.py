"""One arm of a robosuite robot: where its gripper is, and the action that sends it somewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

POSITION_SCALE = 0.05
"""Metres that a translation action of 1 asks for (robosuite's default OSC_POSE)."""

ROTATION_SCALE = 0.5
"""Radians that a rotation action of 1 asks for."""


class Arm:
    """One arm, its gripper and their places in the action vector.

    Args:
        robot: the robosuite robot.
        name: of the arm, "right" or "left".
        offset: where the robot's part of the environment's action vector begins.
    """

    def __init__(self, robot: Any, name: str, offset: int):
        self._robot, self._name = robot, name
        splits = robot.composite_controller._action_split_indexes
        self.move = slice(offset + splits[name][0], offset + splits[name][1])
        grip = splits.get(robot.get_gripper_name(name), (0, 0))
        self.grip = slice(offset + grip[0], offset + grip[1])
        self._site = robot.eef_site_id[name]
        self._fingers = robot._ref_gripper_joint_pos_indexes[name] or []
        self._first_quaternion = self._body_quaternion()
        self.home = self.position()

    def position(self) -> np.ndarray:
        """Point between the fingertips in the world, ``(3,)`` in metres."""
        return np.array(self._robot.sim.data.site_xpos[self._site])

    def rotation(self) -> np.ndarray:
        """Orientation of that point, ``(3, 3)``; its z axis points out of the hand."""
        return np.array(self._robot.sim.data.site_xmat[self._site]).reshape(3, 3)

    def quaternion(self) -> np.ndarray:
        """Orientation of the hand's body as robosuite's ``eef_quat``, ``(4,)`` x, y, z, w.

        Of the two signs the one nearer to the starting pose: robosuite's own choice flips near a downward
        hand.
        """
        quaternion = self._body_quaternion()
        return quaternion if quaternion @ self._first_quaternion >= 0 else -quaternion

    def fingers(self) -> np.ndarray:
        """Positions of the gripper's joints, in metres or radians."""
        return np.array(self._robot.sim.data.qpos[self._fingers])

    def toward(self, position: np.ndarray, rotation: np.ndarray, speed: float = 1.0) -> np.ndarray:
        """Action of the arm, ``(6,)`` in [−1, 1], that brings the gripper to a pose in the world.

        Args:
            position: ``(3,)`` metres.
            rotation: ``(3, 3)``.
            speed: largest absolute value of the translation.
        """
        to_base = np.array(self._robot.base_ori).T
        # The controller covers about a third of the way it is asked for in a control step, hence the gain.
        shift = 1.5 * to_base @ (position - self.position()) / POSITION_SCALE
        longest = float(np.abs(shift).max())
        shift *= min(1.0, speed / max(longest, 1e-9))
        turn = to_base @ rotation_vector(rotation @ self.rotation().T) / ROTATION_SCALE
        return np.clip(np.concatenate([shift, turn]), -1.0, 1.0)

    def _body_quaternion(self) -> np.ndarray:
        w, x, y, z = self._robot.sim.data.get_body_xquat(self._robot.robot_model.eef_name[self._name])
        return np.array([x, y, z, w])


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """Axis times angle, ``(3,)`` in radians, of a rotation matrix that turns by less than half a turn."""
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    sine, cosine = np.linalg.norm(skew) / 2, (np.trace(rotation) - 1) / 2
    if sine < 1e-9:
        return np.zeros(3)
    return skew / (2 * sine) * np.arctan2(sine, cosine)


def turned(rotation: np.ndarray, yaw: float) -> np.ndarray:
    """``rotation`` ``(3, 3)`` turned by ``yaw`` radians about the world's z axis."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]]) @ rotation

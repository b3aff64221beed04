"""What the pusher is: upright posts, or a post that carries a hook.

All of them are round. MuJoCo 3.9 now and then finds two touching boxes 12 cm deep in each other and throws them apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rla_gym.tasks.tabletop.scene import PUSHER_RADIUS

_POST = (
    '<geom name="{name}" type="cylinder" size="{radius} 0.03"{place} rgba="{colour} 1" mass="{mass}"\n'
    '            friction="0.3"/>'
)
_ROD_Z = 0.010  # of the rods above the post's middle: seen behind a block, not hidden by it
BLUE = "0.15 0.35 0.85"


@dataclass(frozen=True)
class Post:
    """An upright post, or two side by side.

    Attributes:
        name: what messages call it.
        thickness: radius of a post in metres.
        apart: half the distance along x between the middles of two posts in metres; 0 is one post.
        colour: "red green blue", each in [0, 1].
        other_colour: the one in pictures of colours that training never shows.
    """

    name: str = "post"
    thickness: float = PUSHER_RADIUS
    apart: float = 0.0
    colour: str = BLUE
    other_colour: str = "0.70 0.85 0.10"

    @property
    def radius(self) -> float:
        """Distance in metres from its middle at which it touches a flat side, the mean of x and y."""
        return self.thickness + self.apart / 2

    @property
    def girth(self) -> float:
        """Radius in metres of the circle about it."""
        return self.thickness + self.apart

    @property
    def points(self) -> np.ndarray:
        """Places ``(n, 2)`` relative to the pusher, in metres, that are meant to touch a block."""
        return np.array([[-self.apart, 0.0], [self.apart, 0.0]]) if self.apart else np.zeros((1, 2))

    def mjcf(self) -> str:
        """Its geoms."""
        looks = {"radius": self.thickness, "colour": self.colour}
        if not self.apart:
            return _POST.format(name="pusher", place="", mass=0.3, **looks)
        places = {"pusher": -self.apart, "second": self.apart}
        return "\n      ".join(
            _POST.format(name=name, place=f' pos="{x} 0 0"', mass=0.15, **looks) for name, x in places.items()
        )


@dataclass(frozen=True)
class Hook:
    """A post that carries an L: a shaft along +y, and at its end a foot to one side. It does not turn.

    Attributes:
        name: what messages call it.
        side: −1, the foot points to −x, or 1, to +x.
        length: metres from the post's middle to the end of the shaft.
        foot: metres from the shaft's middle to the end of the foot.
        half: half the thickness of shaft and foot, which are rods with round ends, in metres.
        colour: "red green blue", each in [0, 1].
        other_colour: the one in pictures of colours that training never shows.
    """

    name: str
    side: int = -1
    length: float = 0.15
    foot: float = 0.075
    half: float = 0.010
    colour: str = BLUE
    other_colour: str = "0.70 0.85 0.10"
    radius: float = field(default=PUSHER_RADIUS, init=False)

    @property
    def points(self) -> np.ndarray:
        """Places ``(4, 2)`` relative to the pusher, in metres: foot's front, behind the foot, beside the shaft."""
        across, along = self.side * self.foot / 2, self.length
        return np.array([[across, along], [across, along - 0.07], [0.03, along / 2], [-0.03, along / 2]])

    def rectangles(self) -> np.ndarray:
        """Post, shaft and foot as ``(3, 2, 2)``: least and greatest ``(x, y)`` relative to the pusher in metres."""
        toe, heel = sorted((self.side * self.foot, -self.side * self.half))
        return np.array(
            [
                [[-self.radius, -self.radius], [self.radius, self.radius]],
                [[-self.half, 0.0], [self.half, self.length]],
                [[toe, self.length - 2 * self.half], [heel, self.length]],
            ]
        )

    def mjcf(self) -> str:
        """Its geoms."""
        geoms = [_POST.format(name="pusher", radius=self.radius, place="", colour=self.colour, mass=0.24)]
        for name, (low, high) in zip(("shaft", "foot"), self.rectangles()[1:], strict=True):
            geoms.append(self._rod(name, low, high))
        return "\n      ".join(geoms)

    def _rod(self, name: str, low: np.ndarray, high: np.ndarray) -> str:
        start, end = low + self.half, high - self.half
        return (
            f'<geom name="{name}" type="capsule" size="{self.half}" fromto="{start[0]:.6f} {start[1]:.6f} {_ROD_Z} '
            f'{end[0]:.6f} {end[1]:.6f} {_ROD_Z}" rgba="{self.colour} 1" mass="0.03" friction="0.3"/>'
        )


POSTS = (
    Post(),
    Post("fork", 0.009, 0.018, "0.12 0.12 0.15", "0.80 0.05 0.10"),
    Post("thick post", 0.024, 0.0, "0.50 0.15 0.65", "0.05 0.75 0.80"),
)
"""Tools of push-cube, push-t and roll-ball; the first is that of the plain task."""

HOOKS = (
    Hook("left hook"),
    Hook("right hook", side=1, foot=0.08, colour="0.12 0.12 0.15", other_colour="0.80 0.05 0.10"),
    Hook("thin hook", half=0.006, colour="0.50 0.15 0.65", other_colour="0.05 0.75 0.80"),
)
"""Tools of poke-cube and pull-cube; the first is that of the plain task."""

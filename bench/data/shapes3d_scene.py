"""The room of 3D Shapes, traced analytically: what each pixel sees, and how bright it is.

A square room with coloured walls, a coloured floor, one object, a camera that looks at the object
and a lamp. The camera, the sizes and the light are fitted to published pictures of the dataset
(Burgess and Kim, 2018, https://github.com/google-deepmind/3d-shapes; measurements in the project's
conditional.md, section 6.1). All coordinates are the camera's: x to the right, y up from the floor,
z forward, in the room's units (the room is 7 x 7); the camera stands over the origin. Orbiting the
camera by the orientation turns the room and the object on the screen, while the lamp stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

FOCAL_LENGTH = 62.68 / 64  # in image widths
PITCH = math.radians(0.85)  # the optical axis points slightly upwards
CAMERA_HEIGHT = 0.681
ROOM_DISTANCE = 2.01  # from the camera to the centre of the room
ROOM_HALF_WIDTH = 3.5
WALL_HEIGHT = 2.085
OBJECT_DISTANCE = 2.196

# For scale 1: half the width, half the height, and how far round ends reach for each unit of width.
CUBE, CYLINDER, SPHERE, CAPSULE = range(4)
HALF_SIZES = ((0.339, 0.340), (0.357, 0.3575), (0.378, 0.380), (0.320, 0.630))
CAPSULE_END = 1.13

# The light is that of a fixed-function pipeline: ambient, a lamp on the camera, one spot lamp.
AMBIENT = 0.3365
HEADLIGHT = 0.616
LAMP = 0.949
LAMP_EXPONENT = 16.5
LAMP_POSITION = (-2.39, 9.24, 2.16)
LAMP_AXIS = (-0.101, 1.0, -0.021)  # from the lamp's target to the lamp
HIGHLIGHT = 0.114  # white, wherever the lamp reaches an object at more than a grazing angle
HIGHLIGHT_EDGE = (0.08, 0.15)  # cosines between which the highlight sets in
LEFT_WALL_LIGHT = 0.14  # bounced off the opposite wall

# Wall texture, repeated every SMUDGE_PERIOD: blots (along the wall, height, widths, depth), tiles.
SMUDGE_PERIOD = 1.94
SMUDGES = ((0.06, 1.2, 0.22, 0.2, 0.07), (0.40, 0.87, 0.2, 0.1, 0.06))
TILE_PERIOD = 0.24
TILE_DEPTH = 0.015


@dataclass(frozen=True)
class View:
    """What the rays of one view see; each field has one entry for each ray.

    Attributes:
        floor: Brightness of the floor where a ray ends on it, elsewhere 0.
        wall: Likewise for the walls.
        object: Likewise for the object.
        highlight: White light that the object adds, in the same units.
        sky: 1 where a ray leaves the room, elsewhere 0.
    """

    floor: Tensor
    wall: Tensor
    object: Tensor
    highlight: Tensor
    sky: Tensor


def trace(shape: int, scale: float, orientation: float, size: int, samples: int) -> View:
    """Trace one view on a regular grid of rays.

    Args:
        shape: 0 cube, 1 cylinder, 2 sphere, 3 capsule.
        scale: Size of the object; the dataset's lie in [0.75, 1.25].
        orientation: Degrees; the dataset's lie in [-30, 30].
        size: Height and width of the image in pixels.
        samples: Rays along each side of a pixel.

    Returns:
        Fields of shape (size * samples, size * samples), float32.
    """
    angle = math.radians(-orientation)
    rays = _camera_rays(size * samples)
    camera = torch.tensor([0.0, CAMERA_HEIGHT, 0.0])
    solid = _Solid(shape, scale, angle)

    to_floor = torch.where(rays[..., 1] < 0, -CAMERA_HEIGHT / rays[..., 1], torch.inf)
    to_wall, wall_normal, along = _hit_walls(rays, angle)
    to_object, object_normal = solid.hit(camera, rays)
    to_room = torch.minimum(to_floor, to_wall)
    is_object = to_object < to_room
    is_floor = ~is_object & (to_floor < to_wall)
    point = camera + torch.where(is_object, to_object, to_room)[..., None] * rays
    is_wall = ~is_object & ~is_floor & (point[..., 1] <= WALL_HEIGHT)

    up = torch.tensor([0.0, 1.0, 0.0]).expand_as(point)
    lit = ~torch.isfinite(solid.hit(point, _lamp_direction_at_object().expand_as(point))[0])
    floor = AMBIENT + torch.where(lit, _lamp(point, up)[0], 0)
    wall = _diffuse(point, wall_normal) + LEFT_WALL_LIGHT * wall_normal[..., 0].clamp(min=0)
    _, cosine = _lamp(point, object_normal)
    return View(
        floor=floor * is_floor,
        wall=wall * _wall_texture(along, point[..., 1]) * is_wall,
        object=_diffuse(point, object_normal) * is_object,
        highlight=HIGHLIGHT * _smoothstep(cosine, *HIGHLIGHT_EDGE) * is_object,
        sky=(~is_object & ~is_floor & ~is_wall).float(),
    )


def _camera_rays(resolution: int) -> Tensor:
    """Directions (R, R, 3), of length 1 along the optical axis."""
    grid = (torch.arange(resolution) + 0.5) / resolution - 0.5
    right = grid.expand(resolution, resolution) / FOCAL_LENGTH
    up = -right.T
    cosine, sine = math.cos(PITCH), math.sin(PITCH)
    return torch.stack([right, up * cosine + sine, cosine - up * sine], dim=-1)


def _turn(vectors: Tensor, angle: float) -> Tensor:
    """Rotate (..., 3) about the vertical axis: from the camera's axes to the room's."""
    cosine, sine = math.cos(angle), math.sin(angle)
    x, y, z = vectors.unbind(-1)
    return torch.stack([cosine * x + sine * z, y, cosine * z - sine * x], dim=-1)


def _hit_walls(rays: Tensor, angle: float) -> tuple[Tensor, Tensor, Tensor]:
    """Distance to the walls, their normals, and the place along the wall, to the viewer's right."""
    origin = _turn(torch.tensor([0.0, 0.0, -ROOM_DISTANCE]), angle)
    turned = _turn(rays, angle)
    side = turned.sign()
    distances = (side * ROOM_HALF_WIDTH - origin) / turned
    on_x = distances[..., 0] < distances[..., 2]
    distance = torch.where(on_x, distances[..., 0], distances[..., 2])
    place = origin + distance[..., None] * turned
    zero = torch.zeros_like(distance)
    normal = torch.stack(
        [torch.where(on_x, -side[..., 0], zero), zero, torch.where(on_x, zero, -side[..., 2])],
        dim=-1,
    )
    along = torch.where(on_x, -side[..., 0] * place[..., 2], side[..., 2] * place[..., 0])
    return distance, _turn(normal, -angle), along


class _Solid:
    """The object of a view; it stands on the floor and turns with the room."""

    def __init__(self, shape: int, scale: float, angle: float) -> None:
        self._shape = shape
        self._angle = angle
        self._half_width, self._half_height = (scale * half for half in HALF_SIZES[shape])

    def hit(self, origin: Tensor, rays: Tensor) -> tuple[Tensor, Tensor]:
        """Distance (infinite where missed) and unit normal; both arguments are (..., 3)."""
        origin = _turn(origin - torch.tensor([0.0, 0.0, OBJECT_DISTANCE]), self._angle)
        rays = _turn(rays, self._angle)
        origin, rays = torch.broadcast_tensors(origin, rays)
        distance, normal = self._hit(origin, rays)
        return distance, _turn(normal, -self._angle)

    def _hit(self, origin: Tensor, rays: Tensor) -> tuple[Tensor, Tensor]:
        width, height = self._half_width, 2 * self._half_height
        if self._shape == CUBE:
            return _hit_box(origin, rays, width, height)
        if self._shape == CYLINDER:
            side = _hit_tube(origin, rays, width, 0.0, height)
            return _nearest(side, _hit_lid(origin, rays, width, height))
        if self._shape == SPHERE:
            return _hit_ellipsoid(origin, rays, width, self._half_height, self._half_height)
        end = CAPSULE_END * width
        lower = _hit_ellipsoid(origin, rays, width, end, end)
        upper = _hit_ellipsoid(origin, rays, width, end, height - end)
        side = _hit_tube(origin, rays, width, end, height - end)
        return _nearest(_nearest(side, lower), upper)


Hit = tuple[Tensor, Tensor]


def _nearest(first: Hit, second: Hit) -> Hit:
    nearer = second[0] < first[0]
    return (
        torch.where(nearer, second[0], first[0]),
        torch.where(nearer[..., None], second[1], first[1]),
    )


def _hit_box(origin: Tensor, rays: Tensor, half_width: float, height: float) -> Hit:
    low = torch.tensor([-half_width, 0.0, -half_width])
    high = torch.tensor([half_width, height, half_width])
    first, second = (low - origin) / rays, (high - origin) / rays
    entry, axis = torch.minimum(first, second).max(dim=-1)
    leave = torch.maximum(first, second).amin(dim=-1)
    normal = torch.zeros_like(rays).scatter_(-1, axis[..., None], 1.0) * -rays.sign()
    return torch.where((entry < leave) & (entry > 0), entry, torch.inf), normal


def _hit_quadric(a: Tensor, half_b: Tensor, c: Tensor) -> Tensor:
    """The smaller root of a t^2 + 2 half_b t + c, infinite where there is none above 0."""
    discriminant = half_b.square() - a * c
    root = (-half_b - discriminant.clamp(min=0).sqrt()) / a
    return torch.where((discriminant > 0) & (root > 0), root, torch.inf)


def _at(origin: Tensor, rays: Tensor, distance: Tensor) -> Tensor:
    """The point hit; where nothing is hit, the origin."""
    return origin + torch.where(torch.isfinite(distance), distance, 0)[..., None] * rays


def _hit_tube(origin: Tensor, rays: Tensor, radius: float, bottom: float, top: float) -> Hit:
    flat = torch.tensor([1.0, 0.0, 1.0])
    across = rays * flat
    distance = _hit_quadric(
        across.square().sum(-1).clamp(min=1e-12),
        (origin * across).sum(-1),
        (origin * flat).square().sum(-1) - radius**2,
    )
    point = _at(origin, rays, distance)
    inside = (point[..., 1] >= bottom) & (point[..., 1] <= top)
    return torch.where(inside, distance, torch.inf), point * flat / radius


def _hit_lid(origin: Tensor, rays: Tensor, radius: float, height: float) -> Hit:
    distance = (height - origin[..., 1]) / rays[..., 1]
    point = _at(origin, rays, distance)
    inside = (point[..., 0].square() + point[..., 2].square() <= radius**2) & (distance > 0)
    up = torch.tensor([0.0, 1.0, 0.0]).expand_as(rays)
    return torch.where(inside, distance, torch.inf), up


def _hit_ellipsoid(
    origin: Tensor, rays: Tensor, radius: float, half_height: float, centre: float
) -> Hit:
    squeeze = torch.tensor([1.0, radius / half_height, 1.0])
    start = (origin - torch.tensor([0.0, centre, 0.0])) * squeeze
    along = rays * squeeze
    distance = _hit_quadric(
        along.square().sum(-1),
        (start * along).sum(-1),
        start.square().sum(-1) - radius**2,
    )
    normal = _at(start, along, distance) * squeeze
    return distance, torch.nn.functional.normalize(normal, dim=-1)


def _lamp_direction_at_object() -> Tensor:
    """The direction of the shadow: the lamp is far enough for one to do."""
    direction = torch.tensor(LAMP_POSITION) - torch.tensor([0.0, 0.0, OBJECT_DISTANCE])
    return direction / direction.norm()


def _lamp(point: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness by the spot lamp, and the cosine between normal and lamp."""
    to_lamp = torch.nn.functional.normalize(torch.tensor(LAMP_POSITION) - point, dim=-1)
    axis = torch.nn.functional.normalize(torch.tensor(LAMP_AXIS), dim=0)
    cosine = (normal * to_lamp).sum(-1).clamp(min=0)
    return LAMP * cosine * (to_lamp @ axis).clamp(min=0) ** LAMP_EXPONENT, cosine


def _diffuse(point: Tensor, normal: Tensor) -> Tensor:
    headlight = HEADLIGHT * (-normal[..., 2]).clamp(min=0)
    return AMBIENT + headlight + _lamp(point, normal)[0]


def _smoothstep(value: Tensor, low: float, high: float) -> Tensor:
    step = ((value - low) / (high - low)).clamp(0, 1)
    return step.square() * (3 - 2 * step)


def _wall_texture(along: Tensor, height: Tensor) -> Tensor:
    turns = 2 * math.pi / TILE_PERIOD
    texture = 1 + TILE_DEPTH * (turns * along).cos() * (turns * height).cos()
    for place, level, width, tall, depth in SMUDGES:
        offset = (along - place + SMUDGE_PERIOD / 2).remainder(SMUDGE_PERIOD) - SMUDGE_PERIOD / 2
        texture = (
            texture
            - depth * (-(offset / width).square() - ((height - level) / tall).square()).exp()
        )
    return texture

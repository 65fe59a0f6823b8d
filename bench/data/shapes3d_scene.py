"""The room of 3D Shapes, traced analytically: what each pixel sees, and how bright it is.

A square room with coloured walls, a coloured floor, one object, a camera that looks at the object
and a lamp. The camera, the sizes and the light are fitted to published pictures of the dataset
(Burgess and Kim, 2018, https://github.com/google-deepmind/3d-shapes). All coordinates are the
camera's: x to the right, y up from the floor, z forward, in the room's units (the room is 7 x 7);
the camera stands over the origin. Orbiting the camera by the orientation turns the room and the
object on the screen, while the lamp stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.shapes3d_solids import OBJECT_POSITION, Solid, turn, unit

FOCAL_LENGTH = 62.68 / 64  # in image widths
PITCH = math.radians(0.85)  # the optical axis points slightly upwards
CAMERA_HEIGHT = 0.681
ROOM_DISTANCE = 2.01  # from the camera to the centre of the room
ROOM_HALF_WIDTH = 3.5
WALL_HEIGHT = 2.085

# The light is that of a fixed-function pipeline: ambient, a lamp on the camera, one spot lamp.
AMBIENT = 0.3365
HEADLIGHT = 0.616
LAMP = 0.949
LAMP_EXPONENT = 16.5
LAMP_POSITION = (-2.3, 9.24, 2.55)
LAMP_AXIS = (-0.101, 1.0, -0.021)  # from the lamp's target to the lamp
HIGHLIGHT = 0.114  # white, wherever the lamp reaches an object at more than a grazing angle
HIGHLIGHT_EDGE = (0.07, 0.13)  # cosines between which the highlight sets in
LEFT_WALL_LIGHT = 0.14  # bounced off the opposite wall

# Wall texture, repeated every SMUDGE_PERIOD: blots (along the wall, height, widths, depth), tiles.
SMUDGE_PERIOD = 1.94
SMUDGES = ((0.06, 1.2, 0.22, 0.2, 0.09), (0.40, 0.87, 0.2, 0.1, 0.08))
TILE_PERIOD = 0.24
TILE_DEPTH = 0.015


@dataclass(frozen=True)
class View:
    """What the rays of one view see: float32 (R, R) each, with R rays along each side.

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


def trace(shape: int, scale: float, orientation: float, rays_per_side: int) -> View:
    """Trace one view on a regular grid of rays.

    Args:
        shape: 0 cube, 1 cylinder, 2 sphere, 3 capsule.
        scale: Size of the object; the dataset's lie in [0.75, 1.25].
        orientation: Degrees; the dataset's lie in [-30, 30].
        rays_per_side: Height and width of the grid.
    """
    angle = math.radians(-orientation)
    camera = torch.tensor([[0.0], [CAMERA_HEIGHT], [0.0]])
    rays = _camera_rays(rays_per_side)  # 3, R * R
    solid = Solid(shape, scale, angle)

    to_floor = torch.where(rays[1] < 0, -CAMERA_HEIGHT / rays[1], torch.inf)
    to_wall, wall_normal, along = _hit_walls(rays, angle)
    to_object, object_normal = solid.hit(camera, rays)
    distance = torch.minimum(torch.minimum(to_floor, to_wall), to_object)
    point = camera + distance * rays

    is_object = to_object == distance
    is_floor = ~is_object & (to_floor == distance)
    is_wall = ~is_object & ~is_floor & (point[1] <= WALL_HEIGHT)
    on_object, on_floor, on_wall = (mask.nonzero()[:, 0] for mask in (is_object, is_floor, is_wall))
    seen, highlight = _object_light(point[:, on_object], object_normal[:, on_object])
    walls = _wall_light(point[:, on_wall], wall_normal[:, on_wall], along[on_wall])

    def picture(places: Tensor, values: Tensor) -> Tensor:
        flat = torch.zeros(rays_per_side**2).index_copy_(0, places, values)
        return flat.view(rays_per_side, rays_per_side)

    return View(
        floor=picture(on_floor, _floor_light(point[:, on_floor], solid)),
        wall=picture(on_wall, walls),
        object=picture(on_object, seen),
        highlight=picture(on_object, highlight),
        sky=(~(is_object | is_floor | is_wall)).float().view(rays_per_side, rays_per_side),
    )


def _camera_rays(rays_per_side: int) -> Tensor:
    """Directions (3, R * R), row by row, of length 1 along the optical axis."""
    grid = ((torch.arange(rays_per_side) + 0.5) / rays_per_side - 0.5) / FOCAL_LENGTH
    up, right = torch.meshgrid(-grid, grid, indexing="ij")
    cosine, sine = math.cos(PITCH), math.sin(PITCH)
    return torch.stack([right, up * cosine + sine, cosine - up * sine]).flatten(1)


def _hit_walls(rays: Tensor, angle: float) -> tuple[Tensor, Tensor, Tensor]:
    """Distance to the walls (P,), their normals (3, P), and the place along the wall (P,).

    Places grow to the right of who looks at the wall from inside.
    """
    origin = turn(torch.tensor([[0.0], [0.0], [-ROOM_DISTANCE]]), angle)
    turned = turn(rays, angle)
    side = turned.sign()
    distances = (side * ROOM_HALF_WIDTH - origin) / turned
    on_x = distances[0] < distances[2]
    distance = torch.where(on_x, distances[0], distances[2])
    x, _, z = origin + distance * turned
    zero = torch.zeros_like(distance)
    normal = torch.stack(
        [torch.where(on_x, -side[0], zero), zero, torch.where(on_x, zero, -side[2])]
    )
    return distance, turn(normal, -angle), torch.where(on_x, -side[0] * z, side[2] * x)


def _floor_light(point: Tensor, solid: Solid) -> Tensor:
    """Brightness of floor points (3, P): in the object's shadow, the ambient light only."""
    # The lamp is so far away that its light falls on the object from one direction.
    to_lamp = torch.tensor(LAMP_POSITION) - torch.tensor(OBJECT_POSITION)
    shadowed = torch.isfinite(solid.hit(point, to_lamp[:, None])[0])
    up = torch.tensor([[0.0], [1.0], [0.0]])
    return AMBIENT + torch.where(shadowed, 0, _lamp(point, up)[0])


def _wall_light(point: Tensor, normal: Tensor, along: Tensor) -> Tensor:
    """Brightness of wall points (3, P) with normals (3, P), at places (P,) along their walls."""
    bounced = LEFT_WALL_LIGHT * normal[0].clamp(min=0)
    return (_diffuse(point, normal) + bounced) * _wall_texture(along, point[1])


def _object_light(point: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness and highlight (P,) of object points (3, P) with normals (3, P)."""
    low, high = HIGHLIGHT_EDGE
    step = ((_lamp(point, normal)[1] - low) / (high - low)).clamp(0, 1)
    return _diffuse(point, normal), HIGHLIGHT * step.square() * (3 - 2 * step)


def _diffuse(point: Tensor, normal: Tensor) -> Tensor:
    return AMBIENT + HEADLIGHT * (-normal[2]).clamp(min=0) + _lamp(point, normal)[0]


def _lamp(point: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness by the spot lamp, and the cosine between normal and lamp."""
    to_lamp = unit(torch.tensor(LAMP_POSITION)[:, None] - point)
    axis = unit(torch.tensor(LAMP_AXIS)[:, None])
    cosine = (normal * to_lamp).sum(0).clamp(min=0)
    return LAMP * cosine * (axis * to_lamp).sum(0).clamp(min=0) ** LAMP_EXPONENT, cosine


def _wall_texture(along: Tensor, height: Tensor) -> Tensor:
    turns = 2 * math.pi / TILE_PERIOD
    texture = 1 + TILE_DEPTH * (turns * along).cos() * (turns * height).cos()
    for place, level, width, tall, depth in SMUDGES:
        offset = (along - place + SMUDGE_PERIOD / 2).remainder(SMUDGE_PERIOD) - SMUDGE_PERIOD / 2
        blot = (offset / width).square() + ((height - level) / tall).square()
        texture -= depth * (-blot).exp()
    return texture

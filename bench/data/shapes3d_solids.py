"""The objects of 3D Shapes: where rays hit a cube, a cylinder, a sphere or a capsule.

Sizes are fitted to published pictures of the dataset, as told in ``bench.data.shapes3d_scene``.
Vectors stand in columns: origins, rays and normals are (3, P), distances (P,).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

OBJECT_POSITION = (0.0, 0.0, 2.196)  # where the object stands, in the camera's coordinates
CUBE, CYLINDER, SPHERE, CAPSULE = range(4)
HALF_WIDTHS = (0.339, 0.357, 0.378, 0.320)  # for scale 1
HALF_HEIGHTS = (0.340, 0.3575, 0.380, 0.630)
CAPSULE_END = 1.13  # how far the round ends reach, in half widths

Hit = tuple[Tensor, Tensor]  # distance, infinite where missed, and normal


def turn(vectors: Tensor, angle: float) -> Tensor:
    """Turn (3, P) about the vertical axis: from the camera's axes to those of the room."""
    cosine, sine = math.cos(angle), math.sin(angle)
    x, y, z = vectors
    return torch.stack([cosine * x + sine * z, y, cosine * z - sine * x])


def unit(vectors: Tensor) -> Tensor:
    """Scale (3, P) to length 1; several times as fast as ``functional.normalize`` along rows."""
    return vectors * vectors.square().sum(0).clamp(min=1e-24).rsqrt()


class Solid:
    """An object of 3D Shapes; it stands on the floor and turns with the room.

    Args:
        shape: 0 cube, 1 cylinder, 2 sphere, 3 capsule.
        scale: Size, 1 for that of the tables above.
        angle: From the camera's axes to the object's, in radians.
    """

    def __init__(self, shape: int, scale: float, angle: float) -> None:
        self._shape = shape
        self._angle = angle
        self._half_width = scale * HALF_WIDTHS[shape]
        self._half_height = scale * HALF_HEIGHTS[shape]

    def hit(self, origin: Tensor, rays: Tensor) -> Hit:
        """Distance (P,) along each ray and unit normal (3, P); infinite and 0 where missed.

        Args:
            origin: (3, P) or (3, 1), in the camera's coordinates.
            rays: (3, P) or (3, 1), likewise.
        """
        origin = origin - torch.tensor(OBJECT_POSITION)[:, None]
        near = self._is_near(origin, rays).nonzero()[:, 0]
        distance = torch.full((max(origin.shape[1], rays.shape[1]),), torch.inf)
        normal = torch.zeros(3, len(distance))
        origin, rays = (
            turn(one if one.shape[1] == 1 else one.index_select(1, near), self._angle)
            for one in (origin, rays)
        )
        distance[near], found = self._hit(*torch.broadcast_tensors(origin, rays))
        normal[:, near] = turn(found, -self._angle)
        return distance, normal

    def _is_near(self, origin: Tensor, rays: Tensor) -> Tensor:
        """Whether a ray's line passes through the sphere around the object; saves most work."""
        to_centre = torch.tensor([[0.0], [self._half_height], [0.0]]) - origin
        length = rays.square().sum(0)
        off = to_centre.square().sum(0) * length - (to_centre * rays).sum(0).square()
        reach = 2 * self._half_width**2 + self._half_height**2
        return off <= reach * length

    def _hit(self, origin: Tensor, rays: Tensor) -> Hit:
        width, height = self._half_width, 2 * self._half_height
        if self._shape == CUBE:
            return _hit_box(origin, rays, width, height)
        if self._shape == CYLINDER:
            side = _hit_tube(origin, rays, width, 0.0, height)
            return _nearest(side, _hit_lid(origin, rays, width, height))
        if self._shape == SPHERE:
            return _hit_ellipsoid(origin, rays, width, height / 2, height / 2)
        end = CAPSULE_END * width
        lower = _hit_ellipsoid(origin, rays, width, end, end)
        upper = _hit_ellipsoid(origin, rays, width, end, height - end)
        side = _hit_tube(origin, rays, width, end, height - end)
        return _nearest(_nearest(side, lower), upper)


def _nearest(first: Hit, second: Hit) -> Hit:
    nearer = second[0] < first[0]
    return torch.where(nearer, second[0], first[0]), torch.where(nearer, second[1], first[1])


def _hit_box(origin: Tensor, rays: Tensor, half_width: float, height: float) -> Hit:
    low = torch.tensor([[-half_width], [0.0], [-half_width]])
    high = torch.tensor([[half_width], [height], [half_width]])
    first, second = (low - origin) / rays, (high - origin) / rays
    entry, axis = torch.minimum(first, second).max(dim=0)
    leave = torch.maximum(first, second).amin(dim=0)
    normal = torch.zeros_like(rays).scatter_(0, axis[None], 1.0) * -rays.sign()
    return torch.where((entry < leave) & (entry > 0), entry, torch.inf), normal


def _hit_tube(origin: Tensor, rays: Tensor, radius: float, bottom: float, top: float) -> Hit:
    flat = torch.tensor([[1.0], [0.0], [1.0]])
    distance = _first_root(rays * flat, origin * flat, radius)
    point = _at(origin, rays, distance)
    inside = (point[1] >= bottom) & (point[1] <= top)
    return torch.where(inside, distance, torch.inf), point * flat / radius


def _hit_lid(origin: Tensor, rays: Tensor, radius: float, height: float) -> Hit:
    distance = (height - origin[1]) / rays[1]
    point = _at(origin, rays, distance)
    inside = (point[0].square() + point[2].square() <= radius**2) & (distance > 0)
    up = torch.tensor([[0.0], [1.0], [0.0]]).expand_as(rays)
    return torch.where(inside, distance, torch.inf), up


def _hit_ellipsoid(
    origin: Tensor, rays: Tensor, radius: float, half_height: float, centre: float
) -> Hit:
    squeeze = torch.tensor([[1.0], [radius / half_height], [1.0]])
    start = (origin - torch.tensor([[0.0], [centre], [0.0]])) * squeeze
    distance = _first_root(rays * squeeze, start, radius)
    normal = _at(start, rays * squeeze, distance) * squeeze
    return distance, unit(normal)


def _first_root(rays: Tensor, origin: Tensor, radius: float) -> Tensor:
    """Where |origin + t * rays| first equals the radius at t > 0; infinite where it does not."""
    a = rays.square().sum(0)
    half_b = (origin * rays).sum(0)
    discriminant = half_b.square() - a * (origin.square().sum(0) - radius**2)
    root = (-half_b - discriminant.clamp(min=0).sqrt()) / a
    return torch.where((discriminant > 0) & (root > 0), root, torch.inf)


def _at(origin: Tensor, rays: Tensor, distance: Tensor) -> Tensor:
    """The point hit; where nothing is hit, the origin."""
    return origin + torch.where(torch.isfinite(distance), distance, 0) * rays

"""A drawn face in CelebA's frame: the parts of a picture in the order in which they are painted.

Lengths are in distances between the eyes, whose middle is the origin; y points down. The mouth lies
at 1.05, the chin near 1.75 and the hairline near -1, as in CelebA's aligned pictures, where the
distance between the eyes is 38 pixels. ``paint`` takes a look: one number for each picture and each
trait of ``IDENTITY``, each circumstance of ``CIRCUMSTANCES`` and each of CelebA's attributes (0
or 1). Every attribute changes some shapes or colours and leaves all others as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bench.data.face_canvas import (
    Canvas,
    Frame,
    Patch,
    Pose,
    Window,
    ellipse_distance,
    mix,
    pick,
    ramp,
    rgb,
    squircle_distance,
    wave,
)
from bench.data.face_features import (
    Look,
    head_distance,
    paint_earrings,
    paint_features,
    paint_glasses,
)

FRAME = Frame(left=89, top=112, unit=38, shift=0.075, stretch=0.055, sine=0.11)
_ANGLE = 6.0  # degrees, to either side

# What stays with a person; every trait is uniform in its range.
IDENTITY = {
    "skin": (0.0, 1.0),  # from light to dark
    "skin_hue": (-0.5, 0.5),
    "natural_colour": (0.0, 1.0),  # of brows and beards where no hair colour is set
    "hair_shade": (0.85, 1.2),
    "hair_length": (0.0, 1.0),
    "hair_volume": (0.8, 1.2),
    "parting": (-0.28, 0.28),
    "hairline": (-0.06, 0.06),
    "face_width": (0.94, 1.05),
    "face_length": (0.95, 1.05),
    "jaw": (-1.0, 1.0),  # from round to pointed
    "ears": (0.85, 1.2),
    "eye_colour": (0.0, 1.0),
    "eye_spacing": (0.95, 1.05),
    "eye_size": (0.9, 1.1),
    "eye_tilt": (-0.06, 0.1),
    "brow_height": (-0.035, 0.035),
    "brow_slope": (-0.06, 0.06),
    "brow_weight": (0.85, 1.2),
    "nose_length": (-0.05, 0.06),
    "nose_width": (0.85, 1.15),
    "mouth_width": (0.9, 1.1),
    "mouth_height": (-0.04, 0.04),
    "lips": (0.85, 1.15),
    "hat_style": (0.0, 1.0),
    "frame_style": (0.0, 1.0),
    "eyeshadow": (0.0, 1.0),
}

# What changes from picture to picture.
CIRCUMSTANCES = {
    "shift_x": (-0.06, 0.06),
    "shift_y": (-0.07, 0.07),
    "scale": (0.95, 1.05),
    "angle": (-_ANGLE, _ANGLE),
    "yaw": (-0.09, 0.09),
    "gaze": (-0.05, 0.05),
    "background_red": (0.1, 0.95),
    "background_green": (0.1, 0.95),
    "background_blue": (0.1, 0.95),
    "background_slope": (-0.14, 0.14),
    "background_slant": (-0.14, 0.14),
    "background_spot": (-0.25, 0.25),
    "spot_x": (-2.0, 2.0),
    "spot_y": (-2.5, 0.5),
    "light": (0.88, 1.08),
    "light_x": (-0.1, 0.1),
    "light_y": (-0.05, 0.03),
    "warmth": (-0.045, 0.045),
    "clothes_red": (0.05, 0.9),
    "clothes_green": (0.05, 0.9),
    "clothes_blue": (0.05, 0.9),
    "neckline": (0.0, 1.0),
    "tie_hue": (0.0, 1.0),
    "lipstick_hue": (0.0, 1.0),
    "hat_hue": (0.0, 1.0),
}

_SKINS = ((0.95, 0.79, 0.68), (0.89, 0.7, 0.56), (0.76, 0.54, 0.4), (0.5, 0.33, 0.24))
_PALE = (0.97, 0.92, 0.9)
_HAIRS = {
    "Black_Hair": (0.085, 0.07, 0.07),
    "Blond_Hair": (0.9, 0.74, 0.43),
    "Brown_Hair": (0.37, 0.22, 0.12),
    "Gray_Hair": (0.69, 0.69, 0.7),
}
_RED_HAIR = (0.6, 0.24, 0.1)
_NATURAL = ((0.1, 0.08, 0.07), (0.26, 0.16, 0.1), (0.5, 0.34, 0.19))
_GREY = (0.7, 0.7, 0.71)
_TIES = ((0.65, 0.08, 0.12), (0.1, 0.16, 0.45), (0.12, 0.12, 0.14), (0.15, 0.35, 0.2))
_HATS = ((0.12, 0.13, 0.2), (0.62, 0.12, 0.14), (0.75, 0.66, 0.48), (0.2, 0.38, 0.3))


def paint(look: Look, window: Window) -> Tensor:
    """Paint faces.

    Args:
        look: Every trait, circumstance and attribute, each (N, 1, 1).
        window: The part of CelebA's frame of 178 x 218 pixels that is shown.

    Returns:
        float32 (N, 3, H, W) in [-1, 1].
    """
    canvas = Canvas(_pose(look), window, FRAME)
    skin, hair = skin_colour(look), hair_colour(look)
    _paint_background(canvas, look)
    _paint_clothes(canvas, look)
    tresses = canvas.patch(-1.75, -1.8, 1.75, 3.4)
    texture, curtain = _texture(tresses, look, hair), _curtain(tresses, look)
    tresses.fill(tresses.inside(curtain), 0.72 * texture)  # what hangs behind the neck
    _paint_neck(canvas, look, skin)
    _paint_worn(canvas, look, "Wearing_Necklace", _paint_necklace)
    _paint_worn(canvas, look, "Wearing_Necktie", _paint_tie)
    _paint_head(canvas, look, skin)
    paint_features(canvas, look, skin, facial_hair_colour(look, hair))
    _paint_hair(tresses, look, texture, curtain)
    _paint_worn(canvas, look, "Wearing_Earrings", paint_earrings)
    _paint_worn(canvas, look, "Eyeglasses", paint_glasses)
    _paint_worn(canvas, look, "Wearing_Hat", _paint_hat)
    _light(canvas, look)
    return canvas.image.clamp_(0, 1).mul_(2).sub_(1)


def _paint_worn(
    canvas: Canvas, look: Look, attribute: str, painter: Callable[[Canvas, Look], None]
) -> None:
    """Paint something on the pictures that show it."""
    rows = look[attribute].flatten().nonzero()[:, 0]
    if len(rows):
        part = canvas.some(rows)
        painter(part, {name: value[rows] for name, value in look.items()})
        canvas.image[rows] = part.image


def skin_colour(look: Look) -> Tensor:
    """The colour of the skin, (N, 3, 1, 1)."""
    tone = look["skin"] ** 2  # light tones are more frequent
    colour = ramp(tone, _SKINS)
    colour = colour * (1 + look["skin_hue"][:, None] * rgb((0.03, -0.02, -0.08)))
    aged = mix(colour, colour.mean(1, keepdim=True) * rgb((1.06, 0.97, 0.9)), 0.3)
    colour = mix(aged, colour, look["Young"][:, None])
    return mix(colour, rgb(_PALE), 0.85 * look["Pale_Skin"][:, None])


def hair_colour(look: Look) -> Tensor:
    """The colour of the hair, (N, 3, 1, 1): the mean of those that are set, red where none is."""
    count = torch.stack([look[name] for name in _HAIRS]).sum(0)
    total = sum(look[name][:, None] * rgb(colour) for name, colour in _HAIRS.items())
    none = (count == 0).float()
    colour = (total + none[:, None] * rgb(_RED_HAIR)) / (count + none)[:, None]
    return colour * look["hair_shade"][:, None]


def facial_hair_colour(look: Look, hair: Tensor) -> Tensor:
    """The colour of brows and beard, (N, 3, 1, 1): the hair's, darker; the person's own if bald."""
    bald = look["Bald"][:, None]
    colour = mix(hair * 0.72, ramp(look["natural_colour"], _NATURAL), bald)
    greyed = mix(colour, rgb(_GREY) * 0.85, 0.45)
    return mix(greyed, colour, look["Young"][:, None])


def _channels(look: Look, name: str) -> Tensor:
    return torch.stack([look[f"{name}_{c}"] for c in ("red", "green", "blue")], dim=1)


def _pose(look: Look) -> Pose:
    angle = look["angle"] * (math.pi / 180)
    return Pose(
        FRAME.unit * look["scale"],
        angle.cos(),
        angle.sin(),
        FRAME.left + FRAME.unit * look["shift_x"],
        FRAME.top + FRAME.unit * look["shift_y"],
    )


def _paint_background(canvas: Canvas, look: Look) -> None:
    patch = canvas.whole()
    shade = 1 + look["background_slope"] * patch.y + look["background_slant"] * patch.x
    shade = shade + look["background_spot"] * patch.glow(look["spot_x"], look["spot_y"], 2, 2)
    colour = _channels(look, "background")
    colour = mix(colour.mean(1, keepdim=True), colour, 0.4)
    patch.image.copy_(colour * shade[:, None])


def _paint_clothes(canvas: Canvas, look: Look) -> None:
    patch = canvas.patch(-4, 1.5, 4, 4)
    male = look["Male"]
    wide = mix(2.1, 2.55, male)
    shoulders = ellipse_distance(patch.x, patch.y - 3.15, wide, mix(1.2, 1.3, male))
    clothes = _channels(look, "clothes")
    tie = look["Wearing_Necktie"]
    clothes = mix(clothes.mean(1, keepdim=True), clothes, 0.7)
    clothes = mix(clothes, 0.35 * clothes, tie[:, None])  # a dark jacket
    fold = 1 - 0.12 * wave(patch.x * 0.8 + patch.y * 0.3)
    patch.fill(patch.inside(shoulders), clothes * fold[:, None])


def _paint_neck(canvas: Canvas, look: Look, skin: Tensor) -> None:
    patch = canvas.patch(-1.3, 0.9, 1.3, 3.6)
    x, y = patch.x, patch.y
    width = mix(0.5, 0.68, look["Male"])
    flare = ((y - 1.75).clamp(min=0)) ** 2 * 0.9
    tie = look["Wearing_Necktie"]
    bottom = mix(2.15 + 0.35 * look["neckline"] * (1 - 0.6 * look["Male"]), 1.95, tie)
    neck = torch.maximum(x.abs() - width - flare, y - bottom + 0.45 * x * x)
    shadow = 0.86 - 0.2 * patch.glow(0, 1.6, 1.0, 0.7)
    patch.fill(patch.inside(neck), skin * shadow[:, None])
    line = patch.band(y - 0.3 * x * x, 1.93, 1.97) * (x.abs() < width) * (1 - look["Young"])
    patch.fill(line * 0.35 * (1 - tie), skin * 0.5)


def _paint_necklace(canvas: Canvas, look: Look) -> None:
    patch = canvas.patch(-0.8, 1.5, 0.8, 2.4)
    arc = (patch.x * patch.x + (patch.y - 1.62) ** 2).sqrt() - 0.62
    string = patch.band(arc, -0.045, 0.045) * (patch.y > 1.62)
    beads = 0.8 + 0.2 * wave(patch.x * 5)
    patch.fill(string, beads[:, None] * rgb((0.96, 0.9, 0.74)))


def _paint_tie(canvas: Canvas, look: Look) -> None:
    patch = canvas.patch(-1.3, 1.6, 1.3, 3.6)
    x, y = patch.x.abs(), patch.y
    shirt = torch.maximum(x - 0.72 + 0.35 * (y - 1.8), 1.72 - y + 0.1 * x)
    notch = patch.inside(torch.maximum(x + (y - 1.95) * 0.9 - 0.22, y - 2.2))  # skin in the collar
    patch.fill(patch.inside(shirt) * (1 - notch), rgb((0.95, 0.95, 0.96)))
    fold = patch.band(x - 0.5 * (y - 1.75) - 0.16, -0.015, 0.015) * (y > 1.9)
    patch.fill(fold * 0.5, rgb((0.6, 0.6, 0.65)))
    knot = torch.maximum(x - 0.19 + 0.25 * (y - 1.95), (y - 2.06).abs() - 0.13)
    blade = torch.maximum(x - 0.11 - 0.16 * (y - 2.17), 2.17 - y)
    stripes = 1 + 0.3 * wave(2.6 * (patch.x + y))
    tie = pick(look["tie_hue"], _TIES)
    patch.fill(patch.inside(torch.minimum(knot, blade)), tie * stripes[:, None])


def _paint_head(canvas: Canvas, look: Look, skin: Tensor) -> None:
    patch = canvas.patch(-1.6, -1.8, 1.6, 2.1)
    side = 1.03 * look["face_width"] * (1 + 0.09 * look["Chubby"])
    ears = patch.moved(patch.x.abs() - side, patch.y)
    size = look["ears"]
    patch.fill(ears.ellipse(0.02, 0.2, 0.17 * size, 0.3 * size), skin * 0.88)
    patch.fill(ears.ellipse(0.05, 0.2, 0.08 * size, 0.18 * size) * 0.5, skin * 0.6)
    distance = head_distance(patch, look)
    rim = (1 + distance / 0.75).clamp_(0, 1)  # from 0 well inside to 1 at the outline
    shade = 1.04 - 0.22 * rim * rim
    shade = shade + 0.05 * patch.glow(0, -0.75, 0.9, 0.6)
    shade = shade + 0.1 * patch.glow(-0.2, -1.0, 0.55, 0.4) * look["Bald"]
    patch.fill(patch.inside(distance), skin * shade[:, None])
    jowl = patch.glow(0, 1.62, 0.5, 0.16) * look["Double_Chin"]
    patch.fill(jowl * 0.25, skin * 0.55)
    fold = patch.band(patch.y + 0.55 * patch.x * patch.x, 1.555, 1.615) * (patch.x.abs() < 0.42)
    patch.fill(fold * 0.6 * look["Double_Chin"], skin * 0.62)


def _texture(patch: Patch, look: Look, hair: Tensor) -> Tensor:
    """The colour of hair with strands and shine, (N, 3, H, W)."""
    wavy = look["Wavy_Hair"]
    x = patch.x - look["parting"] + 0.09 * wavy * wave(patch.y * 1.1)
    strand = x * (1.5 / (patch.y + 3.2)) * 3.0
    fine = (1 - 9 * patch.pixel).clamp(min=0)  # strands below a pixel are not drawn
    shade = 1 + 0.1 * wave(strand * 1.7) + 0.12 * fine * wave(strand * 5.3 + 0.4 * wave(patch.y))
    shade = shade + 0.2 * patch.glow(look["parting"], -1.2, 1.3, 0.32)
    shade = shade - 0.16 * (patch.x.abs() - 0.9).clamp(0, 0.6) / 0.6
    colour = hair * shade[:, None]
    # Age shows at the temples first.
    temples = ((patch.x.abs() - 0.35) / 0.6).clamp(0.25, 1) * (1 - look["Young"])
    return mix(colour, rgb(_GREY) * shade[:, None], 0.6 * temples[:, None])


def _curtain(patch: Patch, look: Look) -> Tensor:
    """The distance from the outline of long hair; far outside where hair is short."""
    length = mix(1.75, 2.7, look["hair_length"])
    volume = look["hair_volume"]
    waves = wave(patch.y * 1.15 + 0.2 + 0.35 * (patch.x > 0))
    fullness = 1.27 + 0.1 * volume + 0.1 * look["Wavy_Hair"] - 0.06 * look["Straight_Hair"]
    x = patch.x.abs() - 0.07 * look["Wavy_Hair"] * waves
    u, v = (x / fullness) ** 2, ((patch.y - 0.55) / length) ** 2
    above = ((patch.y - 0.55) / (2.03 + 0.1 * volume)) ** 2
    v = torch.where(patch.y < 0.55, above, v)
    squareness = 0.62 * ((patch.y - 0.55) / length).clamp(0, 1)
    distance = squircle_distance(x, patch.y - 0.55, u, v, squareness)
    return distance + 99 * _cropped(look)


def _cropped(look: Look) -> Tensor:
    """1 where there is no long hair: on men and on bald heads."""
    return torch.maximum(look["Male"], look["Bald"])


def _paint_hair(patch: Patch, look: Look, texture: Tensor, curtain: Tensor) -> None:
    x, y = patch.x, patch.y
    male, receding = look["Male"], look["Receding_Hairline"]
    volume = look["hair_volume"] * (1 - 0.4 * receding * male)
    head = head_distance(patch, look)
    falling = ((y + 1.15) / mix(2.0, 1.15, male)).clamp(0, 1)  # thinner towards the ears
    cap = head - 0.21 * volume * (1 - mix(0.6, 0.95, male) * falling)
    cap = torch.maximum(cap, y - mix(0.35, 0.1, male))
    outer = torch.minimum(cap, curtain)
    # The opening for the face; its upper edge is the hairline.
    retreat = look["hairline"] - 0.09 * male * (1 - look["Young"])
    side = look["face_width"] * (1 + 0.05 * look["Chubby"])
    top = mix(1.42, 1.44, male) - retreat
    opening = ellipse_distance(
        x - look["parting"] * mix(0.6, 0.25, male),
        y - 0.5,
        side * mix(0.97, 1.0, male),
        torch.where(y < 0.5, top, 1.75 + 0 * top),
    )
    corners = torch.maximum(ellipse_distance(x.abs() - 0.48, y + 0.8, 0.36, 0.46), head + 0.06)
    opening = torch.where(receding > 0, torch.minimum(opening - 0.04, corners), opening)
    fringe = mix(-0.36, -0.5, male) + 0.06 * wave(x * 1.6 + look["parting"])
    opening = torch.where(look["Bangs"] > 0, torch.maximum(opening, fringe - y), opening)
    distance = torch.maximum(outer, -opening)
    shadow = patch.inside(torch.maximum(outer, -opening - 0.09)) * (1 - look["Bald"])
    patch.fill(shadow * 0.22, 0.25 * texture)
    patch.fill(patch.inside(distance) * (1 - look["Bald"]), texture)


def _paint_hat(canvas: Canvas, look: Look) -> None:
    patch = canvas.patch(-2.3, -2.4, 2.3, -0.2)
    x, y = patch.x, patch.y
    colour = pick(look["hat_hue"], _HATS)
    brimmed = (look["hat_style"] > 0.5).float()
    crown = torch.maximum(
        ellipse_distance(x, y + 0.75, 1.26 * look["face_width"], 1.25), y + 0.62 + 0.08 * x * x
    )
    shade = 1.08 - 0.3 * (x.abs() / 1.3).clamp(max=1) ** 2
    rib = 1 + 0.12 * wave(x * 4) * (1 - brimmed) * (1 - 9 * patch.pixel).clamp(min=0)
    patch.fill(patch.inside(crown), colour * (shade * rib)[:, None])
    band = patch.inside(torch.maximum(crown, -y - 0.98 - 0.08 * x * x))
    patch.fill(band, mix(colour * 1.35, colour * 0.45, brimmed[:, None]) * shade[:, None])
    brim = patch.ellipse(0, -0.66, 1.85, 0.2) * brimmed
    under = patch.inside(ellipse_distance(x, y + 0.74, 1.85, 0.2))
    patch.fill(brim, colour * (0.55 + 0.4 * under)[:, None])


def _light(canvas: Canvas, look: Look) -> None:
    patch = canvas.whole()
    gain = look["light"] + look["light_x"] * patch.x + look["light_y"] * patch.y
    warmth = 1 + look["warmth"][:, None] * rgb((1.0, 0.0, -1.0))
    patch.image.mul_(gain[:, None]).mul_(warmth)

"""The inner features of a drawn face: eyes, brows, nose, mouth, beard, wrinkles, glasses.

Lengths, looks and attributes are those of ``bench.data.synthetic_face``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bench.data.face_canvas import Canvas, Patch, mix, pick, ramp, rgb, squircle_distance, wave

Look = Mapping[str, Tensor]  # of each trait, circumstance and attribute, (N, 1, 1)

_IRISES = ((0.22, 0.13, 0.07), (0.36, 0.22, 0.1), (0.3, 0.42, 0.25), (0.27, 0.45, 0.66))
_LIPSTICKS = ((0.78, 0.08, 0.14), (0.62, 0.06, 0.22), (0.85, 0.2, 0.34))
_EYESHADOWS = ((0.38, 0.22, 0.36), (0.3, 0.2, 0.18), (0.25, 0.28, 0.42))


def paint_features(canvas: Canvas, look: Look, skin: Tensor, facial_hair: Tensor) -> None:
    """Paint the features over a head.

    Args:
        canvas: The pictures so far.
        look: Traits, circumstances and attributes, each (N, 1, 1).
        skin: The skin's colour, (N, 3, 1, 1).
        facial_hair: The colour of brows and beard, (N, 3, 1, 1).
    """
    _paint_cheeks(_facing(canvas, look, -1.15, 0.0, 1.15, 1.3), look, skin)
    _paint_wrinkles(_facing(canvas, look, -1.1, -1.1, 1.1, 1.4), look, skin)
    _paint_eyes(_facing(canvas, look, -1.0, -0.45, 1.0, 0.5), look, skin)
    _paint_brows(_facing(canvas, look, -1.05, -0.75, 1.05, -0.05), look, facial_hair)
    _paint_nose(_facing(canvas, look, -0.45, -0.35, 0.45, 0.95), look, skin)
    _paint_beard(canvas, look, facial_hair, skin)
    _paint_mouth(_facing(canvas, look, -0.75, 0.75, 0.75, 1.55), look, skin)
    _paint_mustache(_facing(canvas, look, -0.75, 0.6, 0.75, 1.25), look, facial_hair)


def head_distance(patch: Patch, look: Look) -> Tensor:
    """The distance from the outline of the head, (N, H, W), negative inside."""
    male, chubby = look["Male"], look["Chubby"]
    width = 1.04 * look["face_width"] * (1 + 0.03 * male + 0.09 * chubby)
    chin = 1.5 * look["face_length"] * (1 + 0.04 * male)
    y = patch.y - 0.2
    depth = (y / chin).clamp(0, 1)
    taper = mix(0.27, 0.1, male) + 0.05 * look["jaw"] - 0.1 * chubby
    taper = taper - 0.05 * (1 - look["Young"])
    x = patch.x / (1 - taper * depth * depth)
    u = (x / width) ** 2
    v = torch.where(y > 0, (y / chin) ** 2, (y / 1.58) ** 2)
    squareness = mix(0.12, 0.5, male) * depth + 0.3 * (-y / 1.58).clamp(0, 1)
    return squircle_distance(patch.x, y, u, v, squareness)


def _facing(
    canvas: Canvas, look: Look, left: float, top: float, right: float, bottom: float
) -> Patch:
    """A patch whose columns are counted from the middle of the face, which turns with the head."""
    patch = canvas.patch(left - 0.1, top, right + 0.1, bottom)
    return patch.moved(patch.x - look["yaw"], patch.y)


def _mirrored(patch: Patch, centre: Tensor | float) -> Patch:
    """Coordinates around a point and its mirror image; x points outwards."""
    return patch.moved(patch.x.abs() - centre, patch.y)


def _paint_cheeks(patch: Patch, look: Look, skin: Tensor) -> None:
    smiling, makeup = look["Smiling"], look["Heavy_Makeup"]
    cheeks = _mirrored(patch, 0.62)
    blush = cheeks.glow(0, 0.68, 0.46, 0.42)
    amount = torch.maximum(0.55 * look["Rosy_Cheeks"], 0.2 * makeup)
    patch.fill(blush * amount, skin * rgb((1.02, 0.55, 0.56)))
    patch.fill(cheeks.glow(-0.05, 0.6 - 0.05 * smiling, 0.34, 0.26) * 0.22 * smiling, skin * 1.15)


def _paint_wrinkles(patch: Patch, look: Look, skin: Tensor) -> None:
    old, smiling = 1 - look["Young"], look["Smiling"]
    line = skin * rgb((0.64, 0.56, 0.52))
    x, y = patch.x, patch.y
    for height in (-0.9, -0.74, -0.58):
        arc = patch.band(y + 0.12 * x * x + 0.015 * wave(x * 1.5), height - 0.022, height + 0.022)
        fade = (1 - (x / 0.72) ** 2).clamp(min=0)
        patch.fill(arc * fade * 0.6 * old, line)
    # From the wings of the nose around the mouth.
    sides = _mirrored(patch, 0.0)
    bend = sides.x - 0.26 - 0.36 * (y - 0.6) + 0.1 * (y - 0.6) ** 2
    fold = patch.band(bend, -0.032, 0.032) * ((y - 0.56) * (1.34 - y) * 7).clamp(0, 1)
    patch.fill(fold * torch.maximum(0.75 * old, 0.3 * smiling), line)
    shadow = _mirrored(patch, 0.5).glow(0.06, 1.05, 0.3, 0.42)
    patch.fill(shadow * 0.22 * old, line)
    for slope in (-0.35, 0.0, 0.35):
        feet = patch.band(y - 0.02 - slope * (sides.x - 0.8), -0.017, 0.017)
        reach = ((sides.x - 0.8) * (1.02 - sides.x) * 60).clamp(0, 1)
        patch.fill(feet * reach * (0.6 * old), line)
    bags = _mirrored(patch, 0.5 * look["eye_spacing"])
    arc = patch.band(y + 0.6 * bags.x * bags.x, 0.2, 0.25) * (1 - (bags.x / 0.27) ** 2).clamp(min=0)
    weight = torch.maximum(look["Bags_Under_Eyes"], 0.6 * old)
    patch.fill(arc * 0.75 * weight, line)
    patch.fill(bags.glow(0, 0.2, 0.3, 0.15) * 0.4 * weight, skin * rgb((0.6, 0.5, 0.55)))


def _paint_eyes(patch: Patch, look: Look, skin: Tensor) -> None:
    male, makeup = look["Male"], look["Heavy_Makeup"]
    eye = _mirrored(patch, 0.5 * look["eye_spacing"])
    size = look["eye_size"] * mix(1.08, 0.95, male)
    x, y = eye.x, patch.y + look["eye_tilt"] * eye.x
    open_share = 1 - 0.5 * look["Narrow_Eyes"]
    width = 0.245 * size
    upper = 0.135 * size * open_share
    lower = 0.09 * size * open_share * (1 - 0.35 * look["Smiling"])
    bow = 1 - (x / width) ** 2
    patch.fill(eye.glow(0, -0.02, 0.42, 0.3) * mix(0.3, 0.36, male), skin * 0.62)
    shadow = eye.glow(0.03, -0.12, 0.36, 0.24)
    patch.fill((1.6 * shadow).clamp(max=1) * 0.75 * makeup, pick(look["eyeshadow"], _EYESHADOWS))
    lid_y, bottom_y = -upper * bow, lower * bow
    shape = patch.band(y, lid_y, bottom_y) * patch.band(x, -width, width)
    patch.fill(shape, rgb((0.95, 0.94, 0.93)))
    ball = eye.moved(x - look["gaze"] * patch.x.sign(), y)
    iris = ball.ellipse(0, -0.015, 0.108, 0.108) * shape
    patch.fill(iris, pick(look["eye_colour"], _IRISES))
    patch.fill(ball.ellipse(0, -0.015, 0.052, 0.052) * shape, rgb((0.04, 0.03, 0.03)))
    glint = patch.moved(ball.x * patch.x.sign(), y)
    patch.fill(glint.ellipse(-0.04, -0.055, 0.026, 0.026) * shape, rgb((1.0, 1.0, 1.0)))
    # Lashes: heavier on women, drawn out where there is make-up.
    lash = mix(0.04, 0.018, male) + 0.018 * makeup
    wing = 0.03 * (1 - male) + 0.05 * makeup
    ends = patch.band(x, -width, width + wing)
    flick = (x - 0.6 * width).clamp(min=0) * 0.5 * (1 - male)
    lid = patch.band(y + flick, lid_y.clamp(max=0) - lash, lid_y.clamp(max=0) + 0.018)
    patch.fill(lid * ends, mix(rgb((0.07, 0.05, 0.05)), skin * 0.25, 0.2))
    rim = patch.band(y, bottom_y - 0.008, bottom_y + 0.012) * ends
    patch.fill(rim * mix(0.35, 0.75, makeup), skin * 0.35)
    crease = patch.band(y, lid_y - 0.095, lid_y - 0.075) * patch.band(x, -0.8 * width, width)
    patch.fill(crease * 0.4, skin * 0.5)


def _paint_brows(patch: Patch, look: Look, colour: Tensor) -> None:
    male, bushy, arched = look["Male"], look["Bushy_Eyebrows"], look["Arched_Eyebrows"]
    brow = _mirrored(patch, 0.52 * look["eye_spacing"])
    x = brow.x
    height = -0.36 + look["brow_height"] + 0.06 * male - 0.03 * arched
    peak = 0.08
    arch = 0.05 + 0.1 * arched - 0.03 * male
    middle = height + look["brow_slope"] * x + arch * (((x - peak) / 0.24) ** 2 - 1) * 0.8
    weight = look["brow_weight"] * mix(0.032, 0.055, male) * (1 + 0.75 * bushy)
    thickness = weight * (1 - 0.75 * ((x + 0.1) / 0.45).clamp(0, 1))
    strip = patch.band(patch.y, middle - thickness, middle + thickness)
    ends = patch.band(x, -0.29 - 0.06 * bushy, 0.32)
    patch.fill(strip * ends * mix(0.85, 0.96, male), colour * 0.85)


def _paint_nose(patch: Patch, look: Look, skin: Tensor) -> None:
    width = look["nose_width"] * (1 + 0.1 * look["Male"]) * (1 + 0.4 * look["Big_Nose"])
    tip = 0.62 + look["nose_length"] + 0.05 * look["Big_Nose"]
    nose = patch.moved(patch.x - 0.7 * look["yaw"], patch.y)  # it stands out of the face
    sides = _mirrored(nose, 0.0)
    x, y = sides.x, patch.y
    dark = skin * rgb((0.66, 0.58, 0.55))
    bridge = patch.band(x - width * (0.1 + 0.1 * (y / tip).clamp(0, 1)), -0.05, 0.05)
    along = ((y + 0.25) * (tip - y) * 6).clamp(0, 1)
    patch.fill(bridge * along * 0.16, dark)
    patch.fill(nose.glow(0, 0.3, 0.09 * width, 0.5) * 0.5, skin * 1.14)
    patch.fill(nose.glow(0, tip - 0.06, 0.2 * width, 0.16) * 0.5, skin * 1.12)
    patch.fill(nose.glow(0, tip + 0.12, 0.3 * width, 0.1) * 0.6, dark)
    wings = patch.moved(x - 0.19 * width, y - tip)
    edge = ((wings.x * wings.x + wings.y * wings.y).sqrt() - 0.075 * width).abs()
    outside = ((wings.x + 0.05) * 20).clamp(0, 1)
    patch.fill(patch.band(edge, -0.02, 0.02) * outside * 0.42, dark * 0.85)
    patch.fill(sides.ellipse(0.1 * width, tip + 0.06, 0.06 * width, 0.03) * 0.75, dark * 0.5)


def _paint_mouth(patch: Patch, look: Look, skin: Tensor) -> None:
    smiling, opened, old = look["Smiling"], look["Mouth_Slightly_Open"], 1 - look["Young"]
    middle = 1.07 + look["mouth_height"]
    width = 0.36 * look["mouth_width"] * (1 + 0.26 * smiling)
    x, y = patch.x, patch.y
    across = (x / width) ** 2
    bow = (1 - across).clamp(min=0)
    centre = middle + 0.03 * smiling - 0.13 * smiling * across
    fullness = look["lips"] * (1 + 0.55 * look["Big_Lips"]) * (1 - 0.25 * old)
    fullness = fullness * mix(1.05, 0.9, look["Male"])
    gap_up = opened * (0.035 + 0.01 * smiling) * bow
    gap_down = opened * (0.11 + 0.03 * smiling) * bow
    cupid = 1 - 0.22 * (1 - (x / 0.09) ** 2).clamp(min=0)
    top = centre - gap_up - 0.085 * fullness * bow * cupid
    bottom = centre + gap_down + 0.115 * fullness * bow
    ends = patch.band(x, -width, width)
    natural = mix(skin * rgb((0.86, 0.6, 0.57)), rgb((0.72, 0.36, 0.34)), 0.3)
    lips = mix(natural, ramp(look["lipstick_hue"], _LIPSTICKS), look["Wearing_Lipstick"][:, None])
    shade = 0.9 + 0.2 * (y > centre) + 0.12 * patch.glow(0, middle + 0.1, 0.18, 0.06)
    patch.fill(patch.glow(0, middle + 0.27, 0.3, 0.1) * 0.35, skin * 0.6)
    patch.fill(patch.band(y, top, bottom) * ends, lips * shade[:, None])
    inside = patch.band(y, centre - gap_up, centre + gap_down) * ends
    patch.fill(inside, rgb((0.28, 0.07, 0.08)))
    teeth = mix(0.3, 0.72, smiling)
    rows = patch.band(y, centre - gap_up, centre - gap_up + teeth * (gap_up + gap_down))
    patch.fill(rows * inside * patch.band(x, -0.86 * width, 0.86 * width), rgb((0.97, 0.95, 0.92)))
    seam = patch.band(y, centre - 0.016, centre + 0.016) * ends * (1 - opened)
    patch.fill(seam * 0.75, lips * 0.4)
    corners = _mirrored(patch, width)
    dimple = corners.glow(0.02, middle - 0.09 * smiling, 0.08, 0.1)
    patch.fill(dimple * mix(0.3, 0.55, smiling), skin * 0.5)


def _paint_beard(canvas: Canvas, look: Look, colour: Tensor, skin: Tensor) -> None:
    patch = canvas.patch(-1.4, -0.3, 1.4, 2.2)
    x, y = patch.x.abs(), patch.y
    outline = head_distance(patch, look)
    upper = 1.16 - 0.85 * (x - 0.28).clamp(min=0) ** 2  # rises towards the ears
    jaw = torch.maximum(outline, upper - y)
    facing = patch.moved(patch.x - look["yaw"], y)
    stubble = torch.maximum(patch.inside(jaw), facing.glow(0, 0.92, 0.5, 0.22))
    patch.fill(stubble * 0.42 * look["5_o_Clock_Shadow"], mix(skin * 0.4, colour, 0.3))
    sides = torch.maximum(torch.maximum(outline - 0.02, 0.8 - x), (y - 0.25).abs() - 0.4)
    patch.fill(patch.inside(sides) * 0.9 * look["Sideburns"], colour)
    beard = 1 - look["No_Beard"]
    goatee = look["Goatee"]
    fine = (1 - 9 * patch.pixel).clamp(min=0)
    grain = 0.97 + 0.08 * fine * wave(patch.x * 4.5 + 0.15 * wave(y * 2))
    full = torch.maximum(torch.maximum(outline - 0.07, upper - 0.1 - y), x - 1.3)
    mouth = facing.ellipse(0, 1.06 + look["mouth_height"], 0.4, 0.2)
    coverage = patch.inside(full) * (1 - mouth) * beard * (1 - goatee)
    patch.fill(coverage * 0.92, colour * grain[:, None])
    chin = facing.ellipse(0, 1.52, 0.36, 0.33) * (outline < 0.09)
    patch.fill(chin * (1 - mouth) * goatee * 0.95, colour * grain[:, None])


def _paint_mustache(patch: Patch, look: Look, colour: Tensor) -> None:
    x = patch.x
    bottom = 0.955 + look["mouth_height"] + 0.22 * x * x
    top = 0.79 + 0.7 * look["mouth_height"] + 0.62 * x * x
    strip = patch.band(patch.y, top, bottom + 0.03) * patch.band(x, -0.5, 0.5)
    shade = 0.95 + 0.15 * wave(x * 4)
    patch.fill(strip * 0.95 * look["Mustache"], colour * shade[:, None])


def paint_glasses(canvas: Canvas, look: Look) -> None:
    """Paint glasses, over the hair."""
    patch = _facing(canvas, look, -1.25, -0.45, 1.25, 0.5)
    colour = pick(look["frame_style"], ((0.06, 0.06, 0.07), (0.25, 0.13, 0.08), (0.35, 0.36, 0.4)))
    lens = _mirrored(patch, 0.5)
    u, v = (lens.x / 0.4) ** 2, ((patch.y - 0.05) / 0.31) ** 2
    distance = squircle_distance(lens.x, patch.y - 0.05, u, v, 0.7 * look["frame_style"])
    patch.fill(patch.inside(distance) * 0.14, rgb((0.75, 0.85, 0.95)))
    rim = patch.band(distance, -0.035, 0.04)
    x = patch.x.abs()
    bridge = patch.band(patch.y + 0.04 + 0.3 * (0.01 - x * x), -0.035, 0.03) * (x < 0.12)
    temple = patch.band(patch.y + 0.05, -0.035, 0.035) * patch.band(x, 0.88, 1.14)
    patch.fill(torch.maximum(torch.maximum(rim, bridge), temple), colour)


def paint_earrings(canvas: Canvas, look: Look) -> None:
    """Paint earrings, over the hair."""
    patch = canvas.patch(-1.35, 0.3, 1.35, 0.9)
    side = 1.06 * look["face_width"] * (1 + 0.09 * look["Chubby"])
    lobe = _mirrored(patch, side)
    patch.fill(lobe.ellipse(0.04, 0.6, 0.08, 0.11), rgb((0.95, 0.82, 0.35)))
    patch.fill(lobe.ellipse(0.03, 0.57, 0.03, 0.04), rgb((1.0, 1.0, 0.95)))

"""The attributes of drawn faces: how often each is set, with which others, and what excludes what.

Rates and dependences follow CelebA's (Liu et al., 2015) where a rule can be stated. Two differ:
hair has exactly one of the four colours or is red (a tenth), where a third of CelebA has no colour
set, so that colours are more frequent here; and a moustache comes with a beard.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.randomness import derive_seed, uniforms
from bench.data.celeba_annotations import ATTRIBUTES, HAIR_COLOURS, HAIR_FORMS

# Nothing in the drawing corresponds to these.
UNDRAWN = ("Attractive", "Blurry", "High_Cheekbones", "Oval_Face", "Pointy_Nose")
DRAWN = tuple(name for name in ATTRIBUTES if name not in UNDRAWN)

# The same in all pictures of a person; all others change from picture to picture.
OF_PEOPLE = ("Male", "Big_Lips", "Big_Nose", "Chubby", "Double_Chin", "Narrow_Eyes")

# No two of a group are set together.
EXCLUSIVE = (
    (*HAIR_COLOURS, "Bald"),
    (*HAIR_FORMS, "Bald"),
    ("Bald", "Bangs", "Receding_Hairline"),
    ("No_Beard", "Mustache"),
    ("No_Beard", "Goatee"),
    ("Wearing_Hat", "Receding_Hairline"),
    ("Wearing_Necklace", "Wearing_Necktie"),
)

_COLUMNS = {name: column for column, name in enumerate(ATTRIBUTES)}


def columns(names: tuple[str, ...]) -> list[int]:
    """The columns of attributes in CelebA's order."""
    return [_COLUMNS[name] for name in names]


def draw_labels(seed: int, people: Tensor) -> Tensor:
    """Draw the attributes of images.

    Args:
        seed: The same seed gives the same labels.
        people: int64 (N,), ascending from 0, who each image shows.

    Returns:
        bool (N, 40), columns in CelebA's order.
    """
    of_images = uniforms(derive_seed(seed, "image labels"), 0, len(people), len(ATTRIBUTES))
    of_people = uniforms(
        derive_seed(seed, "person labels"), 0, int(people.max()) + 1, len(ATTRIBUTES)
    )[people]
    labels = _Labels(torch.where(_is_personal(), of_people, of_images))
    _draw_person(labels)
    _draw_hair(labels)
    _draw_face(labels)
    _draw_beard(labels)
    _draw_things_worn(labels)
    return labels.table


def changed_labels(labels: Tensor, names: tuple[str, ...], target: Tensor) -> Tensor:
    """Labels with some attributes set anew.

    Attributes that are not named stay as they are, but for those that exclude one that is named
    and set: these are cleared.

    Args:
        labels: bool (N, 40).
        names: A attributes.
        target: (N, A) of 0 and 1.

    Returns:
        bool (N, 40).
    """
    result = labels.clone()
    result[:, columns(names)] = target > 0.5
    for group in EXCLUSIVE:
        named = columns(tuple(name for name in group if name in names))
        others = columns(tuple(name for name in group if name not in names))
        result[:, others] &= ~result[:, named].any(1, keepdim=True)
    return result


class _Labels:
    """Labels that are drawn attribute after attribute, each given those before it."""

    def __init__(self, chances: Tensor) -> None:
        self._chances = chances
        self.table = torch.zeros(chances.shape, dtype=torch.bool)

    def __getitem__(self, name: str) -> Tensor:
        return self.table[:, _COLUMNS[name]]

    def set(self, name: str, probability: Tensor | float) -> None:
        self.table[:, _COLUMNS[name]] = self._chances[:, _COLUMNS[name]] < probability

    def set_one(self, probabilities: dict[str, Tensor]) -> None:
        """Set at most one of some attributes, by the draw that belongs to the first."""
        chance = self._chances[:, _COLUMNS[next(iter(probabilities))]]
        below = torch.zeros_like(chance)
        for name, probability in probabilities.items():
            above = below + probability
            self.table[:, _COLUMNS[name]] = (below <= chance) & (chance < above)
            below = above


def _is_personal() -> Tensor:
    return torch.tensor([name in OF_PEOPLE for name in ATTRIBUTES])


def _by(condition: Tensor, where: float, elsewhere: float) -> Tensor:
    return torch.where(condition, where, elsewhere)


def _draw_person(labels: _Labels) -> None:
    labels.set("Male", 0.417)
    male = labels["Male"]
    labels.set("Young", _by(male, 0.64, 0.87))
    labels.set("Pale_Skin", _by(male, 0.025, 0.056))
    labels.set("Big_Lips", _by(male, 0.15, 0.3))
    labels.set("Big_Nose", _by(male, 0.41, 0.11))
    labels.set("Chubby", _by(male, 0.12, 0.02))
    labels.set("Double_Chin", _by(labels["Chubby"], 0.5, 0.02))
    labels.set("Narrow_Eyes", 0.115)


def _draw_hair(labels: _Labels) -> None:
    male, old = labels["Male"], ~labels["Young"]
    labels.set("Wearing_Hat", _by(male, 0.073, 0.03))
    hat = labels["Wearing_Hat"]
    labels.set("Bald", (male & ~hat) * _by(old, 0.1, 0.03))
    hairy = (~labels["Bald"]).float()
    grey = old * _by(male, 0.31, 0.2)
    coloured = hairy * (1 - grey)
    labels.set_one(
        {
            "Black_Hair": coloured * _by(male, 0.48, 0.28),
            "Blond_Hair": coloured * _by(male, 0.05, 0.34),
            "Brown_Hair": coloured * _by(male, 0.37, 0.27),
            "Gray_Hair": hairy * grey,
        }
    )
    receding = hairy * ~hat * torch.where(male, _by(old, 0.35, 0.07), _by(old, 0.04, 0.0))
    labels.set("Receding_Hairline", receding)
    labels.set("Bangs", hairy * ~labels["Receding_Hairline"] * _by(male, 0.08, 0.21))
    labels.set_one(
        {
            "Straight_Hair": hairy * _by(male, 0.23, 0.19),
            "Wavy_Hair": hairy * _by(male, 0.14, 0.45),
        }
    )


def _draw_face(labels: _Labels) -> None:
    male, old = labels["Male"], ~labels["Young"]
    labels.set("Smiling", _by(male, 0.4, 0.54))
    labels.set("Mouth_Slightly_Open", _by(labels["Smiling"], 0.76, 0.225))
    labels.set("Bushy_Eyebrows", _by(male, 0.27, 0.05))
    labels.set("Arched_Eyebrows", ~labels["Bushy_Eyebrows"] * _by(male, 0.05, 0.45))
    labels.set("Bags_Under_Eyes", torch.where(male, _by(old, 0.4, 0.28), _by(old, 0.2, 0.09)))
    labels.set("Wearing_Lipstick", _by(male, 0.005, 0.8))
    labels.set("Heavy_Makeup", labels["Wearing_Lipstick"] * 0.82)
    labels.set("Rosy_Cheeks", _by(labels["Heavy_Makeup"], 0.16, 0.01))


def _draw_beard(labels: _Labels) -> None:
    male = labels["Male"].float()
    labels.set("No_Beard", 1 - 0.396 * male)
    beard = (~labels["No_Beard"]).float()
    labels.set("Mustache", beard * 0.255)
    labels.set("Goatee", beard * 0.38)
    labels.set("Sideburns", _by(labels["No_Beard"], 0.06, 0.25) * male)
    labels.set("5_o_Clock_Shadow", _by(labels["No_Beard"], 0.44, 0.0) * male)


def _draw_things_worn(labels: _Labels) -> None:
    male, old = labels["Male"], ~labels["Young"]
    labels.set("Eyeglasses", torch.where(male, _by(old, 0.19, 0.06), _by(old, 0.09, 0.025)))
    labels.set("Wearing_Earrings", _by(male, 0.02, 0.31))
    labels.set("Wearing_Necktie", male * _by(labels["Wearing_Hat"], 0.08, 0.18))
    labels.set("Wearing_Necklace", ~labels["Wearing_Necktie"] * _by(male, 0.015, 0.2))

"""Wrong values in words of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from bench.allowed import wrong_values


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rate: float = Field(0.1, ge=0, lt=1)


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: int | None = Field(None, ge=1)
    mode: Literal["fast", "slow"] | Literal["odd"] = "fast"
    flag: bool = False
    widths: tuple[PositiveInt, PositiveInt] = (1, 2)
    reach: float | tuple[float, float] = 1.0
    names: list[str] = Field(["a"], min_length=1)
    few: list[int] = Field([1], min_length=1, max_length=3)
    tags: set[str] = {"a"}
    code: str = Field("a", pattern="^[a-z]+$", max_length=3)
    even: int = Field(2, multiple_of=2)
    place: Path = Path()
    inner: Inner = Inner()

    @model_validator(mode="after")
    def _slow_is_flagged(self) -> Model:
        if self.mode == "slow" and not self.flag:
            raise ValueError("set flag=true for mode=slow.")
        return self


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": "abc"}, 'steps is a whole number of at least 1, not "abc"'),
        ({"mode": 3}, "mode is fast, slow or odd, not 3"),
        ({"flag": "maybe"}, 'flag is true or false, not "maybe"'),
        ({"widths": [1, 0]}, "widths is a list of 2 (each a whole number above 0), not [1, 0]"),
        ({"reach": "far"}, 'reach is a number or a list of 2 (each a number), not "far"'),
        ({"names": []}, "names is a list of at least 1 (each text), not []"),
        (
            {"few": [1, 2, 3, 4]},
            "few is a list of at least 1 and of at most 3 (each a whole number), not [1, 2, 3, 4]",
        ),
        ({"tags": "b"}, 'tags is a list (each text, none twice), not "b"'),
        ({"code": "A"}, 'code is text of length 3 or less and matching ^[a-z]+$, not "A"'),
        ({"even": 3}, "even is a whole number divisible by 2, not 3"),
        ({"place": 7}, "place is a path, not 7"),
        ({"inner": {"rate": 1}}, "inner.rate is a number of at least 0 and below 1, not 1"),
        ({"inner": {"rat": 1}}, "there is no inner.rat"),
        ({"inner": 1}, "inner is a table, not 1"),
        ({"mode": "slow"}, "set flag=true for mode=slow"),
        (
            {"steps": 0, "flag": 2},
            "steps is a whole number of at least 1, not 0; flag is true or false, not 2",
        ),
    ],
    ids=str,
)
def test_a_sentence_names_the_setting_what_is_allowed_and_what_was_given(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError) as error:
        Model.model_validate(values)
    assert wrong_values(Model, values, error.value) == message

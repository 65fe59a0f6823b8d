from __future__ import annotations

from pathlib import Path

import pytest

from bench import verify

GOLDEN = Path(__file__).parents[2] / "data" / "discovery"
CASES = (
    "sg2_key_map",
    "sg2_nv_pickle",
    "sg2_nv_pickle_2021style",
    "sg2_nv_pickle_hostile",
    "sg2_ros_checkpoint",
    "sg2_ros_discriminator",
    "sg2_ros_generator",
    "sg2_ros_regularizers",
)


@pytest.mark.parametrize("name", CASES)
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def test_a_file_that_is_read_though_hostile_fails_its_case(tmp_path: Path) -> None:
    verify.load_case_modules()
    hostile = GOLDEN / "sg2_nv_pickle_hostile"
    harmless = GOLDEN / "sg2_nv_pickle" / "network-snapshot-000000.pkl"
    (tmp_path / "meta.json").write_bytes((hostile / "meta.json").read_bytes())
    (tmp_path / "a.pkl").write_bytes(harmless.read_bytes())
    outcome = verify.run_case(verify.Case(tmp_path))
    assert outcome.status == "failed"
    assert "a.pkl was read" in outcome.message

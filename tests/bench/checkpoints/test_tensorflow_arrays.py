"""Archives of TensorFlow's variables, whole, partial and foreign."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.checkpoints.states import read_states as read_by_method
from bench.checkpoints.tensorflow_arrays import read_states
from bench.errors import MissingFile, Refused

ARRAYS: dict[str, Any] = {
    "encoder/enc_conv1_layer/kernel": np.arange(24.0).reshape(2, 2, 3, 2),
    "encoder/enc_conv1_layer/bias": np.ones(2, np.float32),
    "encoder/bn_1/gamma": np.full(2, 3.0),
    "encoder/bn_1/beta:0": np.full(2, 4.0),
    "encoder/bn_1/moving_mean": np.full(2, 5.0),
    "encoder/bn_1/moving_variance": np.full(2, 6.0),
    "decoder/dec_deconv1_layer/kernel": np.arange(24.0).reshape(2, 2, 2, 3),
    "decoder/dec_dense_fc_first_layer/kernel": np.arange(6.0).reshape(2, 3),
    "encoder/enc_conv1_layer/kernel/Adam": np.ones((2, 2, 3, 2)),
    "encoder/enc_conv1_layer/kernel/Adam_1": np.ones((2, 2, 3, 2)),
    "beta1_power": np.float32(0.5),
    "global_step": np.int64(3),
}


class Trap:
    """What unpickling would call."""

    def __reduce__(self) -> Any:
        return exit, (3,)


def save(path: Path, arrays: dict[str, Any] = ARRAYS) -> Path:
    np.savez(path, **arrays)
    return path


def test_layouts_and_names_become_pytorchs(tmp_path: Path) -> None:
    for path in (save(tmp_path / "model_95.npz"), tmp_path):
        states = read_states(path)
        assert {scope: set(state) for scope, state in states.items()} == {
            "encoder": {
                "enc_conv1_layer.weight",
                "enc_conv1_layer.bias",
                "bn_1.weight",
                "bn_1.bias",
                "bn_1.running_mean",
                "bn_1.running_var",
            },
            "decoder": {"dec_deconv1_layer.weight", "dec_dense_fc_first_layer.weight"},
        }
    encoder, decoder = states["encoder"], states["decoder"]
    kernel = torch.arange(24.0).view(2, 2, 3, 2)  # height, width, in, out
    assert torch.equal(encoder["enc_conv1_layer.weight"], kernel.permute(3, 2, 0, 1))
    kernel = torch.arange(24.0).view(2, 2, 2, 3)  # height, width, out, in
    assert torch.equal(decoder["dec_deconv1_layer.weight"], kernel.permute(3, 2, 0, 1))
    dense = decoder["dec_dense_fc_first_layer.weight"]
    assert torch.equal(dense, torch.arange(6.0).view(2, 3).T)
    values = [encoder[f"bn_1.{name}"][0].item() for name in ("weight", "bias", "running_mean")]
    assert values == [3, 4, 5]
    assert all(
        value.dtype == torch.float32 for state in states.values() for value in state.values()
    )


@pytest.mark.parametrize("method", ["vae-gan", "alpha-gan"])
def test_the_catalog_leads_to_the_reader(method: str, tmp_path: Path) -> None:
    assert read_by_method(method, save(tmp_path / "a.npz")).keys() == {"encoder", "decoder"}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "model_95.index").touch()
    with pytest.raises(MissingFile, match=r"tf\.train\.load_checkpoint"):
        read_states(tmp_path)
    with pytest.raises(MissingFile, match="There is no file"):
        read_states(tmp_path / "absent.npz")
    save(tmp_path / "a.npz")
    save(tmp_path / "b.npz")
    with pytest.raises(Refused, match="2 archives"):
        read_states(tmp_path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nothing in it was executed"):
        read_states(save(tmp_path / "trap.npz", {"encoder/bn_1/beta": np.array([Trap()])}))
    single = io.BytesIO()
    np.save(single, np.ones(3))
    for content in (b"", b"<!DOCTYPE html>", b"\x80\x04\x95", single.getvalue()):
        file = tmp_path / "other.npz"
        file.write_bytes(content)
        with pytest.raises(Refused, match=r"no \.npz archive"):
            read_states(file)
    with pytest.raises(Refused, match="holds no variables named like"):
        read_states(save(tmp_path / "named.npz", {"weights": np.ones(3)}))
    infinite = {**ARRAYS, "encoder/bn_1/gamma": np.array([1.0, np.inf])}
    with pytest.raises(Refused, match="encoder/bn_1/gamma that are not finite"):
        read_states(save(tmp_path / "infinite.npz", infinite))


def test_an_archive_cut_off_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    file = save(tmp_path / "model.npz")
    whole = file.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(Refused):
            read_states(file)
    damaged = bytearray(whole)
    damaged[200] ^= 255  # in the first array
    file.write_bytes(damaged)
    with pytest.raises(Refused):
        read_states(file)

"""One artefact on disk: what a finished stage has left, and what it was trained from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import safetensors.torch
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from safetensors import SafetensorError
from torch import nn

from baselines.base import TrainingData
from bench.catalog import lookup
from bench.errors import BenchError, MissingFile, listed
from bench.files import sha256_of, whole_folder, write_bytes, write_json
from bench.spec import Precision, RunSpec, file_name
from leaderboard.vocabulary import PRESETS

_RECORD, _WEIGHTS = "artefact.json", "weights.safetensors"
_HASH_DIGITS = 10
_SHOWN_DIGITS = 12  # of a fingerprint, in messages


class RunOrigin(BaseModel):
    """What decides the weights of all stages of a run.

    Attributes:
        method: The method's name.
        dataset: The dataset's name.
        dataset_options: What was asked of it.
        fingerprint: Its fingerprint.
        attributes: The names of its attributes.
        size: Height and width of the images in pixels.
        channels: Their colour channels.
        images: How many of them are trained on.
        networks: Hashes of the pretrained networks that training may use, by what they are for.
        seed: The run's seed.
        precision: Arithmetic of the training.
        processes: How many processes trained together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    dataset: str
    dataset_options: dict[str, JsonValue]
    fingerprint: str
    attributes: tuple[str, ...]
    size: int
    channels: int
    images: int
    networks: dict[str, str]
    seed: int
    precision: Precision
    processes: int

    @classmethod
    def of(
        cls,
        spec: RunSpec,
        data: TrainingData,
        fingerprint: str,
        weights: Mapping[str, str],
        processes: int,
    ) -> RunOrigin:
        """That of a run, from its parts; ``weights`` are hashes by what the weights are for."""
        known = {**weights, **spec.contents}
        return cls(
            method=spec.method,
            dataset=spec.dataset,
            dataset_options=spec.dataset_options,
            fingerprint=fingerprint,
            attributes=data.attributes.names,
            size=data.size,
            channels=data.channels,
            images=len(data.train),
            networks={name: known[name] for name in ("generator", "checkpoint") if name in known},
            seed=spec.seed,
            precision=spec.precision,
            processes=processes,
        )


class StageOrigin(BaseModel):
    """What decides the weights of one stage.

    Attributes:
        run: What it shares with all stages of the run.
        stage: The stage's name.
        settings: The settings that the stage says its weights depend on.
        start: sha256 of the weights before the first step.
        after: sha256 of the artefacts of earlier stages, by stage.
        code: sha256 of the code of the stage and its network (``bench.stage_code``).
        torch: The version of torch that trained them.
        device: The kind of device that trained them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: RunOrigin
    stage: str
    settings: dict[str, JsonValue]
    start: str
    after: dict[str, str]
    code: str
    torch: str
    device: str

    @property
    def folder(self) -> Path:
        """The artefact's folder, relative to that of all artefacts."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]
        return Path(file_name(self.run.method), f"{file_name(self.stage)}-{digest}")


class Record(BaseModel):
    """What ``artefact.json`` says.

    Attributes:
        origin: What decided the weights.
        sha256: Of the file of the weights.
        steps: The training steps that the stage took.
        seconds: How long they took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: StageOrigin
    sha256: str
    steps: int
    seconds: float


class StoredArtefact:
    """An artefact on disk.

    Args:
        folder: Its folder.

    Attributes:
        folder: Its folder.
        record: What is known of it.

    Raises:
        MissingFile: The folder is not there or is no artefact.
        BenchError: The record is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.record = Record.model_validate_json((folder / _RECORD).read_bytes())
        except FileNotFoundError:
            raise MissingFile(
                f"{folder} is no artefact, for it has no {_RECORD}: give another folder by "
                "--artefact; if it lies among a run's artefacts, delete it."
            ) from None
        except (OSError, ValidationError) as error:
            raise self._damaged(_RECORD, "is cut off or of another version") from error

    def verified(self) -> str:
        """The sha256 of the weights, after a look at the file.

        Raises:
            BenchError: The file is missing or damaged.
        """
        try:
            self._verify(sha256_of(self.folder / _WEIGHTS))
        except OSError as error:
            raise self._damaged(_WEIGHTS, "is missing or cannot be read") from error
        return self.record.sha256

    def load_into(self, module: nn.Module) -> None:
        """Give the weights to a network.

        Raises:
            BenchError: The file is missing or damaged, or the network is another.
        """
        try:
            content = (self.folder / _WEIGHTS).read_bytes()
            self._verify(hashlib.sha256(content).hexdigest())
            module.load_state_dict(safetensors.torch.load(content))
        except (OSError, SafetensorError) as error:
            raise self._damaged(_WEIGHTS, "is missing or cannot be read") from error
        except RuntimeError as error:  # names or shapes of the tensors
            reason = " ".join(str(error).split())
            raise BenchError(
                f"The weights in {self.folder} are of another network than that of the stage "
                f"{self.record.origin.stage} ({reason}); give another artefact, or leave it out."
            ) from error

    def require_fit(self, run: RunOrigin, settings: Mapping[str, JsonValue]) -> None:
        """Refuse an artefact that a stage of a run cannot use.

        Another seed, device or number of images is none of the reasons.

        Raises:
            BenchError: The dataset, its attributes, the images, the pretrained networks or the
                settings differ.
        """
        others, its = list(self._other_origin(run)), self.record.origin.settings
        changed = sorted(name for name in {*its, *settings} if its.get(name) != settings.get(name))
        if not others and not changed:
            return
        remedy = "the same by --dataset, --data, --generator, --checkpoint and --set"
        differences = [
            _both(name, json.dumps(its.get(name)), json.dumps(settings.get(name)))
            for name in changed
        ]
        if others:  # the first thing to mend, whatever the settings are
            differences = [*others, *([f"settings: {listed(changed)}"] if changed else [])]
        elif (preset := _preset(run.method, its)) and _preset(run.method, settings):
            remedy = f"--preset {preset}"
        raise BenchError(
            f"The artefact {self.folder} does not fit the stage {self.record.origin.stage} of this "
            f"run ({'; '.join(differences)}): choose {remedy}, or leave --artefact out and the "
            "stage is trained."
        )

    def require_origins(self, given: Mapping[str, StoredArtefact]) -> None:
        """Refuse an artefact that was trained on weights which the run would not have.

        Args:
            given: All artefacts that are given, by stage.

        Raises:
            BenchError: An artefact that it was trained after is not among them.
        """
        stage = self.record.origin.stage
        for earlier, sha256 in self.record.origin.after.items():
            other = given.get(earlier)
            if other is None or other.record.sha256 != sha256:
                found = f"{other.folder} is another" if other else "none of that stage is given"
                raise BenchError(
                    f"The artefact {self.folder} of the stage {stage} was trained after that of "
                    f"the stage {earlier} whose sha256 is {sha256}, and {found}: give that one by "
                    f"--artefact too, or leave {self.folder} out and the stage is trained."
                )

    def _other_origin(self, run: RunOrigin) -> Iterator[str]:
        """What differs but for the settings, the dataset first."""
        mine, its = run, self.record.origin.run
        if its.fingerprint != mine.fingerprint:
            yield _both("dataset", _dataset(its), _dataset(mine))
        if (its.size, its.channels) != (mine.size, mine.channels):
            yield _both(
                "images",
                f"{its.size} x {its.size} x {its.channels}",
                f"{mine.size} x {mine.size} x {mine.channels}",
            )
        if its.attributes != mine.attributes:
            there = [name for name in its.attributes if name not in mine.attributes]
            here = [name for name in mine.attributes if name not in its.attributes]
            others = _both("other attributes", listed(there) or "none", listed(here) or "none")
            yield others if there or here else "attributes: in another order"
        for name in sorted({*its.networks, *mine.networks}):
            if its.networks.get(name) != mine.networks.get(name):
                yield _both(name, its.networks.get(name, "none"), mine.networks.get(name, "none"))

    def _verify(self, sha256: str) -> None:
        if sha256 != self.record.sha256:
            raise self._damaged(_WEIGHTS, f"has the sha256 {sha256} and not {self.record.sha256}")

    def _damaged(self, name: str, how: str) -> BenchError:
        return BenchError(
            f"{self.folder / name} {how}: delete the folder {self.folder}, and the stage is "
            "trained again."
        )


def write_artefact(folder: Path, record: Record, weights: bytes) -> None:
    """Write an artefact, unless another run was first.

    Raises:
        BenchError: The disk is full.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if folder.exists():
            return
        with whole_folder(folder) as partial:
            write_bytes(partial / _WEIGHTS, weights)
            write_json(partial / _RECORD, record.model_dump(mode="json"))


def _preset(method: str, settings: Mapping[str, JsonValue]) -> str | None:
    """The preset of a method that has these settings, the first of several; or None."""
    kind = lookup("methods", method).load()
    for preset in PRESETS:
        if settings.items() <= kind.configure(preset).model_dump(mode="json").items():
            return preset
    return None


def _dataset(run: RunOrigin) -> str:
    return f"{run.dataset} of fingerprint {run.fingerprint[:_SHOWN_DIGITS]}"


def _both(what: str, there: str, here: str) -> str:
    return f"{what}: {there} there, {here} here"

"""From what was asked for to what will run: names looked up, settings checked, defaults filled in.

Settings are one nested dictionary, as ``--set`` and a config file give it: keys of the method at
the top, those of the track under ``track``, those of the dataset under ``dataset`` and, with
``--directions``, those of its pairs under ``directions``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, PositiveInt, TypeAdapter, ValidationError

from baselines.base import Method
from bench.allowed import wrong_settings_explained, wrong_values
from bench.catalog import Entry, lookup
from bench.checkpoints.states import checkpoint_hash
from bench.contents import Contents
from bench.data.base import Dataset
from bench.directions.runs import DirectionOptions
from bench.errors import BenchError, UnknownName
from bench.files import sha256_of
from bench.parts import open_dataset
from bench.spec import Precision, RunSpec, check_keys
from bench.tracks import Track
from leaderboard.vocabulary import ASKED, PRESETS

_FILES = ("generator", "predictor", "checkpoint", "directions", "artefact")  # of what is asked


@dataclass(frozen=True)
class RunRequest:
    """A run as it is asked for; what is None follows from the dataset and the track.

    Attributes:
        method: Name, alias or ``package.module:Class``.
        dataset: Name or alias.
        preset: ``smoke``, ``small`` or ``paper``.
        generator: Name, or path of a checkpoint.
        predictor: Name, or path of a file that ``bench train-predictor`` wrote.
        extractor: Name.
        settings: What to change, nested as the module's docstring says.
        limit: At most so many images of the dataset and samples of the evaluation.
        precision: ``float32`` or ``bfloat16``.
        data: Where the dataset lies.
        checkpoint: Trained weights of the method's reference: a file or a folder.
        directions: A discovery run, whose directions make pairs of images; or the folder of all
            runs of a discovery method, of which the one of the same preset and seed is taken.
        artefact: Folders of artefacts, each to take for the stage it names.
    """

    method: str
    dataset: str
    preset: str = "small"
    generator: str | None = None
    predictor: str | None = None
    extractor: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    limit: PositiveInt | None = None
    precision: str = "float32"
    data: Path | None = None
    checkpoint: Path | None = None
    directions: Path | None = None
    artefact: tuple[Path, ...] = ()

    @classmethod
    def checked(cls, fields: Mapping[str, Any]) -> RunRequest:
        """A request of values from a config file or a command line.

        Raises:
            BenchError: A value is of a wrong type or out of range; the message names its field.
        """
        try:
            return TypeAdapter(cls).validate_python(dict(fields))
        except ValidationError as error:
            reason = wrong_values(cls, fields, error)
            raise BenchError(f"The run asked for is wrong: {reason}.") from error


def resolve_seeds(
    request: RunRequest, seeds: Sequence[int], *, allow_absent: bool = False
) -> list[RunSpec]:
    """One specification for each seed; see ``resolve``."""
    if request.directions is not None:  # each seed may have a discovery run of its own
        return [resolve(request, seed, allow_absent=allow_absent) for seed in seeds]
    first = resolve(request, seeds[0], allow_absent=allow_absent)
    return [first.model_copy(update={"seed": seed}) for seed in seeds]


def resolve(request: RunRequest, seed: int, *, allow_absent: bool = False) -> RunSpec:
    """The specification of a run.

    Args:
        request: The run as it is asked for.
        seed: Root of all its random numbers.
        allow_absent: Whether data, weights and checkpoints may be missing, as in a plan; their
            hashes are then ``bench.contents.ABSENT``.

    Raises:
        BenchError: A name or a setting is unknown or out of range, or a file is missing.
    """
    settings = dict(request.settings)
    track_settings = pop_table(settings, "track")
    dataset_options = pop_table(settings, "dataset")
    method_entry = lookup("methods", request.method)
    dataset_entry = lookup("datasets", request.dataset)
    method = load_method(method_entry.name)
    track = load_track(method.track)
    _check_word("precision", request.precision, get_args(Precision))
    dataset_class: type[Dataset] = dataset_entry.load()
    dataset_options = {**dataset_class.presets.get(request.preset, {}), **dataset_options}
    dataset_options |= _absolute({name: dataset_options.get(name) for name in dataset_class.paths})
    overrides = _changes(request)
    contents = Contents(allow_absent)
    if method_entry.name == method_entry.target and (file := inspect.getsourcefile(method)):
        contents.add("method file", lambda: sha256_of(Path(file)))
    if (data := request.data) is not None:
        contents.add(
            "data", lambda: open_dataset(dataset_entry.name, data, dataset_options).fingerprint()
        )
    if (checkpoint := request.checkpoint) is not None:
        contents.add("checkpoint", lambda: checkpoint_hash(checkpoint))
    directions: dict[str, Any] = {}
    if (discovery := request.directions) is not None:
        options = DirectionOptions.configure(request.preset, pop_table(settings, "directions"))
        place, label = contents.add_directions(discovery, request.preset, seed)
        overrides["directions"] = label
        directions = {"directions": place, "direction_options": options.model_dump(mode="json")}
    for folder in request.artefact:
        contents.add_artefact(folder)
    generator = contents.add_weights("generator", request.generator or dataset_entry.generator)
    predictor = contents.add_weights(
        "predictor", request.predictor or _predictor_of(dataset_entry, method.track)
    )
    extractor = request.extractor or getattr(track, "extractor", None)
    setting = f"setting of {method_entry.name}"
    check_keys(settings, [*method.Config.model_fields, "track", "dataset"], setting)
    config = configured(method, request.preset, settings, setting)
    ignored = method.ignores_generator(method.Config.model_validate(config))
    if request.generator and ignored:
        raise BenchError(
            f"{method_entry.name} would make nothing of the generator {request.generator}: "
            f"{ignored}."
        )
    return RunSpec(
        method=method_entry.name,
        track=method.track,
        dataset=dataset_entry.name,
        generator=generator,
        predictor=predictor,
        extractor=lookup("extractors", extractor).name if extractor else None,
        preset=request.preset,  # type: ignore[arg-type]  # checked above
        seed=seed,
        config=config,
        track_options=_limited(
            track,
            configured(
                track, request.preset, track_settings, f"option of the track {method.track}"
            ),
            request.limit,
        ),
        dataset_options=dataset_options,
        overrides=overrides,
        limit=request.limit,
        precision=request.precision,  # type: ignore[arg-type]  # checked above
        data=str(request.data.resolve()) if request.data else None,
        checkpoint=str(request.checkpoint.resolve()) if request.checkpoint else None,
        artefacts=tuple(str(folder.resolve()) for folder in request.artefact),
        contents=contents.hashes,
        **directions,
    )


def load_method(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        BenchError: It is no method, or does not say which track evaluates it.
    """
    method = lookup("methods", name).load()
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise BenchError(f"{name} is no method: it has to be a subclass of baselines.base.Method.")
    if not getattr(method, "track", ""):
        raise BenchError(
            f"{name} names no track: derive it from Discoverer or another capability of "
            "baselines.base."
        )
    return method


def load_track(name: str) -> type[Track]:
    """The class of a track."""
    track: type[Track] = lookup("tracks", name).load()
    return track


def configured(
    owner: type[Method] | type[Track], preset: str, settings: Mapping[str, Any], what: str
) -> dict[str, Any]:
    """The configuration of a preset with settings on top, in full, as JSON values.

    Raises:
        BenchError: The preset or a setting is unknown, or a setting is out of range.
    """
    _check_word("preset", preset, PRESETS)
    model: type[BaseModel] = owner.Config if issubclass(owner, Method) else owner.Options
    with wrong_settings_explained(model, settings, what):
        return owner.configure(preset, settings).model_dump(mode="json")


def pop_table(settings: dict[str, Any], name: str) -> dict[str, Any]:
    """Take the settings below a name, such as ``dataset``, out of a nested dictionary.

    Raises:
        BenchError: The name itself was set.
    """
    table = settings.pop(name, {})
    if not isinstance(table, Mapping):
        raise BenchError(f"--set {name}={table} needs a key, as in {name}.KEY=VALUE.")
    return dict(table)


def _absolute(paths: Mapping[str, Any]) -> dict[str, str]:
    """Those that are given, as they are from any folder."""
    return {
        name: str(Path(path).expanduser().resolve())
        for name, path in paths.items()
        if isinstance(path, str) and path
    }


def _limited(track: type[Track], options: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """A track that counts its samples in an option ``samples`` takes at most ``limit``.

    Raises:
        BenchError: The track cannot do with so few.
    """
    if limit is None or not isinstance(options.get("samples"), int):
        return options
    limited = {**options, "samples": min(options["samples"], limit)}
    try:
        track.Options.model_validate(limited)
    except ValidationError as error:
        raise BenchError(
            f"The track {track.name} needs more samples than --limit {limit} leaves; raise it."
        ) from error
    return limited


def _predictor_of(dataset: Entry, track: str) -> str:
    """The dataset's predictor, unless it is meant for another track; empty if there is none."""
    if not dataset.predictor:
        return ""
    only = lookup("predictors", dataset.predictor).track
    return dataset.predictor if only in ("", track) else ""


def _changes(request: RunRequest) -> dict[str, Any]:
    """What sets the run apart from the plain one of its preset, as it was typed.

    But for a method's settings of the same name as something that the run is asked besides: those
    are told apart as in ``method.extractor``.

    Raises:
        BenchError: A value cannot be kept in a record, such as infinity or a date.
    """
    changes = {
        f"method.{key}" if key in ASKED else key: value
        for key, value in _flat(request.settings).items()
    }
    for name in ASKED:
        asked = getattr(request, name)
        if asked != getattr(RunRequest, name):
            changes[name] = _without_folders(asked) if name in _FILES else asked
    for name, value in changes.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BenchError(
                f"{name} = {value} cannot be kept in a record; give finite numbers, texts, true or "
                "false, or lists of them."
            ) from error
    return changes


def _without_folders(asked: str | Path | tuple[Path, ...]) -> str | list[str]:
    """Names of files, which are the same on any machine."""
    return [path.name for path in asked] if isinstance(asked, tuple) else Path(asked).name


def _check_word(kind: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise UnknownName(kind, word, known, f"There are: {', '.join(known)}.")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"track": {"samples": 5}}`` as ``{"track.samples": 5}``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat

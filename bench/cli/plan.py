"""``bench plan``: what would run, what it needs and how long it may take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import run_options, specs_from

if TYPE_CHECKING:
    from bench.plan import Need, Plan
    from bench.spec import RunSpec


@click.command(
    epilog="""\b
Examples:
  bench plan --method contrafeat --dataset shapes3d --seeds 0..2
  bench plan --method ganspace --dataset ffhq --preset paper --json
"""
)
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool, **options: Any) -> None:
    """Show what a run would do, need and cost; start nothing.

    Takes the options of `bench run`. For each run: its folder, whether it is finished, what is
    missing, what has to be downloaded (size and sha256 where they are stated), its training steps,
    and the expected time judged by finished runs of the same preset.
    """
    from bench.plan import plan

    specs = specs_from(options, allow_absent=True)
    plans = [plan(spec, options["out"]) for spec in specs]
    if as_json:
        click.echo(json.dumps([_record(one) for one in plans], indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(_text(one) for one in plans))


_REMEDIES = {
    "generator": "give --generator a name of `bench list generators` or a checkpoint",
    "predictor": "train one with `bench train-predictor` and give its file by --predictor",
    "extractor": "give --extractor a name of `bench list extractors`",
}


def duration(seconds: float | None) -> str:
    """Seconds in words; None is ``unknown``."""
    if seconds is None:
        return "unknown"
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {unit}"
    return f"about {seconds:.0f} seconds"


def _text(found: Plan) -> str:
    from bench.running import judged_unasked

    spec = found.spec
    named = "" if found.settled else "; named anew once all files are there"
    lines = [str(spec), f"  folder      {found.folder} ({found.state}{named})"]
    for name in ("generator", "predictor", "extractor"):
        none = (
            f"none, and one is needed: {_REMEDIES[name]}" if name in found.track_needs else "none"
        )
        lines.append(f"  {name:<11} {getattr(spec, name) or none}")
    if note := judged_unasked(spec):
        lines.append(f"  judged by   {note}")
    lines += [f"  obstacle    {obstacle}" for obstacle in found.obstacles]
    lines += [f"  {_need(need)}" for need in found.needs]
    lines.append(f"  training    {_training(found)}")
    lines.append(f"  time        {duration(found.seconds)} ({found.basis})")
    return "\n".join(lines)


def _training(found: Plan) -> str:
    if found.stages is None:
        return _length_set(found.spec) or "unknown until everything is there and fits"
    parts = ", ".join(f"{name} {steps:,}" for name, steps in found.stages) or "no stage"
    remain = "" if found.remaining is None else f", of which {found.remaining:,} remain"
    return f"{found.steps:,} steps ({parts}){remain}"


def _length_set(spec: RunSpec) -> str:
    """What the method's settings say of a training whose stages are unknown; empty if nothing."""
    if spec.checkpoint is not None:  # it may stand for the training
        return ""
    for unit in ("iterations", "epochs"):
        if count := spec.config.get(unit):
            return f"{count:,} {unit} are set; the steps are unknown until everything is there"
    return ""


def _need(need: Need) -> str:
    if need.present:
        return f"cached      {need.name}: {need.path}"
    size = "size not stated" if need.size is None else f"{need.size / 1e6:,.1f} MB"
    sha256 = f"sha256 {need.sha256}" if need.sha256 else "sha256 not stated"
    return f"download    {need.name}: {size}, {sha256}, to {need.path}; bench fetch {need.name}"


def _record(found: Plan) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "spec": found.spec.model_dump(mode="json"),
        "spec_hash": found.spec.hash,
        "folder": str(found.folder),
        "state": found.state,
        "needs": [asdict(need) for need in found.needs],
        "obstacles": list(found.obstacles),
        "stages": None if found.stages is None else [list(stage) for stage in found.stages],
        "steps": found.steps,
        "remaining": found.remaining,
        "seconds": found.seconds,
        "basis": found.basis,
    }

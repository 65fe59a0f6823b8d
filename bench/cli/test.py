"""``bench test``: whether a method keeps the contract, check by check."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bench.conformance import Finding


@click.command(
    epilog="""\b
Examples:
  bench test my_module:MyMethod
  bench test my_module:MyMethod --dataset shapes3d-attributes --json
  bench test group-vae --directions runs/discovery/shapes3d/sefa
"""
)
@click.argument("method")
@click.option(
    "--dataset",
    help="A name of `bench list datasets`.  [default: the embedded one of the method's track]",
)
@click.option(
    "--directions",
    type=click.Path(path_type=Path),
    help="A finished discovery run, for a method that learns from its directions; or the folder of "
    "a discovery method's runs, for that of the preset smoke with seed 0.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def command(
    ctx: click.Context, method: str, dataset: str | None, directions: Path | None, as_json: bool
) -> None:
    """Check that METHOD keeps the contract of methods, on the CPU, with its preset smoke.

    METHOD is package.module:Class, or a name of `bench list methods`. Each check says what it
    found and, where it failed, what to do. Exits 1 if one failed, 2 on wrong input.
    """
    from bench.conformance import conformance

    findings: list[Finding] = []
    for finding in conformance(method, dataset, directions):
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.status:<7}  {finding.check:<12}  {finding.found}")
            if finding.remedy:
                click.echo(f"{'':<23}  Remedy: {finding.remedy}")
    count = {
        status: sum(finding.status == status for finding in findings)
        for status in ("passed", "failed", "skipped")
    }
    if as_json:
        click.echo(json.dumps([asdict(one) for one in findings], indent=2, ensure_ascii=False))
    else:
        told = ", ".join(f"{number} {status}" for status, number in count.items() if number)
        click.echo(f"\n{method}: {told}.")
    ctx.exit(1 if count["failed"] else 0)

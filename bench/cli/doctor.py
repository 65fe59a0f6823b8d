"""``bench doctor``: what works on this machine, what does not, and why."""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command(
    epilog="""\b
Examples:
  bench doctor
  bench doctor --json > machine.json
"""
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Try every part: versions, device, optional packages, weights and folders.

    Exits 0 unless the core is broken; what is optional may be absent or broken.
    """
    from bench.doctor import Check, core_is_whole, examine

    checks: list[Check] = []
    group = ""
    for check in examine():
        checks.append(check)
        if as_json:
            continue
        if check.group != group:
            group = check.group
            click.echo(group)
        click.echo(f"  {check.status:<7} {check.name:<28}  {check.detail}")
    whole = core_is_whole(checks)
    if as_json:
        record = {"core": "ok" if whole else "broken", "checks": [asdict(one) for one in checks]}
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        click.echo(f"\nThe core {'works' if whole else 'is broken: see the lines above'}.")
    ctx.exit(0 if whole else 1)

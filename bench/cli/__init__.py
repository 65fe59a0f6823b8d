"""The ``bench`` program: a command is a module with a click ``command``, imported when called."""

from __future__ import annotations

import difflib
import importlib
import warnings
from typing import Any, TextIO

import click

from bench.errors import BenchError

_COMMANDS = {
    "run": "bench.cli.run",
    "plan": "bench.cli.plan",
    "sweep": "bench.cli.sweep",
    "list": "bench.cli.list",
    "show": "bench.cli.show",
    "report": "bench.cli.report",
    "leaderboard": "bench.cli.leaderboard",
    "claims": "bench.cli.claims",
    "check": "bench.cli.check",
    "edit": "bench.cli.edit",
    "name": "bench.cli.name",
    "fetch": "bench.cli.fetch",
    "data": "bench.cli.data",
    "convert": "bench.cli.convert",
    "train-predictor": "bench.cli.train_predictor",
    "pretrain": "bench.cli.pretrain",
    "cluster": "bench.cli.cluster",
    "score": "bench.cli.score",
    "test": "bench.cli.test",
    "verify": "bench.cli.verify",
    "doctor": "bench.cli.doctor",
    "cache": "bench.cli.cache",
}


class LazyGroup(click.Group):
    """A group whose commands are imported by name; it turns mistakes into one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name]).command
        command.name = cmd_name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], _COMMANDS, n=3, cutoff=0.5)
            meant = f"Did you mean {' or '.join(near)}?" if near else "See bench --help."
            ctx.fail(f"There is no command {args[0]!r}. {meant}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        debug = ctx.params.get("debug", False)
        if not debug:
            warnings.showwarning = _show_warning
        try:
            return super().invoke(ctx)
        except BenchError as error:
            if debug:
                raise
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("Interrupted; the same command goes on from here.", err=True)
            ctx.exit(130)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  bench run --method contrafeat --dataset shapes3d
  bench leaderboard --track discovery
""",
)
@click.version_option(package_name="gan-attribute-bench", prog_name="bench")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Benchmark methods that control the attributes of GAN images.

    A method goes in, a result comes out, a table shows it.
    """


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    click.echo(f"Warning: {message}", err=True)

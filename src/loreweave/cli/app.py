"""The commands in one table, and one place where an error becomes one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import loreweave
from loreweave.cli import ablate, ask, compare, demo, fit, inspect, neighbours, recommend, stored
from loreweave.cli.output import one_line
from loreweave.errors import LoreweaveError

app = typer.Typer(
    name="loreweave",
    help="Recommend with what a language model knows, and prove on your own data whether it helped.",
    epilog="Start with: loreweave demo. Then: loreweave inspect YOUR_DATA.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    demo.demo,
    inspect.inspect,
    compare.compare,
    ablate.ablate,
    fit.fit,
    fit.tune,
    fit.evaluate,
    recommend.recommend,
    recommend.similar,
    neighbours.neighbours,
    recommend.explain,
):
    app.command()(command)

knowledge = typer.Typer(
    name="knowledge",
    help="Ask a language model about users and items, keep what it says, and check it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for asked in (ask.plan, ask.run, stored.status, stored.check, stored.retry, stored.show, stored.forget, stored.export):
    knowledge.command()(asked)
knowledge.command("import")(stored.import_)
app.add_typer(knowledge)

USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]
"""click's UsageError, wherever this typer keeps it (newer ones carry their own copy of click)."""
INTERRUPTED = 130
"""128 + SIGINT. Some versions of typer turn Ctrl-C into this code themselves."""


@app.callback(invoke_without_command=True)
def entry(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        typer.echo(loreweave.__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0, 1 (a reader of the output that left early), 2 (an error, told in one line) or 130 (Ctrl-C)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a title must not break a terminal that lacks its letters
    try:
        code = app(arguments, prog_name="loreweave", standalone_mode=False)
        sys.stdout.flush()
    except USAGE_ERROR as error:
        return fail(f"{error.format_message()} (loreweave --help)")  # type: ignore[attr-defined]
    except LoreweaveError as error:
        return fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit does not complain again
        return 1
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except MemoryError as error:
        return fail(f"not enough memory ({error}); filter the data (--k-core, --min-value) or take a smaller model")
    except RuntimeError as error:
        if "can't allocate memory" not in str(error) and "out of memory" not in str(error):
            raise
        return fail("not enough memory; filter the data (--k-core, --min-value) or take a smaller model")
    except OSError as error:
        return fail(f"{error.filename or 'a file'}: {error.strerror or error}")
    if code == INTERRUPTED:
        print("interrupted; --resume goes on from here where the command has it", file=sys.stderr)
    return code if isinstance(code, int) else 0


def fail(message: str) -> int:
    """The message on standard error, in one line; the exit code of an error."""
    print(f"error: {one_line(message)}", file=sys.stderr)
    return 2

"""The ``lab`` command: runs the command line and turns what it raises into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

from lab.errors import InfrastructureError, LabError, UserError

EXIT_INTERRUPTED = 130
"""What shells give for Ctrl-C; above 127, so that ``git bisect run`` stops."""


def main() -> NoReturn:
    """Run the command line of this process and exit; no traceback reaches a user without ``--debug``."""
    signal.signal(signal.SIGTERM, terminated)
    arguments = sys.argv[1:]
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    status = run(arguments, as_json="--json" in options, debug="--debug" in options)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def terminated(_signum: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM ends the lab the way Ctrl-C does: children are ended, nothing is left half-written."""
    raise KeyboardInterrupt


def run(arguments: list[str], *, as_json: bool, debug: bool) -> int:
    """The exit code of the command line ``arguments``; errors are told on standard error."""
    import click

    from lab.cli import lab

    try:
        result = lab.main(args=arguments, prog_name="lab", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except BrokenPipeError:  # who read the output has seen enough
        return 0
    except (KeyboardInterrupt, click.Abort):
        print("lab: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        return tell(as_lab_error(error), as_json=as_json)


def as_lab_error(error: Exception) -> LabError:
    """``error`` as one of the two kinds that a user is told of."""
    import click

    match error:
        case LabError():
            return error
        case click.UsageError():
            context = error.ctx.command_path if error.ctx else "lab"
            return UserError(error.format_message(), hint=f"{context} --help")
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return InfrastructureError(f"{where}{error.strerror or error}")
        case _:
            text = f"a fault of the lab's own: {type(error).__name__}: {error}"
            return InfrastructureError(text, hint="run it with --debug to see where")


def tell(error: LabError, *, as_json: bool) -> int:
    """Print ``error`` for a person, and as the one JSON document where that was asked for; its exit code."""
    from lab.report.plain import one_line

    print(f"lab: {one_line(str(error))}", file=sys.stderr)
    if as_json:
        import json

        kind = "user" if isinstance(error, UserError) else "infrastructure"
        print(json.dumps({"error": {"kind": kind, "message": error.message, "hint": error.hint}}))
    return error.exit_code


if __name__ == "__main__":
    main()

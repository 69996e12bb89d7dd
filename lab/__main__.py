"""The ``lab`` command: runs the command line and turns what it raises into one line and an exit code."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

    from lab.errors import LabError
    from lab.guest.ahead import Ahead

EXIT_FAILED = 128
EXIT_INTERRUPTED = 130
"""What shells give for Ctrl-C; above 127, so that ``git bisect run`` stops."""


def main() -> NoReturn:
    """Run the command line of this process and exit; no traceback reaches a user without ``--debug``."""
    arguments = sys.argv[1:]
    open_streams()
    ahead = None
    if arguments[:1] == ["boot"]:  # before anything else is imported
        from lab.guest.ahead import Ahead

        ahead = Ahead(arguments, dict(os.environ))
        ahead.start()
    import signal

    signal.signal(signal.SIGTERM, terminated)
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    status = run(arguments, as_json="--json" in options, debug="--debug" in options, ahead=ahead)
    leave(status)


def open_streams() -> None:
    """Give a process that was started without a standard stream an empty one, or a file would get its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - for as long as the process runs
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115


def leave(status: int) -> NoReturn:
    """End this process with ``status`` once all it said is out; tearing Python down would take longer than that."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # who read the output has seen enough
        pass
    except OSError as error:
        if status != EXIT_FAILED:  # else it has been told
            print(f"lab: standard output: {error.strerror}", file=sys.stderr)
        status = EXIT_FAILED
    try:
        sys.stderr.flush()
    finally:
        os._exit(status)


def terminated(_signum: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM ends the lab the way Ctrl-C does: children are ended, nothing is left half-written."""
    raise KeyboardInterrupt


def run(arguments: list[str], *, as_json: bool, debug: bool, ahead: Ahead | None = None) -> int:
    """The exit code of the command line ``arguments``; errors are told on standard error."""
    import click

    from lab.cli import lab

    try:
        result = lab.main(args=arguments, prog_name="lab", standalone_mode=False, obj=ahead)
        return result if isinstance(result, int) else 0
    except BrokenPipeError:  # who read the output has seen enough
        return 0
    except (KeyboardInterrupt, click.Abort):
        print("lab: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exc()
        return tell(as_lab_error(error), as_json=as_json)
    finally:
        if ahead:
            ahead.drop()


def as_lab_error(error: Exception) -> LabError:
    """``error`` as one of the two kinds that a user is told of."""
    import click

    from lab.errors import InfrastructureError, LabError, UserError

    match error:
        case LabError():
            return error
        case click.exceptions.NoArgsIsHelpError() if error.ctx and isinstance(error.ctx.command, click.Group):
            context, names = error.ctx.command_path, error.ctx.command.list_commands(error.ctx)
            return UserError(f"{context} what? {', '.join(names)}", hint=f"{context} --help")
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
    from lab.errors import UserError
    from lab.report.plain import one_line

    print(f"lab: {one_line(str(error))}", file=sys.stderr)
    if as_json:
        import contextlib
        import json

        kind = "user" if isinstance(error, UserError) else "infrastructure"
        document = {"error": {"kind": kind, "message": error.message, "hint": error.hint}}
        with contextlib.suppress(OSError):  # the error may be that nothing can be printed
            print(json.dumps(document))
    return error.exit_code


if __name__ == "__main__":
    main()

"""The command line: parse, call, print. A command's module is imported when the command is called."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "doctor": "Is everything here that the lab needs; what is missing, and what mends it.",
    "repro": "Reproduce a case: the series' end, and its base for comparison.",
    "build": "Build the kernel of one point of a case.",
    "boot": "Boot one kernel and say how far it came.",
    "check": "Judge a kernel tree as it stands; a script for 'git bisect run'.",
    "bisect": "Find the patch of a series that brought the bug.",
    "matrix": "Boot a matrix of points, kconfigs and machines, as every night.",
    "hosts": "Other machines over SSH: name, check and set them up; --on NAME uses one.",
    "history": "What was run, what came of it, and since when a finding is seen.",
    "gc": "Make room: remove kernels, boots, consoles and objects that are not needed.",
    "series": "Import a series from mails, check it, compare two.",
    "case": "Draft a case from a bug report.",
    "bases": "List the kernel sources that are here, and what would be fetched.",
    "report": "Nights as HTML, JUnit, KCIDB or a mail; the answer to a thread, with the facts.",
    "bundle": "Pack a case so that someone else repeats it, without the lab.",
    "kconfig": "Render, resolve, check and import kconfigs.",
    "scan": "Findings, stages and the verdict of console logs.",
    "compare": "A bug report beside a console: what agrees, what differs.",
}
"""Each command and its line in ``lab --help``: the listing then needs none of their modules."""


class LazyGroup(click.Group):
    """A group whose commands live in modules of the same name, so that each command pays for its own imports only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or ``None``."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"lab.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - a module without its command is a fault of ours
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The listing of ``lab --help``."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kernel-boot-lab", message="%(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show where an error comes from.")
def lab() -> None:
    """Does this kernel, with these patches, this config and this machine, boot without a bug; and if not, since which
    patch?

    \b
    lab doctor                      is everything here that it takes
    lab repro early-policy          the crash of the example series, and its base
    lab bisect early-policy         the patch that brought it
    lab boot --kernel bzImage       any kernel, on two NUMA nodes
    lab scan console.log            what a console says

    Exit codes: 0 good, 1 bad, 125 skip; 128 the lab could not do its work, 129 wrong usage, 130 interrupted.
    """

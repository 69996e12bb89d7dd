"""``lab doctor``."""

from __future__ import annotations

import click

from lab.cli.common import emit, output_options


@click.command()
@output_options
def doctor(as_json: bool) -> int:
    """Look at every tool, package, accelerator and free disk that the lab needs.

    Exits 0 when nothing is missing, else 128. What is only optional does not count.

    \b
    lab doctor
    lab doctor --json | jq '.checks[] | select(.status != "ok")'
    """
    from lab.doctor import examine
    from lab.errors import InfrastructureError
    from lab.paths import user_paths

    checks = examine(user_paths())
    healthy = all(check.status != "missing" for check in checks)
    if as_json:
        emit({"ok": healthy, "checks": checks})
    else:
        from lab.report.terminal import show_checks

        show_checks(checks)
    return 0 if healthy else InfrastructureError.exit_code

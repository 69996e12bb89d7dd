"""``lab doctor``."""

from __future__ import annotations

import click

from lab.cli.common import SHARE, emit, output_options


@click.command()
@SHARE
@output_options
def doctor(*, share: str | None, as_json: bool) -> int:
    """Look at every tool, package, accelerator and free disk that the lab needs, and at the store's shared side.

    Exits 0 when nothing is missing, else 128. What is only optional does not count.

    \b
    lab doctor
    lab doctor --share s3://lab
    lab doctor --json | jq '.checks[] | select(.status != "ok")'
    """
    from lab.doctor import examine
    from lab.errors import InfrastructureError
    from lab.paths import user_paths
    from lab.settings import load_settings
    from lab.share.where import chosen

    paths = user_paths()
    checks = examine(paths, share=chosen(share, load_settings(paths.config_file).share))
    healthy = all(check.status != "missing" for check in checks)
    if as_json:
        emit({"ok": healthy, "checks": checks})
    else:
        from lab.report.terminal import show_checks

        show_checks(checks)
    return 0 if healthy else InfrastructureError.exit_code

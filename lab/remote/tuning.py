"""What Dask need not do for the lab. Its workers wait for compilers and guests: nobody asks where their Python is all
that time; and its scheduler need not look a hundred times a second where it is itself."""

from __future__ import annotations

import os

PROFILE = "distributed.worker.profile.enabled"
"""A sample of each thread's stack every 10 ms, also in the scheduler."""

TICK = "distributed.admin.tick.interval"
"""How often it is looked whether the event loop still turns; Dask's default is 20 ms, and it warns after 3 s."""

HTTP = "127.0.0.1:0"
"""Where Dask's web server listens, which it starts without a dashboard too, for anybody who reaches it and without the
run's certificates; by default on port 8787 of the scheduler's address."""

NO_DASHBOARD: dict[str, object] = {"dashboard": False, "dashboard_address": HTTP}
NO_DASHBOARD_WORDS = ("--no-dashboard", "--dashboard-address", HTTP)
"""The same for a scheduler's or worker's command."""

SETTINGS: dict[str, object] = {PROFILE: False, TICK: "500ms"}


def environment() -> dict[str, str]:
    """The environment for a scheduler or a worker; what the user has set there counts more."""
    return {name_of(key): str(value) for key, value in SETTINGS.items()} | dict(os.environ)


def name_of(key: str) -> str:
    """The environment variable that Dask reads for a key of its configuration."""
    return "DASK_" + key.upper().replace(".", "__").replace("-", "_")


def settle() -> None:
    """The same for what Dask starts from this process; what the user has configured counts more."""
    import dask
    import distributed  # noqa: F401 - its defaults have to be there before they are changed

    defaults: dict[str, object] = {}
    for key, value in SETTINGS.items():
        if name_of(key) in os.environ:
            continue
        place: dict[str, object] = defaults
        *way, last = key.split(".")
        for step in way:
            place = place.setdefault(step, {})  # type: ignore[assignment]
        place[last] = value
    dask.config.update_defaults(defaults)

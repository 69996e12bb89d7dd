"""Dask's own housekeeping, turned down; what the user says counts more."""

import contextlib
import warnings

import pytest

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

import dask

from lab.paths import Paths
from lab.progress import silent
from lab.remote.cluster import cluster
from lab.remote.spec import parse
from lab.remote.tuning import PROFILE, TICK, environment, name_of, settle


def test_what_is_started_from_here_does_without_profiles(monkeypatch):
    monkeypatch.delenv(name_of(PROFILE), raising=False)
    with dask.config.set({}):
        settle()
        assert dask.config.get(PROFILE) is False
        assert dask.config.get(TICK) == "500ms"


def test_so_do_other_processes_but_for_what_the_user_wants(monkeypatch):
    monkeypatch.delenv(name_of(PROFILE), raising=False)
    assert environment()["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"] == "False"
    monkeypatch.setenv(name_of(PROFILE), "True")
    assert environment()["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"] == "True"


@pytest.mark.system
def test_no_web_server_of_dasks_is_open_to_the_network_or_in_anothers_way(tmp_path):
    """Two clusters at once: neither warns of a port that is taken, and both listen on loopback alone."""
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("error")
        for _ in range(2):
            client = stack.enter_context(
                cluster(parse("local:1"), (), Paths(tmp_path, tmp_path, tmp_path / "config"), silent)
            )
            served = client.cluster.scheduler.http_server
            assert [socket.getsockname()[0] for socket in served._sockets.values()] == ["127.0.0.1"]
            assert served.port != 8787

"""Dask's own housekeeping, turned down; what the user says counts more."""

import pytest

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

import dask

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

"""A base's name: what it may be, and where the configuration and kernel.org have it."""

from pathlib import Path

import msgspec
import pytest

from lab.errors import InfrastructureError, UserError
from lab.paths import Paths
from lab.tree.bases import Entry, load_table, resolve_base
from tests.tree.conftest import NOWHERE, RC4


class TestConfigured:
    """A line in the user's configuration file."""

    def test_a_path_is_a_tree(self, kernel, paths: Paths) -> None:
        base = resolve_base("v3.7-rc4", paths=paths, configured={"v3.7-rc4": str(kernel("3.7.2"))})
        assert base.stand_in == "stand-in base 3.7.2 for v3.7-rc4"

    def test_the_tree_that_is_named_now_counts_more(self, kernel, paths: Paths) -> None:
        base = resolve_base(
            "v3.7-rc4", paths=paths, tree=kernel("3.7.2"), configured={"v3.7-rc4": str(kernel("3.7.9", "other"))}
        )
        assert base.version == "3.7.2"

    def test_a_mirror_is_fetched_once(self, kernel, git, paths: Paths) -> None:
        tree = kernel("3.7.0-rc4")
        git("tag", "-am", "Linux 3.7-rc4", "v3.7-rc4", cwd=tree)
        real = git("rev-parse", "HEAD", cwd=tree)
        table = {"v3.7-rc4": Entry(version="3.7.0-rc4", commit=real)}
        places = {"v3.7-rc4": f"file://{tree}"}
        base = resolve_base("v3.7-rc4", paths=paths, configured=places, table=table)
        assert (base.commit, base.stand_in) == (real, "")
        tree.rename(tree.with_name("gone"))
        assert resolve_base("v3.7-rc4", paths=paths, configured=places, table=table) == base

    def test_a_mirror_with_another_commit_under_that_tag_stands_in(self, kernel, git, paths: Paths) -> None:
        tree = kernel("3.7.0-rc4")
        git("tag", "v3.7-rc4", cwd=tree)
        base = resolve_base("v3.7-rc4", paths=paths, configured={"v3.7-rc4": f"file://{tree}"})
        assert base.stand_in == "stand-in base 3.7.0-rc4 for v3.7-rc4"

    @pytest.mark.parametrize("url", ["ext::sh -c touch% pwned", "https://127.0.0.1:9/linux.git", "-x://y"])
    def test_a_mirror_that_cannot_be_reached_is_the_worlds_fault(
        self, paths: Paths, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises((InfrastructureError, UserError)):
            resolve_base("v3.7-rc4", paths=paths, configured={"v3.7-rc4": url})
        assert not list(tmp_path.rglob("pwned"))


class TestKernelOrg:
    """The table's URL; the server is in test_download.py."""

    def test_what_cannot_be_had_is_told_in_two_lines(self, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lab.tree.download.TRIES", 1)
        table = {"v3.7-rc4": msgspec.structs.replace(load_table()["v3.7-rc4"], url=NOWHERE)}
        with pytest.raises(UserError) as caught:
            resolve_base("v3.7-rc4", paths=paths, table=table)
        lines = str(caught.value).splitlines()
        assert len(lines) == 2
        assert "git clone --depth 1 --branch v3.7-rc4 https://git.kernel.org/" in lines[0]
        assert "--tree PATH" in lines[1]
        assert str(paths.config_file) in lines[1]
        assert '"v3.7-rc4" = "PATH or git URL"' in lines[1]


def test_the_table_knows_both_bases() -> None:
    table = load_table()
    assert table["debian-6.1"].package == "linux-source-6.1"
    assert len(table["debian-6.1"].sha256) == 64
    assert table["v3.7-rc4"].commit == RC4


@pytest.mark.parametrize("name", ["", "-rf", "a b", "x\x1b[31m", "v6.5^{/a:b}", "a" * 300, "x\ny"])
def test_a_name_that_no_revision_has_is_refused(paths: Paths, kernel, name: str) -> None:
    with pytest.raises(UserError, match="not the name of a base") as caught:
        resolve_base(name, paths=paths, tree=kernel("6.1.7"))
    assert "\x1b" not in str(caught.value)


def test_an_unknown_name_without_a_tree_lists_what_is_known(paths: Paths) -> None:
    with pytest.raises(UserError, match=r"no base 'mine'; known are debian-6\.1, v3\.7-rc4, vX\.Y.*--tree PATH"):
        resolve_base("mine", paths=paths)

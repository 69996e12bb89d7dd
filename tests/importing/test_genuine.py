"""A case that names a genuine series learns its patch-ids once and holds later ones against them."""

import pytest

from lab.case import MANIFEST, Manifest, load_case
from lab.errors import UserError
from lab.manifest import load
from lab.tree.importing import genuine
from lab.tree.importing.case import import_case
from lab.tree.importing.compare import beside, sketches
from lab.tree.importing.take import genuine as take_genuine
from lab.tree.importing.take import take
from lab.tree.stock import stock
from tests.importing.conftest import mbox, series

CASE = """
title = "t"
base = "debian-6.1"
kconfig = "tiny-numa"  # a comment that stays
machine = "one-node"
[expect]
signature = "bug:x"
[genuine]
message_id = "v1-0@x"
patches = 3
patch_ids = []
"""


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """The project's cases: one that names a genuine series."""
    folder = tmp_path / "patches"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / MANIFEST).write_text(CASE)
    monkeypatch.setattr(genuine, "data_folder", lambda _name: folder)
    return folder


def run(path, paths, output):
    return import_case(str(path), paths, {}, output=output, base="debian-6.1")


def test_the_first_import_fills_the_patch_ids_in(write, paths, tmp_path, shared):
    path = write("x.mbox", mbox(*series(3)))
    assert "3 patch-ids are noted" in run(path, paths, tmp_path / "a").genuine
    text = (shared / "mine" / MANIFEST).read_text()
    assert "# a comment that stays" in text
    assert len(load(shared / "mine" / MANIFEST, Manifest).genuine.patch_ids) == 3
    assert "all 3 patch-ids are as they are known" in run(path, paths, tmp_path / "b").genuine


def test_another_series_under_that_message_id_is_refused(write, paths, tmp_path, shared):
    run(write("x.mbox", mbox(*series(3))), paths, tmp_path / "a")
    forged = [one.replace(b"+int n2;", b"+int evil;") for one in series(3)]
    with pytest.raises(UserError, match="not the genuine series of mine: patch 2 has another patch-id"):
        run(write("y.mbox", mbox(*forged)), paths, tmp_path / "b")


def test_where_the_case_is_not_ours_to_change_the_user_remembers(write, paths, tmp_path, shared, monkeypatch):
    from lab.errors import InfrastructureError

    real = genuine.write_atomic

    def refuse(path, data):
        if path.name == MANIFEST:
            raise InfrastructureError("read-only")
        real(path, data)

    monkeypatch.setattr(genuine, "write_atomic", refuse)
    assert str(paths.data) in run(write("x.mbox", mbox(*series(3))), paths, tmp_path / "a").genuine
    assert "as they are known" in run(tmp_path / "x.mbox", paths, tmp_path / "b").genuine


def test_the_genuine_series_is_run_as_its_case_is(write, paths, tmp_path, shared, monkeypatch):
    path = write("x.mbox", mbox(*series(3)))
    from dataclasses import replace

    import msgspec

    case = load_case(str(shared / "mine"), shared)
    named = replace(case, genuine=msgspec.structs.replace(case.genuine, message_id=str(path)))
    found = take_genuine(named, paths, {}, tree=None).case
    assert (len(found.patches), found.machine, found.expect.signature, found.base) == (
        3,
        "one-node",
        "bug:x",
        "debian-6.1",
    )
    assert found.origin is not None
    with pytest.raises(UserError, match="names no genuine series"):
        take_genuine(replace(case, genuine=None), paths, {}, tree=None)


def test_a_mailbox_is_taken_in_one_go_and_kept(write, paths, kernel_tree):
    path = write("x.mbox", mbox(*series(3)))
    first = take(str(path), paths, {}, tree=kernel_tree)
    assert first.tree == kernel_tree
    assert first.case.origin is not None
    assert take(str(path), paths, {}, tree=kernel_tree).case.folder == first.case.folder


def test_a_base_is_chosen_by_the_blobs_that_are_named(write, paths, kernel_tree):
    import subprocess

    blob = subprocess.run(
        ["git", "hash-object", kernel_tree / "mm" / "slub.c"], capture_output=True, text=True, check=True
    )
    mails = [one.replace(b"1111111..2222222", f"{blob.stdout[:7]}..2222222".encode()) for one in series(1)]
    done = import_case(str(write("x.mbox", mbox(*mails))), paths, {}, tree=kernel_tree, output=paths.cache / "o")
    assert (done.choice.fits, done.choice.asked) == (1, 1)
    assert "1 of the 1 files that the patches name are the same" in done.choice.why


def test_what_was_imported_is_at_hand_by_its_name(write, paths, tmp_path, kernel_tree):
    """A tarball of the same content, a release that was fetched and a source package: none needs a --tree."""
    import subprocess
    import tarfile

    from lab.settings import Settings
    from lab.tree.get import get_base
    from lab.tree.releases import import_name, release
    from lab.tree.repos import import_archive

    (kernel_tree / "mm" / "slub.c").write_text("int slub;\nint other;\n")
    with tarfile.open(tmp_path / "near.tar", "w") as tar:
        tar.add(kernel_tree, "linux")
    near = get_base(str(tmp_path / "near.tar"), paths, Settings())
    (kernel_tree / "mm" / "slub.c").write_text("int slub;\n")
    with tarfile.open(tmp_path / "linux.tar", "w") as tar:
        tar.add(kernel_tree, "linux")
    one = release("v3.7.2")
    import_archive(paths, import_name(one), tmp_path / "linux.tar", origin=one.file, version=one.version)
    argv = ["git", "hash-object", kernel_tree / "mm" / "slub.c"]
    blob = subprocess.run(argv, capture_output=True, text=True, check=True).stdout[:7]
    mails = [mail.replace(b"1111111..2222222", f"{blob}..2222222".encode()) for mail in series(1)]
    done = import_case(str(write("x.mbox", mbox(*mails))), paths, {}, output=paths.cache / "o")
    assert (done.choice.name, done.choice.tree, done.choice.fits) == ("v3.7.2", None, 1)
    assert load_case(str(done.folder), tmp_path).base == "v3.7.2"
    assert {row.name for row in stock(paths, {}, tmp_path) if row.state == "imported"} == {"v3.7.2", near.name}


def test_a_base_is_chosen_by_date_where_no_blob_fits(write, paths, kernel_tree):
    done = import_case(str(write("x.mbox", mbox(*series(1)))), paths, {}, tree=kernel_tree, output=paths.cache / "o")
    assert "Linux 3.7 was being made then" in done.choice.why


def test_what_is_missing_is_said_before_any_work(write, paths):
    path = write("x.mbox", mbox(*[one.replace(b"2012", b"2010") for one in series(1)]))
    with pytest.raises(UserError, match=r"the series needs Linux 2\.6\.37, by its date, and here is no base"):
        take(str(path), paths, {}, tree=None)


def test_series_beside_each_other(write, paths, tmp_path):
    one = run(write("x.mbox", mbox(*series(3))), paths, tmp_path / "a")
    changed = [mail.replace(b"+int n2;", b"+int other;") for mail in series(4)]
    two = run(write("y.mbox", mbox(*changed)), paths, tmp_path / "b")
    load = lambda done: sketches(load_case(str(done.folder), tmp_path).patches)  # noqa: E731
    rows = beside(load(one), load(two))
    assert [row.how for row in rows] == ["same", "same files", "same", "only there"]
    assert (rows[0].here.added, rows[0].here.removed) == (1, 0)


def test_bases_are_listed_without_a_network(paths, tmp_path, kernel_tree):
    rows = {row.name: row for row in stock(paths, {"v3.7-rc4": str(kernel_tree), "gone": "/no/such"}, tmp_path)}
    assert (rows["v3.7-rc4"].state, rows["v3.7-rc4"].offline) == ("tree", True)
    assert (rows["gone"].state, rows["gone"].offline) == ("missing", False)
    assert rows["debian-6.1"].state == "to fetch"
    assert "apt-get install linux-source-6.1" in rows["debian-6.1"].how

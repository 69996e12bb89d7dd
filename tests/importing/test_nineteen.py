"""The project's own 19 patches as a thread: a cover, replies, a v2 of three patches, a report, and a fix in between."""

import os
import re
from pathlib import Path

import pytest

from lab.case import load_case
from lab.paths import data_folder, user_paths
from lab.tree.importing.case import import_case
from lab.tree.importing.ingest import patch_ids
from tests.importing.conftest import mail, mbox

CASE = load_case("numa-foundation", data_folder("patches"))
CONSOLE = Path(__file__).parents[1] / "data" / "consoles" / "reporter-3.7-rc4.txt"


def split(path):
    """Subject and text of a patch file."""
    head, _, body = path.read_text().partition("\n\n")
    subject = re.search(r"^Subject: (?:\[[^]]*\] )?((?:.|\n )*)$", head, re.MULTILINE)[1]
    return " ".join(subject.split()), body


def thread():
    """The mails, in the order in which they were sent."""
    cover = "[RFC PATCH 00/19] Foundation for automatic NUMA balancing"
    mails = [mail(cover, "A foundation.\n", msgid="c@x")]
    for n, path in enumerate(CASE.patches, 1):
        subject, body = split(path)
        mails.append(mail(f"[RFC PATCH {n:02}/19] {subject}", body, msgid=f"{n}@x", parent="c@x", minute=n))
    mails.append(mail("Re: [RFC PATCH 04/19] x", "> +x\nNice.\nReviewed-by: R <r@x>\n", msgid="r1@x", parent="4@x"))
    crash = "It dies:\n" + CONSOLE.read_text()
    mails.append(mail("Re: [RFC PATCH 17/19] x", crash, msgid="r2@x", parent="17@x", sender="Tester <t@x>", minute=30))
    for n in (3, 9, 12):
        subject, body = split(CASE.patches[n - 1])
        again = body.replace("\n---\n", "\nSecond-version: yes\n---\n", 1)
        mails.append(mail(f"[RFC PATCH v2 {n:02}/19] {subject}", again, msgid=f"{n}v2@x", parent=f"{n}@x", minute=40))
    subject, body = split(CASE.fix[0])
    text = f"Try this, please.\n\n---8<---\nSubject: {subject}\n\n{body}"
    mails.append(mail("Re: [RFC PATCH 17/19] x", text, msgid="fix@x", parent="r2@x", minute=50))
    mails.append(mail("Re: [RFC PATCH 17/19] x", "Tested-by: Tester <t@x>\n", msgid="r3@x", parent="fix@x", minute=55))
    return mbox(*mails)


@pytest.fixture
def imported(write, paths, tmp_path):
    return import_case(str(write("thread.mbox", thread())), paths, {}, output=tmp_path / "o", base="HEAD")


def test_the_thread_is_taken_apart(imported, tmp_path):
    chosen = imported.ingested.chosen
    assert [letter.subject.title for letter in chosen.patches] == [split(path)[0] for path in CASE.patches]
    assert [n for n, letter in enumerate(chosen.patches, 1) if letter.msgid.endswith("v2@x")] == [3, 9, 12]
    assert [letter.subject.title for letter in chosen.fixes] == [split(CASE.fix[0])[0]]
    assert chosen.notes == ("v2 sends 3 of 19 patches again; the others are of v1",)
    replies = [one for one in chosen.mails if one.became == "left out: a reply"]
    assert len(replies) == 3
    assert len(chosen.mails) == 1 + 19 + 3 + 3 + 1


def test_the_patches_are_the_same_by_their_ids(imported, tmp_path):
    files = [path.read_text() for path in CASE.patches]
    assert imported.ingested.patch_ids == tuple(patch_ids(files))
    case = load_case(str(imported.folder), tmp_path)
    assert "Second-version: yes" in case.patches[2].read_text()
    assert patch_ids([case.fix[0].read_text()]) == patch_ids([CASE.fix[0].read_text()])


@pytest.mark.tree37
@pytest.mark.skipif(not os.environ.get("LAB_TREE_37"), reason="LAB_TREE_37 names no tree")
def test_they_come_to_the_same_content_on_a_3_7_tree(imported, tmp_path):
    from lab.tree.bases import resolve_base
    from lab.tree.series import apply_series

    case, paths = load_case(str(imported.folder), tmp_path), user_paths()
    base = resolve_base("HEAD", paths=paths, tree=Path(os.environ["LAB_TREE_37"]))
    theirs = apply_series(base, case.patches, paths=paths, fix=case.fix)
    ours = apply_series(base, CASE.patches, paths=paths, fix=CASE.fix)
    assert [point.tree for point in theirs.points] == [point.tree for point in ours.points]

"""The right revision, in the right order, without the talk; and every mail is told of."""

import random

import pytest

from lab.errors import UserError
from lab.tree.importing.choose import choose
from lab.tree.importing.ingest import read_all
from lab.tree.importing.letter import Raw
from lab.tree.importing.sources import split
from lab.tree.importing.subject import read_subject
from tests.importing.conftest import diff, mail, mbox, patch_body, series


def chosen(*mails, **options):
    letters, refused = read_all([Raw(f"mail {n}", data) for n, data in enumerate(mails, 1)])
    assert not refused
    return choose(letters, **options)


def titles(result):
    return [letter.subject.title for letter in result.patches]


def became(result, subject):
    return next(told.became for told in result.mails if told.subject == subject)


@pytest.mark.parametrize(
    ("text", "facts", "title"),
    [
        ("[PATCH 03/19] mm: numa: x", (1, 3, 19, False), "mm: numa: x"),
        ("[RFC PATCH v2 0/5] y", (2, 0, 5, False), "y"),
        ("[PATCHv3 1/2] y", (3, 1, 2, False), "y"),
        ("[PATCH -mm v4 01/10] y", (4, 1, 10, False), "y"),
        ("[PATCH 2 of 4 V2] y", (2, 2, 4, False), "y"),
        ("[RESEND][PATCH net-next 1/1] y", (1, 1, 1, False), "y"),
        ("Re: [PATCH v6.1 1/2] y", (1, 1, 2, True), "y"),
        ("AW: RE: Fwd: y", (1, None, 0, True), "y"),
        ("[media] v4l: y", (1, None, 0, False), "[media] v4l: y"),
        ("[PATCH]", (1, None, 0, False), ""),
    ],
)
def test_a_subject_says_revision_and_place(text, facts, title):
    found = read_subject(text)
    assert (found.version, found.counter, found.total, found.reply) == facts
    assert found.title == title


def test_patches_come_in_order_whatever_the_order_of_the_mails():
    mails = series(12)
    random.Random(7).shuffle(mails)
    result = chosen(*mails)
    assert titles(result) == [f"mm: part {n}" for n in range(1, 13)]
    assert result.title == "mm: a series"
    assert result.cover is not None


def test_the_newest_revision_is_taken_though_it_is_a_thread_of_its_own():
    result = chosen(*series(3), *series(4, version=" v2", key="v2"))
    assert result.revision == 2
    assert len(result.patches) == 4
    assert became(result, "[PATCH 1/3] mm: part 1") == "left out: replaced by v2"
    assert any("v2 has 4 patches, v1 had 3" in note for note in result.notes)


def test_an_older_revision_can_be_asked_for():
    assert chosen(*series(3), *series(4, version=" v2", key="v2"), revision=1).revision == 1
    with pytest.raises(UserError, match="no revision v3; there are v1, v2"):
        chosen(*series(3), *series(4, version=" v2", key="v2"), revision=3)


def test_a_revision_with_a_hole_is_not_taken():
    v2 = [one for one in series(4, version=" v2", key="v2") if b"2/4" not in one]
    result = chosen(*series(3), *v2)
    assert result.revision == 1
    assert "v2 is not whole: of 4 patches 2 are missing" in result.notes


def test_where_no_revision_is_whole_it_says_what_is_missing():
    with pytest.raises(UserError, match="v1 is not whole: of 3 patches 2 are missing"):
        chosen(*[one for one in series(3) if b"2/3" not in one])


def test_single_patches_sent_again_replace_those_they_answer():
    again = mail("[PATCH v2 2/3] mm: part 2", patch_body(22), msgid="again@x", parent="v1-2@x", minute=30)
    alone = mail("[PATCH v2] mm: part 3", patch_body(33), msgid="alone@x", parent="v1-3@x", minute=31)
    result = chosen(*series(3), again, alone)
    assert [letter.msgid for letter in result.patches] == ["v1-1@x", "again@x", "alone@x"]
    assert result.revision == 2


def test_replies_are_dropped_and_fixes_are_candidates():
    talk = mail(
        "Re: [PATCH 1/3] mm: part 1", "> +int n1;\nLooks good.\nReviewed-by: R <r@x>\n", msgid="r@x", parent="v1-1@x"
    )
    hack = mail("Re: [PATCH 2/3] mm: part 2", f"> why\n\nThis helps me:\n\n{diff(line='hack')}", msgid="hack@x",
                parent="v1-2@x", sender="Tester <t@example.org>", minute=40)  # fmt: skip
    fix = mail(
        "Re: [PATCH 2/3] mm: part 2",
        "Try this.\n\n---8<---\nFrom: Mel Other <mel@example.org>\nSubject: [PATCH] mm: the fix\n\n"
        f"Because.\n---\n{diff(line='fix')}",
        msgid="fix@x", parent="hack@x", minute=20)  # fmt: skip
    result = chosen(*series(3), talk, hack, fix)
    assert len(result.patches) == 3
    assert [(one.subject.title, one.email) for one in result.fixes] == [
        ("mm: the fix", "mel@example.org"),
        ("Fix: mm: part 2", "t@example.org"),
    ]
    assert result.fixes[0].text.startswith("Because.")
    assert "> why" not in result.fixes[1].text
    assert became(result, "Re: [PATCH 1/3] mm: part 1") == "left out: a reply"


def test_a_patch_beyond_the_last_is_a_candidate():
    extra = mail("[PATCH 4/3] mm: forgot this", patch_body(4), msgid="extra@x", parent="v1-0@x")
    result = chosen(*series(3), extra)
    assert len(result.patches) == 3
    assert [one.msgid for one in result.fixes] == ["extra@x"]


def test_what_the_mails_say_of_their_base():
    body = patch_body(1) + (
        f"base-commit: {'a' * 40}\nprerequisite-patch-id: {'b' * 40}\nprerequisite-patch-id: {'c' * 40}\n"
    )
    cover = "Cover.\n\n---\nchange-id: 20230101-numa-1234abcd\nprerequisite-change-id: 20230101-other-99:v3\n"
    result = chosen(mail("[PATCH 0/1] t", cover, msgid="0@x"), mail("[PATCH 1/1] p", body, msgid="1@x", parent="0@x"))
    assert result.base_commit == "a" * 40
    assert result.prerequisites == ("b" * 40, "c" * 40)
    assert result.change_id == "20230101-numa-1234abcd"
    assert result.prerequisite_changes == ("20230101-other-99:v3",)


def test_two_series_are_not_mixed():
    other = [one.replace(b"mm: ", b"net: ").replace(b"v1-", b"other-").replace(b"dev@", b"net@") for one in series(2)]
    with pytest.raises(UserError, match="there are 2 series"):
        chosen(*series(2), *other)
    result = chosen(*series(2), *other, wanted="other-1@x")
    assert titles(result) == ["net: part 1", "net: part 2"]
    assert became(result, "[PATCH 1/2] mm: part 1") == "left out: of another series"


def test_a_mail_that_is_there_twice_counts_once():
    mails = series(2)
    result = chosen(*mails, mails[1])
    assert len(result.patches) == 2
    assert result.mails[-1].became == "left out: the same mail is there already"


def test_a_series_sent_twice_is_taken_from_the_later_sending():
    later = [one.replace(b"09:", b"11:") for one in series(2, key="re", prefix="PATCH RESEND")]
    result = chosen(*series(2), *later)
    assert [letter.msgid for letter in result.patches] == ["re-1@x", "re-2@x"]


def test_a_thread_that_goes_in_circles_ends():
    a = mail("[PATCH 1/2] a", patch_body(1), msgid="a@x", parent="b@x")
    b = mail("[PATCH 2/2] b", patch_body(2), msgid="b@x", parent="a@x")
    assert titles(chosen(a, b)) == ["a", "b"]


def test_plain_patches_are_a_series_in_their_order():
    letters, _ = read_all([Raw("b", diff(line="b").encode(), "b"), Raw("a", diff(line="a").encode(), "a")])
    assert [one.subject.title for one in choose(letters).patches] == ["b", "a"]


def test_mailbox_lines_that_look_like_borders():
    quoted = mail("[PATCH 1/1] x", ">From here on\n" + patch_body(1), msgid="1@x")
    raws = split(mbox(quoted, mail("Re: y", "From what I see\n", msgid="2@x")), "m")
    assert len(raws) == 2
    assert b"\nFrom here on\n" in raws[0].data


def test_the_choice_is_that_of_b4():
    b4 = pytest.importorskip("b4")
    import email
    import email.policy

    again = mail("[PATCH v2 2/3] mm: part 2", patch_body(22), msgid="again@x", parent="v1-2@x", minute=30)
    talk = mail("Re: [PATCH 1/3] mm: part 1", "> +int n1;\nLooks good.\n", msgid="r@x", parent="v1-1@x")
    for mails in (series(3), [*series(3), again, talk], [*series(3), *series(4, version=" v2", key="v2")]):
        b4.can_network = False
        box = b4.LoreMailbox()
        for data in mails:
            box.add_message(email.message_from_bytes(data, policy=email.policy.EmailPolicy(utf8=True)))
        theirs = box.get_series(codereview_trailers=False)
        assert [one.msgid for one in theirs.patches[1:]] == [one.msgid for one in chosen(*mails).patches]

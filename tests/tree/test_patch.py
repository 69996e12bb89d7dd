"""What a patch says about files, hunks and modes, and which names it must not have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.tree.patch import failure, parse, refusal, unsafe_link, unsafe_name

TWO_FILES = b"""\
Some words first, with --- in them.
---
 mm/a.c | 2 +-
 1 file changed

diff --git a/mm/a.c b/mm/a.c
index 1111111..2222222 100644
--- a/mm/a.c
+++ b/mm/a.c
@@ -10,3 +10,3 @@ static int a(void)
 context
--- looks like a header
+++ so does this
 context
@@ -50,2 +50,3 @@
 one

+two
diff --git a/mm/b c.h b/mm/b c.h
new file mode 100755
--- /dev/null
+++ b/mm/b c.h\t
@@ -0,0 +1 @@
+new
--\x20
2.39.5
"""


def test_files_and_hunks_are_found_and_bodies_are_not_read_as_headers() -> None:
    first, second = parse(TWO_FILES)
    assert set(first.names) == {"mm/a.c"}
    assert [(hunk.start, hunk.line) for hunk in first.hunks] == [(10, 10), (50, 15)]
    assert second.name == "mm/b c.h"
    assert second.modes == ["100755"]
    assert [hunk.start for hunk in second.hunks] == [0]


def test_renames_copies_and_modes_without_hunks_are_files_too() -> None:
    diffs = parse(
        b"diff --git a/old name b/new\nsimilarity index 100%\nrename from old name\nrename to ../new\n"
        b"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n"
        b'diff --git "a/\\303\\274" "b/tab\\there"\ncopy from \xc3\xbc\ncopy to "tab\\there"\n'
    )
    assert [diff.name for diff in diffs] == ["../new", "x", "tab\there"]
    assert "ü" in diffs[2].names
    assert refusal(diffs) == "../new: a path that leaves the tree"


def test_a_diff_without_gits_header_is_one_too() -> None:
    (diff,) = parse(b"--- linux.orig/mm/a.c\t2012-11-06\n+++ linux/mm/a.c\t2012-11-07\n@@ -1 +1 @@\n-a\n+b\n")
    assert set(diff.names) == {"mm/a.c"}


def test_text_without_a_diff_has_no_files() -> None:
    assert parse(b"just words\n@@ -1 +1 @@\n") == []


@pytest.mark.parametrize(
    "name",
    [
        "../x", "a/../../x", "/etc/passwd", ".git/hooks/post-checkout", ".GIT/config", "sub/.Git/x", "git~1/x",
        ".g\u200cit/config", ".git /x", "a\x1b[2J", "a\nb", "a\x00b", "a//b", "./a", "a/.", "",
    ],
)  # fmt: skip
def test_names_that_must_not_be_written(name: str) -> None:
    assert unsafe_name(name)


@pytest.mark.parametrize("name", ["mm/mempolicy.c", ".gitignore", "a b", "ü", "drivers/aux.c", "x..y", ".github/x"])
def test_names_that_kernels_have(name: str) -> None:
    assert not unsafe_name(name)


@pytest.mark.parametrize(
    ("name", "target", "fine"),
    [
        ("scripts/dtc/include-prefixes/arm", "../../../arch/arm/boot/dts", True),
        ("a", "b", True),
        ("a/b", "..", True),
        ("a", "..", False),
        ("a/b", "../../x", False),
        ("a/b", "c/../x", False),  # c may be a link itself
        ("a", "/etc/passwd", False),
        ("a/b", "../.git/config", False),
        ("a", "x\x1b[2J", False),
        ("a", "", False),
    ],
)
def test_links_stay_in_the_tree(name: str, target: str, fine: bool) -> None:
    assert (unsafe_link(name, target) == "") is fine


@pytest.mark.parametrize("mode", ["160000", "040000", "100664", "777"])
def test_only_files_and_links_may_be_made(mode: str) -> None:
    assert f"mode {mode}" in refusal(parse(f"diff --git a/x b/x\nnew file mode {mode}\n".encode()))


@pytest.mark.parametrize(
    ("stderr", "says"),
    [
        ("error: patch failed: mm/a.c:50\nerror: mm/a.c: patch does not apply\n",
         "mm/a.c, hunk 2 of 2 (@@ -50,2 +50,3 @@)"),
        ("error: mm/gone.c: does not exist in index\n", "mm/gone.c: does not exist in index"),
        ("error: corrupt patch at line 17\n", "mm/a.c, hunk 2 of 2: corrupt patch (line 17 of the diff)"),
        ("", "git apply refused it"),
    ],
)  # fmt: skip
def test_a_failure_names_file_and_hunk(stderr: str, says: str) -> None:
    assert failure(stderr, parse(TWO_FILES)) == says


@given(st.lists(st.sampled_from([
    b"diff --git a/x b/x\n", b"--- a/x\n", b"+++ b/x\n", b"@@ -1,9 +1,9 @@\n", b"@@ -1 +1 @@\r\n", b"+a\n", b"-b\n",
    b" \n", b"\n", b"rename to \"\\", b"diff --git \"", b"\xff\n", b"@@ -999999999,999999999 +1 @@",
    b"GIT binary patch\n",
])))  # fmt: skip
def test_nothing_breaks_the_reader(lines: list[bytes]) -> None:
    for diff in parse(b"".join(lines)):
        refusal([diff])

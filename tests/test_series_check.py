"""What is told of each point of a series: whether it is as expected, which warnings are new, whether it changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.line import Probe
from lab.series_check import Checked, rows, touched_files
from lab.tree.types import Point
from lab.verdict import Verdict

PATCH = """\
diff --git a/mm/migrate.c b/mm/migrate.c
--- a/mm/migrate.c
+++ b/mm/migrate.c
@@ -1 +1 @@
-a
+b
diff --git a/include/new.h b/include/new.h
new file mode 100644
--- /dev/null
+++ b/include/new.h
@@ -0,0 +1 @@
+a
"""


@pytest.fixture
def patch(tmp_path: Path) -> Path:
    path = tmp_path / "0001.patch"
    path.write_text(PATCH)
    return path


def check(tmp_path: Path, patch: Path, *points: tuple[str, tuple[str, ...]]) -> list[Checked]:
    """Rows for points given as what their image holds (empty: it does not build) and their warnings."""

    def probes() -> Iterator[Any]:
        for index, (image, warnings) in enumerate(points):
            path = tmp_path / f"image-{index}"
            path.write_text(image)
            kernel = SimpleNamespace(image=path, warnings=warnings) if image else None
            word = "good" if image else "skip"
            point = Point(index, "patch", "", "", "", patch if index else None)
            yield Probe(point, Verdict(word, ""), 0.0, 0.0, kernel=kernel)  # type: ignore[arg-type]

    case = SimpleNamespace(patches=points[1:], expect=SimpleNamespace(first_bad=len(points) - 1))
    return list(rows(SimpleNamespace(case=case), probes()))  # type: ignore[arg-type]


def test_a_patch_s_files_are_known(patch: Path) -> None:
    assert touched_files(patch) == {"mm/migrate.c", "include/new.h"}
    assert touched_files(None) == frozenset()


def test_warnings_of_the_base_and_of_moved_lines_are_not_new(tmp_path: Path, patch: Path) -> None:
    old, moved = "mm/migrate.c:10:3: unused variable", "mm/migrate.c:17:3: unused variable"
    _, first = check(tmp_path, patch, ("a", (old,)), ("b", (moved,)))
    assert (first.new_warnings, first.other_warnings) == ((), ())


def test_new_ones_are_the_patch_s_where_it_touches_the_file(tmp_path: Path, patch: Path) -> None:
    mine, other = "mm/migrate.c:10: unused variable", "mm/slub.c:1: unused variable"
    _, first, second = check(tmp_path, patch, ("a", ()), ("b", (mine, other)), ("c", (mine, other)))
    assert (first.new_warnings, first.other_warnings) == ((mine,), (other,))
    assert (second.new_warnings, second.other_warnings) == ((), ())


def test_an_image_that_stays_the_same_is_told_also_past_a_point_that_does_not_build(
    tmp_path: Path, patch: Path
) -> None:
    changed = [row.image_changed for row in check(tmp_path, patch, ("a", ()), ("b", ()), ("", ()), ("b", ()))]
    assert changed == [None, True, None, False]


def test_a_point_that_does_not_build_is_not_what_a_case_expects(tmp_path: Path, patch: Path) -> None:
    base, broken, bad = check(tmp_path, patch, ("a", ()), ("", ()), ("b", ()))
    assert (base.as_expected, broken.as_expected) == (True, False)
    assert bad.as_expected is False, "it was to be bad and is good"

"""What a series brings to Kconfig is switched on: a boot without it would prove nothing of its code."""

import pytest

from lab.case import load_case
from lab.kernel.fragment import render
from lab.paths import data_folder
from lab.tree.importing.case import import_case
from lab.tree.importing.letter import Raw, read_letters
from lab.tree.importing.switches import switches
from tests.importing.conftest import diff, mail, mbox

NEW = """\
 \thelp
+config BALANCE_NUMA
+\tbool "Automatic NUMA balancing"
+\tdepends on NUMA
+
+config HAS_IT
+\tbool
+
+menuconfig MORE_OF_IT
+\ttristate 'More'
+
+config VALUE
+\tint "How much"
 config OLD
+\tbool "a new prompt of an old one"
"""


def kconfig(body: str, name: str = "init/Kconfig") -> str:
    lines = body.count("\n")
    return f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -1,2 +1,{lines} @@\n{body}"


def texts(*bodies: str):
    return [read_letters(Raw("m", mail("[PATCH] x", f"Why.\n---\n{one}", msgid=f"{n}@x")))[0].text
            for n, one in enumerate(bodies)]  # fmt: skip


def test_symbols_with_a_prompt_are_switches():
    assert switches(texts(kconfig(NEW), diff())) == ("BALANCE_NUMA", "MORE_OF_IT")


@pytest.mark.parametrize(
    "body",
    [
        kconfig(NEW, "mm/slub.c"),
        kconfig('+config HAS_IT\n+\tbool\n endif\n+\tprompt "x"\n'),
        kconfig('-config MOVED\n-\tbool "Moved"\n') + kconfig('+config MOVED\n+\tbool "Moved"\n', "mm/Kconfig"),
        kconfig('+config x{% endif %}\n+\tbool "x"\n'),
        kconfig('+config \x1b[2J\n+\tbool "x"\n'),
        '+config ALONE\n+\tbool "not in a diff"\n',
    ],
)
def test_nothing_else_is(body):
    assert switches(texts(body)) == ()


def test_the_case_asks_for_them_where_the_tree_has_them(write, paths, tmp_path):
    path = write("x.mbox", mbox(mail("[PATCH] x", f"Why.\n---\n{kconfig(NEW)}", msgid="1@x")))
    done = import_case(str(path), paths, {}, output=tmp_path / "o", base="debian-6.1")
    assert done.switches == ("BALANCE_NUMA", "MORE_OF_IT")
    case = load_case(str(done.folder), tmp_path)
    asked = {ask.symbol: ask for ask in render(case.kconfig, "3.7.2", {}, folder=data_folder("kconfigs")).asked}
    assert (asked["BALANCE_NUMA"].value, asked["BALANCE_NUMA"].optional) == ("y", True)
    assert asked["SLUB"].value == "y"


def test_a_series_without_any_keeps_the_plain_kconfig(write, paths, tmp_path):
    path = write("x.mbox", mbox(mail("[PATCH] x", f"Why.\n---\n{diff()}", msgid="1@x")))
    done = import_case(str(path), paths, {}, output=tmp_path / "o", base="debian-6.1")
    assert load_case(str(done.folder), tmp_path).kconfig == "tiny-numa"

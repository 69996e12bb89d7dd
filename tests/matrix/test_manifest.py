"""Matrix files: what they ask for, and what is wrong with one."""

from pathlib import Path

import pytest

from lab.case import load_case
from lab.errors import InfrastructureError, UserError
from lab.guest.machine import load_machine
from lab.kernel.kconfig import render
from lab.kernel.types import Compat, Toolchain
from lab.line import Line, Setup
from lab.matrix.lines import make_ready
from lab.matrix.manifest import Budget, load_matrix, spots
from lab.paths import data_folder
from lab.progress import silent
from lab.settings import Settings
from lab.tree.types import Base, Point, Tree

NIGHTLY = Path(__file__).resolve().parents[2] / "ci" / "nightly.toml"
SMALL = """
title = "t"
machines = ["two-nodes", "one-node"]
toolchains = ["gcc", "gcc-11"]
[[case]]
name = "early-policy"
points = ["base", 3, "fix"]
[[kconfig]]
name = "tiny-numa"
"""


def write(tmp_path, text, name="m.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_points_kconfigs_machines_and_toolchains_multiply(tmp_path):
    found = list(spots(load_matrix(write(tmp_path, SMALL))))
    assert len(found) == 3 * 2 * 2
    assert [one.label for one in found[::2]] == ["base", "3", "fix"] * 2
    assert [one.toolchain for one in found[::6]] == ["gcc", "gcc-11"]


def test_budgets_are_read(tmp_path):
    text = SMALL + '[budget]\nseconds = 60\nmemory = "2G"\ncores = 3\nretries = 0\nboots = 2\nboot_seconds = 5\n'
    assert load_matrix(write(tmp_path, text)).budget == Budget(60.0, 2 << 30, 3, 0, 2, 5.0)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('"base", 3', '"middle", 3'), r"case\[0\].points: 'middle' is none of base, end, fix and no number"),
        (('"base", 3', "-1, 3"), r"case\[0\].points: -1 is less than 0"),
        (('"base", 3', '"fix", 3'), r"case\[0\].points: is empty, or a point stands there twice"),
        (('"base", 3, "fix"', ""), r"case\[0\].points: is empty"),
        (('["two-nodes", "one-node"]', "[]"), "machines: there is none"),
        (('"one-node"', '"two-nodes"'), "machines: 'two-nodes' stands there twice"),
        (('"gcc-11"', '"gcc"'), "toolchains: 'gcc' stands there twice"),
        (("[[case]]", "[[cases]]"), "Object contains unknown field `cases`"),
        (('name = "early-policy"', "name = 3"), r"case\[0\].name: Expected `str`"),
        (('title = "t"', 'title = "t'), "not valid TOML"),
        (('"t"', '"t"\nbudget = {seconds = -1}'), "budget.seconds: -1 is not 0 to"),
        (('"t"', '"t"\nbudget = {memory = "lots"}'), "budget.memory: 'lots' is not a size"),
        (('"t"', '"t"\nbudget = {retries = 1000}'), "budget.retries: 1000 is not 0 to 100"),
        (('"t"', '"t"\nbudget = {boots = 0}'), "budget.boots: 0 is not 1 to"),
        (('"t"', '"t"\nbranch = [{name = "a/b", rev = "v1"}]'), r"branch\[0\].name: 'a/b' is not a plain word"),
        (('"t"', '"t"\nbranch = [{name = "early-policy", rev = "v1"}]'), "case: 'early-policy' stands there twice"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_key(tmp_path, change, complaint):
    path = write(tmp_path, SMALL.replace(*change, 1))
    with pytest.raises(UserError, match=complaint) as caught:
        load_matrix(path)
    assert str(path) in str(caught.value)


def test_a_matrix_of_millions_is_refused(tmp_path):
    machines = ", ".join(f'"m{number}"' for number in range(20_000))
    with pytest.raises(UserError, match="120000 cells are more than 100000"):
        load_matrix(write(tmp_path, SMALL.replace('"two-nodes", "one-node"', machines)))


def test_a_file_the_history_could_not_name_is_refused(tmp_path):
    with pytest.raises(UserError, match="its name: must be a plain word"):
        load_matrix(write(tmp_path, SMALL, "a b.toml"))


def prepared(case, setup, missing=()):
    """A line without any tree: what a base would give is made up."""
    if Path(case.kconfig).name == "of-another-age.config.j2":
        raise UserError("of-another-age is for another kernel")
    if case.base in missing:
        raise InfrastructureError(f"base {case.base}: not here", hint="get it")
    count = len(case.patches) + len(case.fix)
    points = tuple(
        Point(index, "patch", f"patch {index}", f"{index:040}", f"{index:040}") for index in range(count + 1)
    )
    base = Base(case.base, "6.1.1" if "6.1" in case.base else "3.7.0", "made up", Path("/nowhere"), "0" * 40)
    return Line(
        case=case,
        tree=Tree(base, Path("/nowhere"), points, "k"),
        toolchain=Toolchain(setup.cc or "gcc", (12,), (2,), (5,), (4,), "i"),
        compat=Compat(),
        fragment=render(case.kconfig, base.version, {}, folder=data_folder("kconfigs")),
        machine=load_machine(case.machine, data_folder("qemu")),
    )


def ready(path, paths, missing=("v3.7-rc4",)):
    setup = Setup(paths=paths, settings=Settings(), progress=silent)
    return make_ready(load_matrix(path), setup, prepare=lambda case, given: prepared(case, given, missing))


def test_the_nightly_covers_what_it_should_on_the_base_that_is_always_there(paths):
    found = ready(NIGHTLY, paths)
    cells = {(job.cell.label, job.cell.kconfig, job.cell.machine) for job in found.jobs}
    kconfigs = ("tiny-numa", "tiny-numa-slab", "debug", "debug-slab")
    machines = {path.stem for path in data_folder("qemu").glob("*.toml") if not path.stem.startswith("arm64-")}
    assert cells == {(p, k, m) for p in ("base", "end", "fix") for k in kconfigs for m in machines}
    assert len(cells) >= 60
    assert len(found.kernels) == 12
    (left,) = found.left_out
    assert (left.what, left.cells) == ("numa-foundation", 3 * 8 * 6)
    assert "v3.7-rc4: not here (get it)" in left.why


def test_the_nightly_covers_the_reporter_s_kernel_where_a_3_7_tree_is(paths):
    found = ready(NIGHTLY, paths, missing=())
    assert found.left_out == ()
    kconfigs = {job.cell.kconfig for job in found.jobs if job.cell.case == "numa-foundation"}
    assert {"reporter", "reporter-slab"} < kconfigs
    assert len(found.jobs) == 3 * 9 * 4 + 3 * 8 * 6  # all machines but the node without memory


def test_the_bug_is_expected_at_the_end_with_slub_alone(paths):
    expected = {
        (job.cell.label, job.cell.kconfig): job.cell.expected
        for job in ready(NIGHTLY, paths).jobs
        if job.cell.machine == "far"
    }
    assert {key for key, word in expected.items() if word == "bad"} == {("end", "tiny-numa"), ("end", "debug")}


def test_a_kconfig_that_leaves_out_what_the_case_requires_says_so(paths):
    found = ready(NIGHTLY, paths)
    required = {job.cell.kconfig: found.kernels[job.kernel][0].case.require for job in found.jobs}
    own = load_case("early-policy", data_folder("patches")).require
    assert required["tiny-numa"] == own
    assert set(required["tiny-numa-slab"]) == set(own) - {"SLUB"}


def test_excludes_and_required_cells(tmp_path, paths):
    more = '[[exclude]]\nmachine = "one*"\npoint = "fix"\n[[required]]\npoint = "base"\ntoolchain = "gcc"\n'
    found = ready(write(tmp_path, SMALL + more), paths)
    keys = {(job.cell.label, job.cell.machine, job.cell.toolchain): job.cell.required for job in found.jobs}
    assert ("fix", "one-node", "gcc") not in keys
    assert len(keys) == 10
    assert {key for key, required in keys.items() if required} == {
        ("base", "two-nodes", "gcc"),
        ("base", "one-node", "gcc"),
    }


def test_a_point_that_the_case_has_not_is_left_out_and_told(tmp_path, paths):
    found = ready(write(tmp_path, SMALL.replace("3", "99")), paths)
    assert [(one.what, one.why, one.cells) for one in found.left_out] == [
        ("early-policy 99", "it has no such point", 4)
    ]


def test_a_branch_is_a_cell_of_its_own_and_expects_no_bug(tmp_path, paths):
    text = SMALL.replace('"t"', '"t"\nbranch = [{name = "next", rev = "v6.12"}]')
    found = ready(write(tmp_path, text), paths)
    tips = [job.cell for job in found.jobs if job.cell.case == "next"]
    assert {(cell.label, cell.base, cell.expected) for cell in tips} == {("tip", "v6.12", "good")}
    assert len(tips) == 4


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("early-policy", "no-such-case"), "no case 'no-such-case'"),
        (('"one-node"', '"no-machine"'), "no machine 'no-machine'"),
        (("tiny-numa", "no-kconfig"), "no-kconfig"),
    ],
)
def test_names_that_mean_nothing_are_errors(tmp_path, paths, change, complaint):
    with pytest.raises(UserError, match=complaint):
        ready(write(tmp_path, SMALL.replace(*change)), paths)


def test_a_kconfig_that_the_base_does_not_take_costs_the_other_kconfigs_nothing(tmp_path, paths):
    (tmp_path / "of-another-age.config.j2").write_text("CONFIG_NUMA=y\n")
    odd = '[[kconfig]]\nname = "./of-another-age.config.j2"\n[[kconfig]]'
    found = ready(write(tmp_path, SMALL.replace("[[kconfig]]", odd)), paths)
    assert {job.cell.kconfig for job in found.jobs} == {"tiny-numa"}
    assert [(one.what, one.cells) for one in found.left_out] == [("early-policy with of-another-age", 12)]
    excluded = SMALL.replace("[[kconfig]]", odd) + '[[exclude]]\nkconfig = "of-*"\nbase = "debian-*"\n'
    assert ready(write(tmp_path, excluded), paths).left_out == ()


def test_a_kconfig_that_is_not_there_is_an_error_also_where_another_is(tmp_path, paths):
    with pytest.raises(UserError, match="no kconfig 'tiny-nuna'"):
        ready(write(tmp_path, SMALL + '[[kconfig]]\nname = "tiny-nuna"\n'), paths)


def test_the_configured_compiler_by_name_and_without_is_one_toolchain(tmp_path, paths):
    with pytest.raises(UserError, match="toolchains: two of them are 'gcc'"):
        ready(write(tmp_path, SMALL.replace('"gcc-11"', '""')), paths)


def test_where_no_base_can_be_had_it_is_an_error(tmp_path, paths):
    with pytest.raises(UserError, match=r"no cell can be filled: early-policy: base debian-6\.1: not here"):
        ready(write(tmp_path, SMALL), paths, missing=("debian-6.1",))

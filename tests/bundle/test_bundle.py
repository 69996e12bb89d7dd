"""A bundle is the same from the same input, its script is safe whatever is in it, and hostile ones are refused."""

import gzip
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from lab.bundle.pack import COMMENT, expected, machine_toml, source_of, tarball
from lab.bundle.script import INITRD, KERNEL, Recipe, script
from lab.case import load_case
from lab.console.scanner import scan_file
from lab.errors import UserError
from lab.guest.machine import load_machine
from lab.paths import Paths, data_folder
from lab.tree.importing.take import is_bundle, unpacked
from lab.tree.types import Base

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
EVIL = "x'; touch /tmp/owned; echo '$(id) `id` \"\\ \n\x1b[2J"


def recipe(**changes):
    values = {
        "title": "A crash", "base": "6.1", "base_hint": "recorded", "source": "linux", "url": "", "sha256": "",
        "compat": (), "patches": ("patches/0001-a.patch",), "make": ("CC=gcc",), "environment": (("LC_ALL", "C"),),
        "qemu": ("qemu-system-x86_64", "-kernel", KERNEL, "-initrd", INITRD, "-append", "console=ttyS0"),
        "expect": ("kernel BUG at", "policy_zonelist+0x"), "seconds": 10,
    }  # fmt: skip
    return Recipe(**{**values, **changes})


def test_the_script_is_shell_whatever_is_in_it(tmp_path):
    for field in ("title", "base", "base_hint", "source", "url", "sha256"):
        text = script(recipe(**{field: EVIL}))
        path = tmp_path / "s.sh"
        path.write_text(text)
        assert subprocess.run(["sh", "-n", path], check=False, capture_output=True).returncode == 0, field
    for field in ("compat", "patches", "make", "qemu", "expect"):
        (tmp_path / "s.sh").write_text(script(recipe(**{field: (EVIL,)})))
        assert subprocess.run(["sh", "-n", tmp_path / "s.sh"], check=False, capture_output=True).returncode == 0, field


@pytest.fixture
def stage(tmp_path):
    """Runs the script with stand-ins for what compiles and boots; gives its exit status."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "gcc", "ld", "flex", "bison", "bc", "perl", "xz"):
        (tools / name).write_text('#!/bin/sh\n[ "${0##*/}" != make ] || exit ${MAKE_STATUS:-0}\n')
    (tools / "qemu-system-x86_64").write_text("#!/bin/sh\nprintf '%s\\n' \"$CONSOLE\"\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    folder, linux = tmp_path / "crash", tmp_path / "linux"
    (folder / "patches").mkdir(parents=True)
    linux.mkdir()
    (linux / "a.c").write_text("one\n")
    (folder / "patches" / "0001-a.patch").write_text("--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-one\n+two\n")
    (folder / "config").write_text("CONFIG_X=y\n")
    (folder / "initramfs.cpio").write_text("x")

    def run(console, **environment):
        path = folder / "reproduce.sh"
        path.write_text(script(recipe(**environment.pop("recipe", {}))))
        env = {"PATH": f"{tools}:/usr/bin:/bin", "CONSOLE": console, **environment}
        done = subprocess.run(["sh", path, linux], env=env, check=False, capture_output=True, text=True, timeout=60)
        run.said = done.stderr
        run.linux = linux
        return done.returncode

    return run


CRASH = "[0.0] kernel BUG at mm/mempolicy.c:1!\n[0.0] RIP: 0010:policy_zonelist+0xae/0xb0"


def test_the_script_tells_the_crash_from_others(stage):
    assert stage(CRASH) == 0
    assert "Reproduced" in stage.said
    assert (stage.linux / "a.c").read_text() == "one\n"  # the source is copied, never written to
    assert stage("lab: userspace nodes=2") == 1
    assert stage("[0.0] kernel BUG at mm/slub.c:1!") == 1
    assert stage("lab: userspace nodes=2", recipe={"expect": ()}) == 0


def test_the_script_says_what_went_wrong(stage):
    assert stage(CRASH, MAKE_STATUS="2") == 2
    assert stage(CRASH, recipe={"patches": ("config",)}) == 2
    assert "does not apply: config" in stage.said


def test_what_is_expected_is_free_of_addresses_and_lines():
    finding = scan_file(CONSOLES / "early-policy-6.1.txt").first
    assert expected(finding) == ("kernel BUG at", "policy_zonelist+0x")
    console = (CONSOLES / "early-policy-6.1.txt").read_text(errors="replace")
    assert all(text in console for text in expected(finding))
    assert expected(None) == ()


@pytest.mark.parametrize("name", sorted(path.stem for path in data_folder("qemu").glob("*.toml")))
def test_a_machine_goes_in_and_comes_out_the_same(tmp_path, name):
    machine = load_machine(name, data_folder("qemu"))
    (tmp_path / f"{name}.toml").write_text(machine_toml(machine))
    assert load_machine(str(tmp_path / f"{name}.toml"), tmp_path) == machine


MANIFEST = (
    b'title = "t"\nbase = "debian-6.1"\nkconfig = "tiny-numa"\nmachine = "two-nodes"\npatches = ["patches/a.patch"]\n'
)


def test_a_bundle_comes_back_as_a_foreign_case(tmp_path):
    files = {"series.toml": MANIFEST, "patches/a.patch": b"x\n"}
    data = tarball("crash", files)
    assert data == tarball("crash", dict(reversed(files.items())))
    path = tmp_path / "crash.tar.gz"
    path.write_bytes(data)
    assert is_bundle(path)
    folder = unpacked(path, Paths(tmp_path / "c", tmp_path / "d", tmp_path / "e"))
    case = load_case(str(folder), tmp_path)
    assert case.patches[0].read_bytes() == b"x\n"
    assert case.origin is not None


def test_a_bundle_that_only_seems_to_say_where_it_came_from_is_refused(tmp_path):
    hidden = MANIFEST.replace(b'"t"', b'"""t\n[origin]\n"""')
    path = tmp_path / "crash.tar.gz"
    path.write_bytes(tarball("crash", {"series.toml": hidden, "patches/a.patch": b"x\n"}))
    with pytest.raises(UserError):
        unpacked(path, Paths(tmp_path / "c", tmp_path / "d", tmp_path / "e"))


@pytest.mark.parametrize(
    ("name", "source", "found"),
    [
        ("debian-6.1", "x", ("/usr/src/linux-source-6.1.tar.xz", "linux-6.1.tar.xz", 64)),
        (
            "v6.5.3",
            f"linux-6.5.3.tar.xz of kernel.org, sha256 {'1' * 64} (x)",
            ("linux-6.5.3.tar.xz", "v6.x/linux-6.5.3.tar.xz", 64),
        ),
        ("v6.5.3", "0123456789ab of /home/me/linux", ("linux-6.5.3.tar.xz", "v6.x/linux-6.5.3.tar.xz", 0)),
        ("v6.13-rc2", "x", ("linux-6.13-rc2.tar.gz", "t/linux-6.13-rc2.tar.gz", 0)),
        ("linux_6.1.176-1.dsc", "x", ("linux", "", 0)),
        ("0123456789ab", "x", ("linux", "", 0)),
    ],
)
def test_a_bundle_knows_where_others_get_its_base(name, source, found):
    one = source_of(name, Base(name, "6", source, Path("r"), "c"))
    assert (one.path, len(one.sha256)) == (found[0], found[2])
    assert one.url.endswith(found[1])
    assert bool(one.url) == bool(found[1])
    assert source in one.hint
    assert ("dpkg-source -x linux_6.1.176-1.dsc linux" in one.hint) == name.endswith(".dsc")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("/etc/x", tarfile.REGTYPE), ("c/../../x", tarfile.REGTYPE), ("c/x", tarfile.SYMTYPE), ("c/x", tarfile.LNKTYPE),
     ("c/x", tarfile.CHRTYPE), ("c/.git/config", tarfile.REGTYPE)],
)  # fmt: skip
def test_a_hostile_bundle_is_refused_whole(tmp_path, name, kind):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        first = tarfile.TarInfo("c/series.toml")
        first.size, first.pax_headers = len(MANIFEST), {"comment": COMMENT}
        tar.addfile(first, io.BytesIO(MANIFEST))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info, io.BytesIO(b""))
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(out.getvalue()))
    assert is_bundle(path)
    paths = Paths(tmp_path / "cache", tmp_path / "d", tmp_path / "e")
    with pytest.raises(UserError, match=r"unsafe path|neither a file nor a folder") as caught:
        unpacked(path, paths)
    assert "\n" not in str(caught.value)
    assert list(paths.imported.iterdir()) == []

"""Source packages of Debian and Ubuntu: vouched for, checked file by file, and unpacked as dpkg-source would."""

import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import InfrastructureError, LabError, UserError
from lab.paths import Paths
from lab.settings import Settings
from lab.tree import dsc, dsc_import
from lab.tree.bases import resolve_base
from lab.tree.get import get_base
from lab.tree.git import git, text
from lab.tree.stock import stock
from tests.tree.conftest import makefile
from tests.tree.site import Sign, Site

MAKE = makefile("6.1.7").encode()
SLUB = b"int slub;\n"
PATCH = b"""Description: what DEP-3 has
 --- and more text
--- a/mm/slub.c
+++ b/mm/slub.c
@@ -1 +1,2 @@
 int slub;
+int debian;
--- /dev/null
+++ b/mm/new.c
@@ -0,0 +1 @@
+int new;
"""
TWO = b"--- a/mm/slub.c\n+++ b/mm/slub.c\n@@ -1,2 +1,3 @@\n int slub;\n+int two;\n int debian;\n"
Members = dict[str, bytes | str | tarfile.TarInfo]


def tar(members: Members, packing: str = "xz") -> bytes:
    """A tarball of files (bytes), symbolic links (the target) and anything else."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{packing}") as made:
        for name, what in members.items():
            info = what if isinstance(what, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = what if isinstance(what, bytes) else b""
            if isinstance(what, str):
                info.type, info.linkname = tarfile.SYMTYPE, what
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


ORIG: Members = {"linux-6.1.7/Makefile": MAKE, "linux-6.1.7/mm/slub.c": SLUB, "linux-6.1.7/debian/old": b"upstream's\n"}
DEBIAN: Members = {
    "debian/control": b"Source: linux\n",
    "debian/source/format": b"3.0 (quilt)\n",
    "debian/patches/series": b"# first\nbugfix/one.patch -p1\n\ntwo.patch # why\n",
    "debian/patches/bugfix/one.patch": PATCH,
    "debian/patches/two.patch": TWO,
}
STEM = "linux_6.1.7"


def described(files: dict[str, bytes], kind: str = "3.0 (quilt)", version: str = "6.1.7-1~bpo12+1") -> str:
    """The text of a ``.dsc`` for ``files``."""
    rows = [(hashlib.sha256(data).hexdigest(), len(data), name) for name, data in files.items()]
    md5 = [(hashlib.md5(data, usedforsecurity=False).hexdigest(), len(data), name) for name, data in files.items()]
    lines = ["".join(f" {digest} {size} {name}\n" for digest, size, name in some) for some in (rows, md5)]
    return (
        f"Format: {kind}\nSource: linux\nBinary: linux-a,\n linux-b\nVersion: {version}\n"
        f"Checksums-Sha1:\n {'0' * 40} 1 x\nChecksums-Sha256:\n{lines[0]}Files:\n{lines[1]}"
    )


Package = Callable[..., Path]


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """``package(files)`` writes a source package into a folder; without ``files`` a good one with a quilt series."""

    def make(files: dict[str, bytes] | None = None, dsc: bytes | None = None, **options: str) -> Path:
        files = good() if files is None else files
        folder = tmp_path / "package"
        folder.mkdir(exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        path = folder / "linux_6.1.7-1~bpo12+1.dsc"
        path.write_bytes(described(files, **options).encode() if dsc is None else dsc)
        return path

    return make


def good(orig: Members = ORIG, debian: Members = DEBIAN) -> dict[str, bytes]:
    """The files of a source package in format 3.0 (quilt)."""
    return {f"{STEM}.orig.tar.xz": tar(orig), f"{STEM}-1~bpo12+1.debian.tar.xz": tar(debian)}


def add(place: Path | str, paths: Paths, sha256: str = "", keyrings: tuple[Path, ...] = ()):
    return get_base(str(place), paths, Settings(dsc_keyrings=list(map(str, keyrings))), sha256=sha256)


@pytest.fixture(autouse=True)
def no_keyring_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing depends on what is installed here."""
    monkeypatch.setattr(dsc, "default_keyrings", list)


def names(base) -> list[str]:
    return text(git(base.repo, "ls-tree", "-r", "--name-only", base.commit)).splitlines()


def content(base, name: str) -> str:
    return text(git(base.repo, "show", f"{base.commit}:{name}"))


class TestUnpacking:
    """What comes out is what dpkg-source makes of it."""

    def test_a_quilt_series_is_applied_and_the_base_has_a_name(self, package: Package, paths: Paths) -> None:
        path = package()
        base = add(path, paths)
        assert (base.name, base.version, base.stand_in) == ("linux_6.1.7-1~bpo12+1.dsc", "6.1.7", "")
        assert content(base, "mm/slub.c") == "int slub;\nint two;\nint debian;"
        assert content(base, "mm/new.c") == "int new;"
        assert "debian/control" in names(base)
        assert "debian/old" not in names(base)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert base.source == f"{base.name}, sha256 {digest} (a file of yours; it has no signature)"

    def test_it_stays_a_base_when_the_files_are_gone(self, package: Package, paths: Paths) -> None:
        path = package()
        base = add(path, paths)
        shutil.rmtree(path.parent)
        assert resolve_base(base.name, paths=paths) == base
        row = next(row for row in stock(paths, {}, paths.cache) if row.name == base.name)
        assert (row.state, row.offline, row.version) == ("imported", True, "6.1.7")
        with pytest.raises(UserError, match=r"base linux_6\.1\.8-1\.dsc: no such source package .*lab bases add"):
            resolve_base("linux_6.1.8-1.dsc", paths=paths)

    def test_the_commit_is_the_same_everywhere(self, package: Package, paths: Paths, tmp_path: Path) -> None:
        other = Paths(cache=tmp_path / "c2", data=tmp_path / "d2", config=tmp_path / "f2")
        assert add(package(), paths).commit == add(package(), other).commit

    def test_the_configuration_and_a_tree_name_one_too(self, package: Package, paths: Paths) -> None:
        path = package()
        base = resolve_base("debian-6.1", paths=paths, configured={"debian-6.1": str(path)})
        assert base.stand_in == "stand-in base 6.1.7 for debian-6.1"
        assert resolve_base("mine", paths=paths, tree=path).commit == base.commit

    def test_format_1_has_one_diff(self, package: Package, paths: Paths) -> None:
        change = (
            b"--- linux-6.1.7.orig/mm/slub.c\n+++ linux-6.1.7/mm/slub.c\n@@ -1 +1,2 @@\n int slub;\n+int ubuntu;\n"
            b"--- linux-6.1.7.orig/debian/rules\n+++ linux-6.1.7/debian/rules\n@@ -0,0 +1 @@\n+#!/usr/bin/make -f\n"
        )
        files = {f"{STEM}.orig.tar.gz": tar(ORIG, "gz"), f"{STEM}-1.diff.gz": gzip.compress(change)}
        base = add(package(files, kind="1.0"), paths)
        assert content(base, "mm/slub.c") == "int slub;\nint ubuntu;"
        assert {"debian/old", "debian/rules"} <= set(names(base))

    def test_native_packages_and_components(self, package: Package, paths: Paths) -> None:
        native = add(package({f"{STEM}.tar.gz": tar(ORIG, "gz")}, kind="3.0 (native)"), paths)
        assert content(native, "mm/slub.c") == "int slub;"
        more = {f"{STEM}.orig-mm.tar.xz": tar({"x/other.c": b"int other;\n"})}
        plain = good(debian={"debian/control": b""})
        both = add(package({**plain, **more}, version="6.1.7-2"), paths)
        assert [name for name in names(both) if name.startswith("mm/")] == ["mm/other.c"]

    @pytest.mark.skipif(not shutil.which("dpkg-source"), reason="no dpkg-source here")
    def test_dpkg_source_makes_the_same_of_it(self, package: Package, paths: Paths, tmp_path: Path) -> None:
        path = package()
        base = add(path, paths)
        argv = ["dpkg-source", "--no-check", "-x", str(path), str(tmp_path / "theirs")]
        path.write_text(path.read_text().replace(f"Checksums-Sha1:\n {'0' * 40} 1 x\n", ""))
        subprocess.run(argv, capture_output=True, check=True, timeout=60)
        theirs = {
            str(file.relative_to(tmp_path / "theirs")): file.read_text()
            for file in (tmp_path / "theirs").rglob("*")
            if file.is_file() and ".pc" not in file.parts
        }
        assert theirs == {name: f"{content(base, name)}\n" for name in names(base)}


class TestFetching:
    """From a server, over a network that breaks."""

    def publish(self, site: Site, files: dict[str, bytes], dsc: bytes) -> str:
        site.update({f"/pool/{name}": data for name, data in files.items()})
        site["/pool/linux_6.1.7-1~bpo12+1.dsc"] = dsc
        return f"{site.url}/pool/linux_6.1.7-1~bpo12+1.dsc"

    def test_signed_fetched_resumed_and_used_again(self, server: Site, paths: Paths, sign: tuple[Sign, Path]) -> None:
        signed, keyring = sign
        files = good()
        url = self.publish(server, files, signed(described(files)))
        server.breaks[f"/pool/{STEM}.orig.tar.xz"] = 100
        base = add(url, paths, keyrings=(keyring,))
        assert base.source.endswith("(its signature is good by kernel.gpg)")
        assert server.asked.count(f"/pool/{STEM}.orig.tar.xz") == 2
        assert not list((paths.cache / "downloads").rglob("*.tar.xz*")), "what was fetched is in git by now"
        server.clear()
        asked = len(server.asked)
        configured = {"ours": url}
        again = resolve_base("ours", paths=paths, configured=configured, dsc_keyrings=[str(keyring)])
        assert (again.commit, len(server.asked)) == (base.commit, asked)
        row = next(row for row in stock(paths, configured, paths.cache) if row.name == "ours")
        assert (row.state, row.offline) == ("imported", True)

    def test_without_tls_something_must_vouch_for_it(self, server: Site, paths: Paths) -> None:
        files = good()
        url = self.publish(server, files, described(files).encode())
        with pytest.raises(InfrastructureError, match=r"came without TLS, and it has no signature .*dsc_keyrings"):
            add(url, paths)
        assert len(server.asked) == 1
        digest = hashlib.sha256(described(files).encode()).hexdigest()
        with pytest.raises(InfrastructureError, match=f"SHA-256 is {digest}, not {'1' * 64}"):
            add(url, paths, sha256="1" * 64)
        assert "checked by the SHA-256 that was given" in add(url, paths, sha256=digest).source
        assert add(f"{url}#sha256={digest}", paths).version == "6.1.7"

    def test_a_signature_must_be_good(self, server: Site, paths: Paths, sign: tuple[Sign, Path], monkeypatch) -> None:
        signed, keyring = sign
        files = good()
        made = signed(described(files))
        url = self.publish(server, files, made.replace(b"Binary: linux-a", b"Binary: linux-x"))
        with pytest.raises(InfrastructureError, match="its signature is not good: BAD signature"):
            add(url, paths, keyrings=(keyring,))
        monkeypatch.setattr(dsc, "default_keyrings", lambda: [keyring])
        with pytest.raises(InfrastructureError, match="its signature is not good: BAD signature"):
            add(url, paths)
        self.publish(server, files, described(files).encode())
        with pytest.raises(InfrastructureError, match="not signed, and dsc_keyrings is configured"):
            add(url, paths, keyrings=(keyring,))
        self.publish(server, files, f"Evil: yes\n{made.decode()}".encode())
        with pytest.raises(InfrastructureError, match="not signed"):
            add(url, paths, keyrings=(keyring,))
        assert not list(paths.bases.glob("*.git"))

    def test_a_stranger_s_key_is_no_key(self, server: Site, paths: Paths, sign: tuple[Sign, Path], tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
        signed, _ = sign
        files = good()
        url = self.publish(server, files, signed(described(files)))
        empty = tmp_path / "empty.gpg"
        empty.write_bytes(b"")
        with pytest.raises(InfrastructureError, match="its signature is not good"):
            add(url, paths, keyrings=(empty,))
        monkeypatch.setattr(dsc, "default_keyrings", lambda: [empty])
        with pytest.raises(InfrastructureError, match="came without TLS, and its signature is by a key that is in no"):
            add(url, paths)
        with pytest.raises(UserError, match=r"gone\.gpg: no such keyring \(dsc_keyrings of the configuration"):
            add(url, paths, keyrings=(tmp_path / "gone.gpg",))

    def test_a_file_with_another_hash_is_not_unpacked(self, server: Site, paths: Paths) -> None:
        files = good()
        said = described(files).encode()
        url = self.publish(server, {**files, f"{STEM}.orig.tar.xz": tar({**ORIG, "linux-6.1.7/x": b""})}, said)
        with pytest.raises(InfrastructureError, match=r"orig\.tar\.xz: (SHA-256 is .*, not|larger than)"):
            add(url, paths, sha256=hashlib.sha256(said).hexdigest())
        assert not list(paths.bases.glob("*.git"))

    @pytest.mark.parametrize("target", ["file:///etc/passwd", "http://10.0.0.1/x.dsc"])
    def test_a_redirect_to_a_file_or_inside_is_refused(self, server: Site, paths: Paths, target: str) -> None:
        server.redirects["/x.dsc"] = target
        with pytest.raises(LabError, match=r"only http: and https: URLs|redirect to a private address"):
            add(f"{server.url}/x.dsc", paths, sha256="1" * 64)

    @pytest.mark.parametrize("url", ["file:///etc/x.dsc", "ext::sh://x.dsc", "ftp://x/y.dsc"])
    def test_other_urls_are_refused(self, paths: Paths, url: str) -> None:
        with pytest.raises(UserError, match="only http: and https: URLs"):
            add(url, paths)


class TestHostile:
    """What a stranger may have packed."""

    def refused(self, place: Path, paths: Paths) -> str:
        with pytest.raises(LabError) as caught:
            add(place, paths)
        assert "\n" not in str(caught.value)
        assert str(caught.value).isprintable()
        assert not list(paths.bases.glob("*.git"))
        assert not list(paths.bases.glob("*.tmp"))
        return str(caught.value)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (("Format: 3.0 (quilt)", "Format: 3.0 (git)"), "source format '3.0 (git)'; the lab unpacks 1.0"),
            (("Format: 3.0 (quilt)", "Format: 1.0"), "its files are not those of format 1.0"),
            (("Source: linux", "Source: ../linux"), "names no source package and version"),
            (("Version: 6.1.7-1", "Version: 6.1/../7-1"), "names no source package and version"),
            ((f"{STEM}.orig", f"../{STEM}.orig"), "not a line of Checksums-Sha256"),
            ((f"{STEM}.orig", "other_6.1.7.orig"), "a file that no source package has"),
            ((f"{STEM}.orig", f"{STEM}.\x1b[31morig"), "not a line of Checksums-Sha256"),
            (("Source: linux", "Source: linux\nSource: linux"), "not a .dsc: 'Source: linux'"),
            (("Checksums-Sha256", "Checksums-Md5"), "its files are not those of format 3.0 (quilt)"),
            (("Format:", "\x00\x1b[2J:"), "not a .dsc"),
        ],
    )
    def test_a_dsc_out_of_shape(self, package: Package, paths: Paths, change: tuple[str, str], why: str) -> None:
        files = good()
        assert why in self.refused(package(files, described(files).replace(*change).encode()), paths)

    def test_a_dsc_of_a_gigabyte_and_files_of_terabytes(self, package: Package, paths: Paths) -> None:
        path = package()
        with path.open("wb") as file:
            file.truncate(1 << 30)
        assert "larger than 4 MiB, so not a .dsc" in self.refused(path, paths)
        size = len(good()[f"{STEM}.orig.tar.xz"])
        said = described(good()).replace(f" {size} ", f" {1 << 39} ")
        assert "larger than 4 GiB" in self.refused(package(good(), said.encode()), paths)

    def test_a_file_that_is_not_there_or_another_one(self, package: Package, paths: Paths) -> None:
        path = package()
        orig = path.parent / f"{STEM}.orig.tar.xz"
        orig.write_bytes(orig.read_bytes() + b"x")
        assert "SHA-256 is" in self.refused(path, paths)
        orig.unlink()
        assert f"names {orig.name}, which is not beside it" in self.refused(path, paths)

    @pytest.mark.parametrize(
        ("members", "why"),
        [
            ({"linux/Makefile": MAKE, "linux/../../evil": b""}, "unsafe path '../../evil'"),
            ({"linux/Makefile": MAKE, "linux/.git/config": b""}, "unsafe path"),
            ({"linux/Makefile": MAKE, "linux/etc": "/etc"}, "a symbolic link to an absolute"),
            ({"linux/Makefile": MAKE, "linux/mm/up": "../../etc"}, "a symbolic link that leads out of the tree"),
            ({"linux/Makefile": MAKE, "other/x": b""}, "'other' is beside its top folder 'linux'"),
            ({"linux/mm/slub.c": SLUB}, "not a kernel source"),
        ],
    )
    def test_an_upstream_tarball_that_reaches_out(
        self, package: Package, paths: Paths, members: Members, why: str
    ) -> None:
        assert why in self.refused(package(good(members)), paths)

    def test_devices_and_hard_links(self, package: Package, paths: Paths) -> None:
        device, link = tarfile.TarInfo("linux/null"), tarfile.TarInfo("linux/hard")
        device.type = tarfile.CHRTYPE
        assert "neither a file, a folder nor a link" in self.refused(package(good({"linux/null": device})), paths)
        link.type, link.linkname = tarfile.LNKTYPE, "/etc/../../passwd"
        assert "unsafe path" in self.refused(package(good({"linux/hard": link})), paths)

    def test_debians_tarball_stays_in_its_folder(self, package: Package, paths: Paths) -> None:
        files = good(debian={"mm/slub.c": b"evil\n"})
        assert "'mm' is beside its top folder 'debian'" in self.refused(package(files), paths)

    @pytest.mark.parametrize(
        ("series", "why"),
        [
            (b"../../../etc/passwd\n", "names no patch in that folder"),
            (b"gone.patch\n", "names no patch in that folder"),
            (b"x.patch -p0\n", "names no patch in that folder with -p1"),
            (b"x.patch\n" * 6000, "6000 patches; the lab takes at most 5000"),
            (b"\x1b[31m\n", "names no patch in that folder"),
        ],
    )
    def test_a_series_that_names_something_else(self, package: Package, paths: Paths, series: bytes, why: str) -> None:
        debian: Members = {"debian/patches/series": series, "debian/patches/x.patch": PATCH}
        assert why in self.refused(package(good(debian=debian)), paths)

    @pytest.mark.parametrize("name", ["series", "ubuntu.series"])
    def test_a_series_that_is_not_seen_is_told(self, package: Package, paths: Paths, name: str) -> None:
        debian: Members = {f"debian/patches/{name}": "x.patch", "debian/patches/x.patch": PATCH}
        assert "which the lab does not take" in self.refused(package(good(debian=debian)), paths)

    @pytest.mark.parametrize(
        ("old", "new", "why"),
        [
            (b"b/mm/new.c", b"b/../../evil", "x.patch: refused: ../../evil: a path that leaves the tree"),
            (b"b/mm/new.c", b'"b/\\056\\056/evil"', "a path that leaves the tree"),
            (b"b/mm/new.c", b"/etc/passwd", "an absolute path"),
            (b"b/mm/new.c", b"b/.git/hooks/x", "a path into git's own folder"),
            (b"b/mm/new.c", b"b/mm/link/x", "x.patch: does not apply"),
            (b" int slub;", b" int other;", "x.patch: does not apply: mm/slub.c, hunk 1 of 1"),
        ],
    )
    def test_a_patch_that_reaches_out_or_does_not_fit(
        self, package: Package, paths: Paths, old: bytes, new: bytes, why: str
    ) -> None:
        orig: Members = {**ORIG, "linux-6.1.7/mm/link": "../mm"}
        patch = PATCH.replace(old, new)
        debian: Members = {"debian/patches/series": b"x.patch\n", "debian/patches/x.patch": patch}
        assert why in self.refused(package(good(orig, debian)), paths)

    def test_a_patch_that_makes_a_link_out(self, package: Package, paths: Paths) -> None:
        patch = b"diff --git a/mm/out b/mm/out\nnew file mode 120000\n--- /dev/null\n+++ b/mm/out\n"
        patch += b"@@ -0,0 +1 @@\n+/etc\n\\ No newline at end of file\n"
        debian: Members = {"debian/patches/series": b"x.patch\n", "debian/patches/x.patch": patch}
        assert "mm/out: a symbolic link to an absolute" in self.refused(package(good(debian=debian)), paths)

    def test_a_diff_that_is_a_bomb_or_damaged(self, package: Package, paths: Paths, monkeypatch) -> None:
        monkeypatch.setattr(dsc_import, "DIFF_LIMIT", 1 << 20)
        for data, why in ((gzip.compress(bytes(2 << 20)), "larger than 1 MiB"), (b"\x1f\x8bx", "a damaged archive"),
                          (gzip.compress(PATCH)[:-9], "it ends early")):  # fmt: skip
            files = {f"{STEM}.orig.tar.gz": tar(ORIG, "gz"), f"{STEM}-1.diff.gz": data}
            assert why in self.refused(package(files, kind="1.0"), paths)

    def test_two_packages_of_one_name_are_not_mixed_up(self, package: Package, paths: Paths) -> None:
        one = add(package(), paths)
        other = add(package(good({**ORIG, "linux-6.1.7/more": b""})), paths)
        assert one.name == other.name
        with pytest.raises(UserError, match=r"2 different ones were imported \(remove one: rm -r "):
            resolve_base(one.name, paths=paths)


def test_what_is_no_base_is_told(paths: Paths, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither a \.dsc nor the name of a base .*\[bases\]"):
        add("https://example.org/linux.git", paths)
    with pytest.raises(UserError, match=r"--sha256 is for a \.dsc or a tarball"):
        add("v6.12.3", paths, sha256="1" * 64)
    with pytest.raises(UserError, match="must be sha256= and 64 hexadecimal digits"):
        add("https://example.org/x.dsc#md5=1", paths)
    with pytest.raises(UserError, match=r"x\.dsc: no such source package|not the name"):
        add(tmp_path / "x.dsc", paths)


def test_a_tarball_is_a_base_by_its_hash(tarball, paths: Paths) -> None:
    archive = tarball("6.1.7")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    with pytest.raises(UserError, match=f"SHA-256 is {digest}, not {'1' * 64}"):
        add(archive, paths, sha256="1" * 64)
    base = add(archive, paths, sha256=digest)
    archive.unlink()
    assert resolve_base(f"archive-{digest[:32]}", paths=paths) == base

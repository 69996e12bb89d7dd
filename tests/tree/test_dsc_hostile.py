"""Source packages that a stranger may have packed: each is refused in one line, and nothing of it is kept."""

import gzip
import tarfile
from pathlib import Path

import pytest

from lab.errors import LabError, UserError
from lab.paths import Paths
from lab.tree import dsc_import
from lab.tree.bases import resolve_base
from tests.tree.packing import MAKE, ORIG, PATCH, SLUB, STEM, Members, Package, add, described, good, tar


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
    def test_a_dsc_out_of_shape(self, source_package: Package, paths: Paths, change: tuple[str, str], why: str) -> None:
        files = good()
        assert why in self.refused(source_package(files, described(files).replace(*change).encode()), paths)

    def test_a_dsc_of_a_gigabyte_and_files_of_terabytes(self, source_package: Package, paths: Paths) -> None:
        path = source_package()
        with path.open("wb") as file:
            file.truncate(1 << 30)
        assert "larger than 4 MiB, so not a .dsc" in self.refused(path, paths)
        size = len(good()[f"{STEM}.orig.tar.xz"])
        said = described(good()).replace(f" {size} ", f" {1 << 39} ")
        assert "larger than 4 GiB" in self.refused(source_package(good(), said.encode()), paths)

    def test_a_file_that_is_not_there_or_another_one(self, source_package: Package, paths: Paths) -> None:
        path = source_package()
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
        self, source_package: Package, paths: Paths, members: Members, why: str
    ) -> None:
        assert why in self.refused(source_package(good(members)), paths)

    def test_devices_and_hard_links(self, source_package: Package, paths: Paths) -> None:
        device, link = tarfile.TarInfo("linux/null"), tarfile.TarInfo("linux/hard")
        device.type = tarfile.CHRTYPE
        assert "neither a file, a folder nor a link" in self.refused(
            source_package(good({"linux/null": device})), paths
        )
        link.type, link.linkname = tarfile.LNKTYPE, "/etc/../../passwd"
        assert "unsafe path" in self.refused(source_package(good({"linux/hard": link})), paths)

    def test_debians_tarball_stays_in_its_folder(self, source_package: Package, paths: Paths) -> None:
        files = good(debian={"mm/slub.c": b"evil\n"})
        assert "'mm' is beside its top folder 'debian'" in self.refused(source_package(files), paths)

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
    def test_a_series_that_names_something_else(
        self, source_package: Package, paths: Paths, series: bytes, why: str
    ) -> None:
        debian: Members = {"debian/patches/series": series, "debian/patches/x.patch": PATCH}
        assert why in self.refused(source_package(good(debian=debian)), paths)

    @pytest.mark.parametrize("name", ["series", "ubuntu.series"])
    def test_a_series_that_is_not_seen_is_told(self, source_package: Package, paths: Paths, name: str) -> None:
        debian: Members = {f"debian/patches/{name}": "x.patch", "debian/patches/x.patch": PATCH}
        assert "which the lab does not take" in self.refused(source_package(good(debian=debian)), paths)

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
        self, source_package: Package, paths: Paths, old: bytes, new: bytes, why: str
    ) -> None:
        orig: Members = {**ORIG, "linux-6.1.7/mm/link": "../mm"}
        patch = PATCH.replace(old, new)
        debian: Members = {"debian/patches/series": b"x.patch\n", "debian/patches/x.patch": patch}
        assert why in self.refused(source_package(good(orig, debian)), paths)

    def test_a_patch_that_makes_a_link_out(self, source_package: Package, paths: Paths) -> None:
        patch = b"diff --git a/mm/out b/mm/out\nnew file mode 120000\n--- /dev/null\n+++ b/mm/out\n"
        patch += b"@@ -0,0 +1 @@\n+/etc\n\\ No newline at end of file\n"
        debian: Members = {"debian/patches/series": b"x.patch\n", "debian/patches/x.patch": patch}
        assert "mm/out: a symbolic link to an absolute" in self.refused(source_package(good(debian=debian)), paths)

    def test_a_diff_that_is_a_bomb_or_damaged(self, source_package: Package, paths: Paths, monkeypatch) -> None:
        monkeypatch.setattr(dsc_import, "DIFF_LIMIT", 1 << 20)
        for data, why in ((gzip.compress(bytes(2 << 20)), "larger than 1 MiB"), (b"\x1f\x8bx", "a damaged archive"),
                          (gzip.compress(PATCH)[:-9], "it ends early")):  # fmt: skip
            files = {f"{STEM}.orig.tar.gz": tar(ORIG, "gz"), f"{STEM}-1.diff.gz": data}
            assert why in self.refused(source_package(files, kind="1.0"), paths)

    def test_two_packages_of_one_name_are_not_mixed_up(self, source_package: Package, paths: Paths) -> None:
        one = add(source_package(), paths)
        other = add(source_package(good({**ORIG, "linux-6.1.7/more": b""})), paths)
        assert one.name == other.name
        with pytest.raises(UserError, match=r"2 different ones were imported \(remove one: rm -r "):
            resolve_base(one.name, paths=paths)

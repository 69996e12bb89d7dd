"""Source packages of Debian and Ubuntu: vouched for, checked file by file, and unpacked as dpkg-source would."""

import gzip
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.errors import InfrastructureError, LabError, UserError
from lab.paths import Paths
from lab.tree import dsc
from lab.tree.bases import resolve_base
from lab.tree.stock import stock
from tests.tree.packing import ORIG, STEM, Package, add, content, described, good, names, tar
from tests.tree.site import Sign, Site


class TestUnpacking:
    """What comes out is what dpkg-source makes of it."""

    def test_a_quilt_series_is_applied_and_the_base_has_a_name(self, source_package: Package, paths: Paths) -> None:
        path = source_package()
        base = add(path, paths)
        assert (base.name, base.version, base.stand_in) == ("linux_6.1.7-1~bpo12+1.dsc", "6.1.7", "")
        assert content(base, "mm/slub.c") == "int slub;\nint two;\nint debian;"
        assert content(base, "mm/new.c") == "int new;"
        assert "debian/control" in names(base)
        assert "debian/old" not in names(base)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert base.source == f"{base.name}, sha256 {digest} (a file of yours; it has no signature)"

    def test_it_stays_a_base_when_the_files_are_gone(self, source_package: Package, paths: Paths) -> None:
        path = source_package()
        base = add(path, paths)
        shutil.rmtree(path.parent)
        assert resolve_base(base.name, paths=paths) == base
        row = next(row for row in stock(paths, {}, paths.cache) if row.name == base.name)
        assert (row.state, row.offline, row.version) == ("imported", True, "6.1.7")
        with pytest.raises(UserError, match=r"base linux_6\.1\.8-1\.dsc: no such source package .*lab bases add"):
            resolve_base("linux_6.1.8-1.dsc", paths=paths)

    def test_the_commit_is_the_same_everywhere(self, source_package: Package, paths: Paths, tmp_path: Path) -> None:
        other = Paths(cache=tmp_path / "c2", data=tmp_path / "d2", config=tmp_path / "f2")
        assert add(source_package(), paths).commit == add(source_package(), other).commit

    def test_the_configuration_and_a_tree_name_one_too(self, source_package: Package, paths: Paths) -> None:
        path = source_package()
        base = resolve_base("debian-6.1", paths=paths, configured={"debian-6.1": str(path)})
        assert base.stand_in == "stand-in base 6.1.7 for debian-6.1"
        assert resolve_base("mine", paths=paths, tree=path).commit == base.commit

    def test_format_1_has_one_diff(self, source_package: Package, paths: Paths) -> None:
        change = (
            b"--- linux-6.1.7.orig/mm/slub.c\n+++ linux-6.1.7/mm/slub.c\n@@ -1 +1,2 @@\n int slub;\n+int ubuntu;\n"
            b"--- linux-6.1.7.orig/debian/rules\n+++ linux-6.1.7/debian/rules\n@@ -0,0 +1 @@\n+#!/usr/bin/make -f\n"
        )
        files = {f"{STEM}.orig.tar.gz": tar(ORIG, "gz"), f"{STEM}-1.diff.gz": gzip.compress(change)}
        base = add(source_package(files, kind="1.0"), paths)
        assert content(base, "mm/slub.c") == "int slub;\nint ubuntu;"
        assert {"debian/old", "debian/rules"} <= set(names(base))

    def test_native_packages_and_components(self, source_package: Package, paths: Paths) -> None:
        native = add(source_package({f"{STEM}.tar.gz": tar(ORIG, "gz")}, kind="3.0 (native)"), paths)
        assert content(native, "mm/slub.c") == "int slub;"
        more = {f"{STEM}.orig-mm.tar.xz": tar({"x/other.c": b"int other;\n"})}
        plain = good(debian={"debian/control": b""})
        both = add(source_package({**plain, **more}, version="6.1.7-2"), paths)
        assert [name for name in names(both) if name.startswith("mm/")] == ["mm/other.c"]

    @pytest.mark.skipif(not shutil.which("dpkg-source"), reason="no dpkg-source here")
    def test_dpkg_source_makes_the_same_of_it(self, source_package: Package, paths: Paths, tmp_path: Path) -> None:
        path = source_package()
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

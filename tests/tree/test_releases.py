"""Releases of kernel.org by their name: where they are, and what they are checked by before they are unpacked."""

import hashlib
from pathlib import Path

import pytest

from lab.errors import InfrastructureError, LabError, UserError
from lab.tree import releases
from lab.tree.bases import resolve_base
from lab.tree.network import Session
from lab.tree.releases import find_hash, release
from lab.tree.signed import clear_text
from lab.tree.stock import stock
from tests.tree.site import Sign, Site

SIGNATURE = "-----BEGIN PGP SIGNATURE-----\n\nAA==\n-----END PGP SIGNATURE-----\n"
SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{}" + SIGNATURE
FILE = "linux-6.5.3.tar.xz"


def publish(site: Site, archive: Path, name: str = FILE, digest: str = "") -> None:
    """Put a tarball there, and its line into the signed list."""
    data = archive.read_bytes()
    site[f"/pub/v6.x/{name}"] = data
    line = f"{digest or hashlib.sha256(data).hexdigest()}  {name}\n"
    site["/pub/v6.x/sha256sums.asc"] = SIGNED.format(f"{'0' * 64}  linux-6.5.30.tar.xz\n{line}").encode()


@pytest.fixture
def site(server: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A kernel.org on the loopback."""
    monkeypatch.setattr(releases, "RELEASES", f"{server.url}/pub")
    monkeypatch.setattr(releases, "CANDIDATES", f"{server.url}/t")
    return server


@pytest.mark.parametrize(
    ("name", "version", "url"),
    [
        ("v6.12", "6.12.0", "cdn.kernel.org/pub/linux/kernel/v6.x/linux-6.12.tar.xz"),
        ("v6.12.3", "6.12.3", "cdn.kernel.org/pub/linux/kernel/v6.x/linux-6.12.3.tar.xz"),
        ("v3.0", "3.0.0", "cdn.kernel.org/pub/linux/kernel/v3.x/linux-3.0.tar.xz"),
        ("v2.6.32.9", "2.6.32.9", "cdn.kernel.org/pub/linux/kernel/v2.6/linux-2.6.32.9.tar.xz"),
        ("v6.13-rc2", "6.13.0-rc2", "git.kernel.org/torvalds/t/linux-6.13-rc2.tar.gz"),
    ],
)
def test_a_tag_tells_where_the_release_is(name: str, version: str, url: str) -> None:
    one = release(name)
    assert one is not None
    assert (one.version, one.url) == (version, f"https://{url}")
    assert one.sums == ("" if "-rc" in name else f"https://{url.rpartition('/')[0]}/sha256sums.asc")


@pytest.mark.parametrize(
    "name", ["6.12", "v6", "v6.12.3.4", "v06.1", "v6.1-rc0", "v6.1.2-rc1", "v6.1/../x", "v2.4.3", "v6.1१"]
)
def test_other_names_are_no_release(name: str) -> None:
    assert release(name) is None


def test_a_release_is_checked_by_the_published_hash_and_used_again(site: Site, tarball, paths) -> None:
    publish(site, tarball("6.5.3"))
    base = resolve_base("v6.5.3", paths=paths)
    digest = hashlib.sha256(site[f"/pub/v6.x/{FILE}"]).hexdigest()
    assert (base.version, base.stand_in) == ("6.5.3", "")
    assert base.source == (
        f"{FILE} of kernel.org, sha256 {digest} (checked by sha256sums.asc over no TLS; "
        "its signature was not checked, as no kernel_org_keyring is configured)"
    )
    asked = len(site.asked)
    assert resolve_base("v6.5.3", paths=paths) == base
    assert len(site.asked) == asked
    rows = {row.name: row for row in stock(paths, {}, paths.cache)}
    assert (rows["v6.5.3"].state, rows["v6.5.3"].offline) == ("imported", True)
    assert "signature was not checked" in rows["v6.5.3"].check
    assert not [path for path in (paths.cache / "downloads").iterdir() if path.suffix != ".lock"]


def test_a_tarball_with_another_hash_is_not_unpacked(site: Site, tarball, paths) -> None:
    publish(site, tarball("6.5.3"), digest="1" * 64)
    with pytest.raises(InfrastructureError, match=r"base v6\.5\.3: .*SHA-256 is .*, not 1{64}.*--tree PATH"):
        resolve_base("v6.5.3", paths=paths)
    assert not list(paths.bases.glob("*.git"))


def test_another_kernel_inside_is_refused_and_not_kept(site: Site, tarball, paths) -> None:
    publish(site, tarball("6.4.9"))
    with pytest.raises(InfrastructureError, match=r"this is Linux 6\.4\.9, not 6\.5\.3"):
        resolve_base("v6.5.3", paths=paths)
    assert not list(paths.bases.glob("*.git"))


def test_a_release_that_is_not_listed_is_not_fetched(site: Site, tarball, paths) -> None:
    publish(site, tarball("6.5.3"))
    with pytest.raises(InfrastructureError, match=r"sha256sums\.asc: has no linux-6\.5\.4\.tar\.xz \(is there such"):
        resolve_base("v6.5.4", paths=paths)
    assert site.asked == ["/pub/v6.x/sha256sums.asc"]


def test_a_candidate_says_that_tls_alone_checked_it(site: Site, tarball, paths) -> None:
    site["/t/linux-6.6-rc1.tar.gz"] = tarball("6.6.0-rc1", "linux-6.6-rc1.tar.gz").read_bytes()
    base = resolve_base("v6.6-rc1", paths=paths)
    assert base.version == "6.6.0-rc1"
    assert "TLS alone: no hash is published for a release candidate" in base.source


def test_a_page_instead_of_a_candidate_is_the_servers_fault(site: Site, paths) -> None:
    site["/t/linux-6.6-rc1.tar.gz"] = b"<html>are you human?</html>"
    with pytest.raises(InfrastructureError, match=r"linux-6\.6-rc1\.tar\.gz: .*a damaged archive.*--tree PATH"):
        resolve_base("v6.6-rc1", paths=paths)


@pytest.mark.parametrize(
    "sums",
    [
        b"",
        b"<html>",
        f"{'1' * 64}  {FILE}\n".encode(),
        f"{'1' * 64}  {FILE}\n".encode() + SIGNED.format("").encode(),
        SIGNED.format("").encode() + f"{'1' * 64}  {FILE}\n".encode(),
        SIGNED.format("").encode() * 2,
        SIGNED.format("x\n").replace("Hash: SHA256", f"{'1' * 64}  {FILE}").encode(),
    ],
)
def test_a_list_that_is_not_clear_signed_is_refused(sums: bytes) -> None:
    with pytest.raises(InfrastructureError, match="not a clear-signed text"):
        clear_text(sums, "sums")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("x" * 64 + f"  {FILE}\n", "no clear SHA-256"),
        (f"{'1' * 64}  {FILE}\n{'2' * 64}  {FILE}\n", "no clear SHA-256"),
        (f"{'1' * 63}  {FILE}\n", f"has no {FILE}"),
        (f"{'1' * 64}  ../{FILE}\n", f"has no {FILE}"),
        ("1" * (2 << 20) + f"  {FILE}\n", f"has no {FILE}"),
    ],
)
def test_a_line_that_is_not_clear_is_no_hash(line: str, why: str) -> None:
    with pytest.raises(InfrastructureError, match=why):
        find_hash(clear_text(SIGNED.format(line).encode(), "sums"), FILE, "sums")


def test_a_list_without_end_is_given_up(site: Site, tarball, paths, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(site, tarball("6.5.3"))
    monkeypatch.setattr(releases, "SUMS_LIMIT", 100)
    with pytest.raises(InfrastructureError, match="larger than 0 MiB"):
        resolve_base("v6.5.3", paths=paths)
    assert not list((paths.cache / "downloads").glob("*.part"))


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://10.0.0.1/x"])
def test_a_redirect_to_a_file_or_inside_is_refused(site: Site, paths, target: str) -> None:
    site.redirects["/pub/v6.x/sha256sums.asc"] = target
    with pytest.raises(LabError, match=r"only http: and https: URLs|redirect to a private address"):
        resolve_base("v6.5.3", paths=paths)


def test_a_redirect_does_not_leave_tls() -> None:
    with Session("https://example.org/a") as session:
        session.get_adapter("https://example.net/b")
        with pytest.raises(UserError, match="a redirect from https: to http: is not followed"):
            session.get_adapter("http://example.org/a")


def test_with_a_keyring_the_signature_must_be_good(site: Site, tarball, paths, sign: tuple[Sign, Path]) -> None:
    publish(site, tarball("6.5.3"))
    signed, keyring = sign
    line = f"{hashlib.sha256(site[f'/pub/v6.x/{FILE}']).hexdigest()}  {FILE}\n"
    with pytest.raises(InfrastructureError, match="its signature is not good"):
        resolve_base("v6.5.3", paths=paths, keyring=str(keyring))
    good = signed(line)
    site["/pub/v6.x/sha256sums.asc"] = good.replace(b"  linux-6.5.3", b"  linux-6.5.4")
    with pytest.raises(InfrastructureError, match="its signature is not good: BAD signature"):
        resolve_base("v6.5.3", paths=paths, keyring=str(keyring))
    assert not list(paths.bases.glob("*.git"))
    site["/pub/v6.x/sha256sums.asc"] = f"{'1' * 64}  {FILE}\n".encode() + good
    with pytest.raises(InfrastructureError, match="not a clear-signed text"):
        resolve_base("v6.5.3", paths=paths, keyring=str(keyring))
    site["/pub/v6.x/sha256sums.asc"] = good
    base = resolve_base("v6.5.3", paths=paths, keyring=str(keyring))
    assert base.source.endswith("(checked by sha256sums.asc, whose signature is good by kernel.gpg)")


def test_a_keyring_that_is_not_there_is_told(site: Site, tarball, paths, tmp_path: Path) -> None:
    publish(site, tarball("6.5.3"))
    with pytest.raises(UserError, match=r"none\.gpg: no such keyring \(kernel_org_keyring"):
        resolve_base("v6.5.3", paths=paths, keyring=str(tmp_path / "none.gpg"))

"""The list of hosts, and the checks before anything is sent to one."""

import os
import shutil
import subprocess

import pytest

from lab.errors import UserError
from lab.paths import Paths
from lab.remote.hosts import add_host, load_hosts, parse, remove_host

from .conftest import SSHD, free_port, user, wait_for

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    ("address", "user", "host", "port"),
    [
        ("me@cellar", "me", "cellar", 0),
        ("cellar.example", "", "cellar.example", 0),
        ("me@192.0.2.7:2222", "me", "192.0.2.7", 2222),
        ("me@[2001:db8::7]:22", "me", "2001:db8::7", 22),
        ("[fe80::1%eth0]", "", "fe80::1%eth0", 0),
    ],
)
def test_an_address_is_read_and_written_back(address, user, host, port):
    found = parse("cellar", address)
    assert (found.user, found.host, found.port) == (user, host, port)
    assert found.address == address


@pytest.mark.parametrize(
    "address",
    [
        "", "@", "me@", "-oProxyCommand=evil", "me@-oProxyCommand=x", "-x@host", "me@host:0", "me@host:70000",
        "me@host:22:22", "me@ho st", "me@host;reboot", "me@$(reboot)", "me@[::1", "m e@host", "me@host\n", "me@host:٢٢",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(address):
    with pytest.raises(UserError):
        parse("cellar", address)


@pytest.mark.parametrize("name", ["", "-x", "a/b", "..", "a b", "a\n", "x" * 64])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(UserError, match="host name"):
        parse(name, "me@cellar")


@pytest.mark.parametrize("folder", ["relative", "/a/../b", "/a b", "/$HOME", "/a'b"])
def test_what_is_no_folder_is_refused(folder):
    with pytest.raises(UserError, match="folder"):
        parse("cellar", "me@cellar", folder=folder)


def test_hosts_are_added_listed_replaced_and_removed(tmp_path):
    paths = Paths(tmp_path / "cache", tmp_path / "data", tmp_path / "config")
    one, two = parse("one", "me@one:22", folder="/srv/lab"), parse("two", "two", identity='~/.ssh/a "key"')
    add_host(one, paths)
    add_host(two, paths)
    add_host(two, paths)
    assert load_hosts(paths) == {"one": one, "two": two}
    with pytest.raises(UserError, match="already"):
        add_host(parse("one", "me@other"), paths)
    add_host(parse("one", "me@other"), paths, replace=True)
    assert load_hosts(paths)["one"].host == "other"
    assert remove_host("one", paths).host == "other"
    assert list(load_hosts(paths)) == ["two"]
    with pytest.raises(UserError, match="known hosts: two"):
        remove_host("one", paths)


def test_a_mistake_in_the_file_is_named(tmp_path):
    paths = Paths(tmp_path / "cache", tmp_path / "data", tmp_path)
    (tmp_path / "hosts.toml").write_text('[cellar]\naddress = "me@$(x)"\n')
    with pytest.raises(UserError, match=r"hosts.toml: cellar: address"):
        load_hosts(paths)
    (tmp_path / "hosts.toml").write_text('[cellar]\nadress = "me@x"\n')
    with pytest.raises(UserError, match="adress"):
        load_hosts(paths)


def test_an_unknown_host_key_is_refused_with_the_command_that_accepts_it(there):
    known = there.sshd.home / ".ssh" / "known_hosts"
    kept = known.read_bytes()
    try:
        known.write_text("")
        _, said = there.run("hosts", "check", "loop", status=129)
        assert "its host key is not in" in said
        assert f"ssh-keyscan -p {there.sshd.port} 127.0.0.1" in said
        other = there.here / "other"
        from .conftest import keygen

        keygen(other)
        known.write_text(f"[127.0.0.1]:{there.sshd.port} {other.with_suffix('.pub').read_text()}")
        _, said = there.run("hosts", "check", "loop", status=129)
        assert "ANOTHER" in said
        assert f"ssh-keygen -R '[127.0.0.1]:{there.sshd.port}'" in said
        assert len(said.strip().splitlines()) == 1
    finally:
        known.write_bytes(kept)


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["password", "keyboard-interactive"])
def test_a_host_that_only_takes_passwords_is_told_and_asked_for_none(there, tmp_path, kind):
    words = ["PasswordAuthentication", "KbdInteractiveAuthentication"]
    text = (
        (there.sshd.folder / "config").read_text().replace(f"Port {there.sshd.port}", f"Port {(port := free_port())}")
    )
    for word in words:
        wanted = "yes" if word == words[kind == "keyboard-interactive"] else "no"
        text = text.replace(f"{word} no", f"{word} {wanted}")
    (tmp_path / "config").write_text(f"PubkeyAuthentication no\n{text}")
    known = there.sshd.home / ".ssh" / "known_hosts"
    kept = known.read_text()
    known.write_text(kept + kept.replace(f":{there.sshd.port} ", f":{port} "))
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(tmp_path / "config")], stdout=log, stderr=log)
    try:
        wait_for(lambda: b"listening on" in (tmp_path / "log").read_bytes())
        there.add("only", f"{user()}@127.0.0.1:{port}")
        for command in (("hosts", "check", "only"), ("repro", "early-policy", "--on", "only")):
            _, said = there.run(*command, status=129, seconds=60)
            assert f"it takes no keys, only {kind}, and nothing is asked for here" in said.strip().splitlines()[-1]
    finally:
        known.write_text(kept)
        server.kill()
        server.wait()


@pytest.mark.faults
def test_a_login_that_is_refused_asks_for_nothing_and_says_what_to_do(there):
    key = there.sshd.home / ".ssh" / "id_ed25519"
    kept = key.with_name("kept")
    shutil.move(key, kept)
    try:
        _, said = there.run("hosts", "check", "loop", status=129, seconds=30)
        assert "accepts none of the keys" in said
        assert f"ssh-copy-id -p {there.sshd.port}" in said
    finally:
        shutil.move(kept, key)


@pytest.mark.faults
def test_nobody_there_is_told_in_one_line(there):
    from .conftest import free_port, user

    there.add(address=f"{user()}@127.0.0.1:{free_port()}")
    _, said = there.run("hosts", "check", "loop", status=128, seconds=30)
    assert "cannot be reached" in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.faults
def test_a_host_is_set_up_checked_and_then_has_all(there):
    _, said = there.run("hosts", "check", "loop", status=129)
    assert "lab hosts setup loop" in said
    planned = there.json("hosts", "setup", "loop", "--dry-run")
    assert planned["done"] is False
    assert any("send this version" in step for step in planned["steps"])
    assert not (there.folder / "versions").exists()
    out, said = there.run("hosts", "setup", "loop")
    assert "send this version" in said
    assert "loop is ready" in out
    assert there.json("hosts", "setup", "loop")["steps"] == []
    checks = there.json("hosts", "check", "loop", status=None)
    assert {"git", "gcc", "python", "disk"} <= {check["name"] for check in checks["checks"]}
    assert str(there.folder / "cache") in next(c["detail"] for c in checks["checks"] if c["name"] == "disk")


@pytest.mark.faults
def test_no_agent_is_forwarded_even_where_the_configuration_wishes_it(ready):
    from lab.remote.hosts import find_host
    from lab.remote.ssh import connected

    config = ready.sshd.home / ".ssh" / "config"
    config.write_text("Host *\n    ForwardAgent yes\n")
    home = os.environ["HOME"]
    os.environ["HOME"] = str(ready.sshd.home)
    try:
        host = find_host("loop", Paths(ready.here, ready.here, ready.here / "config"))
        with connected(host) as link:
            assert link.run("echo agent=$SSH_AUTH_SOCK").text.strip() == "agent="
    finally:
        os.environ["HOME"] = home
        config.unlink()

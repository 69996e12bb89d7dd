"""ci/setup: says what it installs before it does, installs nothing twice, and tells who can't install what to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not (TOP / "ci" / "setup").is_file(), reason="not in a checkout")

STATUS = "install ok installed"


@pytest.fixture
def checkout(tmp_path):
    """A copy of what ci/setup reads, and a PATH of stand-ins that only write down how they were called."""
    copy = tmp_path / "lab"
    (copy / "ci").mkdir(parents=True)
    for name in ("ci/setup", "ci/debian-packages", "pyproject.toml"):
        shutil.copy(TOP / name, copy / name)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "sed", "awk", "cat", "cksum", "dirname", "mkdir", "tr", "true", "touch", "chmod", "env"):
        (tools / name).symlink_to(shutil.which(name))
    stand_in(tools, "python3", PYTHON)
    return copy


PYTHON = """
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin"; for t in python lab; do printf '#!/bin/sh\\necho "$@" >>calls\\n' >"$3/bin/$t"
               chmod +x "$3/bin/$t"; done ;;
esac"""


def stand_in(tools, name, body):
    path = tools / name
    path.write_text(f'#!/bin/sh\necho {name} "$@" >>calls\n{body}\n')
    path.chmod(0o755)


def debian(checkout, installed, user):
    """Make it a Debian where ``installed`` says for each package whether it is there, and ``user`` is the user id."""
    tools = checkout.parent / "bin"
    stand_in(
        tools, "dpkg-query", f'for p; do :; done; case "$p" in {installed}) printf "{STATUS}" ;; *) exit 1 ;; esac'
    )
    stand_in(tools, "apt-get", "")
    stand_in(tools, "apt-cache", "")
    stand_in(tools, "id", f"echo {user}")


def setup(checkout, *arguments):
    environment = {"PATH": str(checkout.parent / "bin"), "HOME": os.environ.get("HOME", "/")}
    done = subprocess.run(
        ["/bin/sh", "ci/setup", *arguments], cwd=checkout, env=environment, capture_output=True, check=False, timeout=60
    )
    calls = checkout / "calls"
    return done.returncode, done.stderr.decode(), calls.read_text() if calls.exists() else ""


def test_what_is_missing_is_told_and_then_installed(checkout):
    debian(checkout, "gcc|make|git", user=0)
    status, said, calls = setup(checkout)
    assert status == 0, said
    told = next(line for line in said.splitlines() if line.startswith("Installing by apt-get:"))
    assert "qemu-system-x86" in told
    assert "gcc" not in told.split()
    assert "apt-get install" in calls
    assert "pip install --quiet --editable ." in calls


def test_a_second_run_installs_nothing(checkout):
    debian(checkout, "*", user=0)
    setup(checkout)
    (checkout / "calls").unlink()
    status, said, calls = setup(checkout)
    assert (status, said) == (0, "")
    assert "install" not in calls.replace("${db:Status-Status}", "")


def test_without_root_the_command_is_told_and_nothing_is_done(checkout):
    debian(checkout, "gcc", user=1000)
    status, said, calls = setup(checkout)
    assert status == 1
    assert "sudo apt-get update && sudo apt-get install --no-install-recommends" in said
    assert "qemu-system-x86" in said
    assert "apt-get" not in calls
    assert not (checkout / ".venv").exists()


def test_on_another_distribution_the_missing_tools_are_told_and_nothing_is_done(checkout):
    status, said, _ = setup(checkout)
    assert status == 1
    assert "This is no Debian" in said
    assert "qemu-system-x86_64" in said
    assert "sudo dnf install" in said
    assert not (checkout / ".venv").exists()

"""Wrong usage is answered with one line and exit code 129, with --json also as the one document; no traceback."""

import json
import subprocess
import sys

import pytest


def lab(*arguments, cwd=None, env=None, stdin=b""):
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "lab", *arguments],
        cwd=cwd,
        env=env,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frob"], "No such command 'frob'"),
        ([], "lab what? doctor, repro, build,"),
        (["matrix"], "lab matrix what? plan, run, watch (lab matrix --help)"),
        (["repro"], "Missing argument 'CASE'"),
        (["repro", "no-such-case"], "no case 'no-such-case'; known cases:"),
        (["repro", "early-policy", "--at", "x"], "'x' is not a point"),
        (["repro", "early-policy", "--at", "0-99999999"], "names more points than any series has"),
        (["repro", "early-policy", "--at", "3", "--with-fix"], "exclude each other"),
        (["repro", "early-policy", "--tree", "/nowhere"], "Directory '/nowhere' does not exist"),
        (["boot"], "name either a CASE or a --kernel IMAGE"),
        (["boot", "early-policy", "--accel", "hope"], "'hope' is not one of"),
        (["boot", "early-policy", "--timeout", "0"], "0.0 is not in the range"),
        (["scan"], "Missing argument 'LOG...'"),
        (["scan", "/no/such/log"], "/no/such/log: No such file"),
        (["build", "early-policy", "--at", "-1"], "-1 is not in the range"),
    ],
)
def test_wrong_usage_is_one_line_and_129(arguments, message):
    result = lab(*arguments)
    assert result.returncode == 129, result.stderr
    assert message in result.stderr.decode()
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == b""


def test_an_error_is_one_json_document_where_that_was_asked_for():
    result = lab("repro", "no-such-case", "--json")
    assert result.returncode == 129
    error = json.loads(result.stdout)["error"]
    assert error["kind"] == "user"
    assert "no case" in error["message"]


def test_debug_shows_where_an_error_comes_from():
    result = lab("repro", "no-such-case", "--debug")
    assert result.returncode == 129
    assert b"Traceback" in result.stderr


def test_escapes_in_what_a_user_typed_do_not_reach_the_terminal():
    result = lab("repro", "\x1b]0;owned\x07")
    assert b"\x1b" not in result.stderr
    assert b"\\x1b" in result.stderr


@pytest.mark.parametrize("command", ["repro", "bisect", "build", "boot", "check", "scan", "doctor", "kconfig render"])
def test_every_command_has_help_with_an_example(command):
    result = lab(*command.split(), "--help")
    assert result.returncode == 0
    text = result.stdout.decode()
    assert f"lab {command.split()[0]}" in text.partition("Options:")[0].split("Usage:")[1].split("\n", 1)[1]
    assert "--json" in text


def test_a_configuration_file_with_an_unknown_key_is_told_by_name(tmp_path):
    (tmp_path / "config.toml").write_text('compiler = "gcc"\n')
    env = {"LAB_CONFIG": str(tmp_path), "LAB_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"}
    result = lab("repro", "early-policy", env=env)
    assert result.returncode == 129
    assert b"config.toml: Object contains unknown field `compiler`" in result.stderr


def test_a_binary_file_is_no_console(tmp_path):
    (tmp_path / "log").write_bytes((b"\x7fELF" + bytes(100) + bytes(range(256))) * 300)
    result = lab("scan", str(tmp_path / "log"))
    assert result.returncode == 125
    assert b"this is a binary file" in b" ".join(result.stdout.split())

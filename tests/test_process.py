"""Programs end in time, say no more than is kept, and leave nobody behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.errors import InfrastructureError
from lab.process import DeadlinePassed, ToolMissing, run, stream

pytestmark = pytest.mark.system

SLEEPER = "echo $$ > {0}/shell; sleep 1000 & echo $! > {0}/child; wait"


def pids(folder: Path) -> list[int]:
    """The processes that SLEEPER has started, as soon as it has written both ids."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        texts = [(folder / name).read_text() if (folder / name).exists() else "" for name in ("shell", "child")]
        if all(text.endswith("\n") for text in texts):
            return [int(text) for text in texts]
        time.sleep(0.01)
    raise AssertionError("the shell did not start")


def alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(found: list[int], seconds: float = 30.0) -> bool:
    limit = time.monotonic() + seconds
    while any(map(alive, found)) and time.monotonic() < limit:
        time.sleep(0.01)
    return not any(map(alive, found))


def test_status_and_both_streams_are_the_result() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2; exit 3"], deadline=10)
    assert (done.returncode, done.stdout, done.stderr, done.ok) == (3, b"out\n", b"err\n", False)


def test_input_may_be_larger_than_any_pipe_and_come_from_a_generator() -> None:
    done = run(["sha256sum"], deadline=30, input=(b"x" * 100_000 for _ in range(50)))
    whole = subprocess.run(["sha256sum"], input=b"x" * 5_000_000, capture_output=True, check=True)
    assert done.stdout == whole.stdout


def test_a_child_that_does_not_read_its_input_is_no_error() -> None:
    assert run(["true"], deadline=10, input=b"x" * 1_000_000).ok


def test_output_beyond_the_limit_is_dropped_and_told() -> None:
    done = run(["sh", "-c", "yes | head -c 1000000"], deadline=10, limit=100)
    assert len(done.stdout) == 100
    assert done.cut


def test_lines_come_while_the_child_runs_and_the_last_needs_no_end() -> None:
    lines: list[tuple[bytes, float]] = []
    stream(
        ["sh", "-c", "echo one; sleep 0.3; echo two >&2; printf three"],
        lambda line: lines.append((line, time.monotonic())),
        deadline=10,
    )
    assert [line for line, _ in lines] == [b"one", b"two", b"three"]
    assert lines[1][1] - lines[0][1] > 0.2


def test_a_line_without_end_is_handed_on_in_pieces() -> None:
    sizes: list[int] = []
    stream(["head", "-c", "1000000", "/dev/zero"], lambda line: sizes.append(len(line)), deadline=10)
    assert sum(sizes) == 1_000_000
    assert max(sizes) < 200_000


def test_the_deadline_ends_the_child_and_its_children(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlinePassed, match=r"sh did not end within 0\.5 s"):
        run(["sh", "-c", SLEEPER.format(tmp_path)], deadline=0.5)
    assert time.monotonic() - began < 5
    assert gone(pids(tmp_path))


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with pytest.raises(DeadlinePassed):
        run(["sh", "-c", f"trap '' TERM; {SLEEPER.format(tmp_path)}"], deadline=0.3)
    assert gone(pids(tmp_path))


def test_what_a_finished_command_left_in_the_background_is_ended(tmp_path: Path) -> None:
    run(["sh", "-c", f"sleep 1000 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/shell"], deadline=10)
    assert gone(pids(tmp_path))


def test_an_exception_from_the_reader_ends_the_child(tmp_path: Path) -> None:
    def refuse(line: bytes) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="go"):
        stream(["sh", "-c", f"{SLEEPER.format(tmp_path).replace('wait', 'echo go; wait')}"], refuse, deadline=10)
    assert gone(pids(tmp_path))


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_child_survives_the_lab(tmp_path: Path, sig: signal.Signals) -> None:
    script = f"from lab.process import run; run(['sh', '-c', {SLEEPER.format(tmp_path)!r}], deadline=60)"
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as lab:
        found = pids(tmp_path)
        assert all(map(alive, found))
        lab.send_signal(sig)
        lab.wait(timeout=10)
    assert gone(found)


def test_a_missing_program_is_named_with_what_installs_it(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match=r"nonesuch: no such program .*\(apt-get install nonesuch\)"):
        run(["nonesuch"], deadline=1, hint="apt-get install nonesuch")
    with pytest.raises(InfrastructureError, match="the folder to run true in is gone"):
        run(["true"], deadline=1, cwd=tmp_path / "nowhere")


def test_arguments_never_meet_a_shell() -> None:
    assert run(["printf", "%s", "$(id); `id`"], deadline=10).stdout == b"$(id); `id`"


def test_no_descriptors_are_lost() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        run(["true"], deadline=10)
    assert len(list(Path("/proc/self/fd").iterdir())) == before

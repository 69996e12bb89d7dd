"""When a guest has shown enough. Times are in seconds since QEMU was started."""

from __future__ import annotations

import pytest

from lab.guest.watch import FATAL_SECONDS, QUIET_SECONDS, Sight, decide


def sight(now: float = 1.0, **seen: object) -> Sight:
    return Sight(now=now, deadline=60.0, **seen)  # type: ignore[arg-type]


def test_a_guest_that_runs_is_left_alone_until_its_deadline() -> None:
    assert decide(sight(last_byte=0.9)).outcome is None
    assert decide(sight(last_byte=0.9)).wait == pytest.approx(59.0)
    assert decide(sight(now=60.0, last_byte=59.9)).outcome == "hang"


def test_the_marker_ends_it_at_once() -> None:
    assert decide(sight(marker=True)).outcome == "userspace"


def test_a_guest_that_has_a_program_to_run_goes_on_after_the_marker() -> None:
    assert decide(sight(marker=True, wait_for_exit=True)).outcome is None
    assert decide(sight(marker=True, wait_for_exit=True, shutdown="guest-shutdown")).outcome == "userspace"
    assert decide(sight(now=61.0, marker=True, wait_for_exit=True)).outcome == "hang"


def test_a_fatal_report_is_read_to_its_end_and_no_further() -> None:
    assert decide(sight(now=1.0, fatal=1.0, last_byte=1.0)).outcome is None
    assert decide(sight(now=1.0, fatal=1.0, last_byte=1.0)).wait == pytest.approx(QUIET_SECONDS)
    assert decide(sight(now=1.05, fatal=1.0, last_byte=1.0, complete=True)).outcome == "died"
    assert decide(sight(now=1.35, fatal=1.0, last_byte=1.0)).outcome == "died"


def test_a_guest_that_goes_on_printing_after_a_fatal_report_is_ended() -> None:
    assert decide(sight(now=2.9, fatal=1.0, last_byte=2.9)).outcome is None
    assert decide(sight(now=1.0 + FATAL_SECONDS, fatal=1.0, last_byte=3.0)).outcome == "died"


def test_a_reset_before_the_marker_is_a_death() -> None:
    assert decide(sight(shutdown="guest-reset")).outcome == "died"
    assert decide(sight(shutdown="guest-panic", exited=True)).outcome == "died"


def test_qemu_that_ends_without_a_word_of_the_guest_is_qemus_fault() -> None:
    assert decide(sight(exited=True)).outcome == "qemu"


def test_a_signal_from_outside_is_no_verdict() -> None:
    assert decide(sight(shutdown="host-signal", exited=True)).outcome == "interrupted"


def test_an_internal_error_is_the_accelerators_fault_whatever_was_printed() -> None:
    assert decide(sight(broken=True, fatal=0.5, last_byte=0.5)).outcome == "accelerator"


def test_a_guest_to_work_in_has_its_time_after_the_marker_and_none_before() -> None:
    def held(now: float, **seen: object) -> str | None:
        return decide(sight(now=now, wait_for_exit=True, hold=600.0, **seen)).outcome

    assert held(61.0) == "hang"
    assert held(61.0, marker=True) is None
    assert held(661.0, marker=True) == "hang"


def test_a_guest_whose_user_is_done_with_it_is_ended() -> None:
    assert decide(sight(stopped=True, marker=True, wait_for_exit=True)).outcome == "userspace"
    assert decide(sight(stopped=True)).outcome == "interrupted"
    assert decide(sight(stopped=True, fatal=0.9, last_byte=0.9)).outcome == "died"
    assert decide(sight(stopped=True, marker=True, broken=True)).outcome == "accelerator"


def test_a_report_is_waited_for_while_the_host_keeps_the_guest_from_printing_it() -> None:
    starved = sight(now=3.0, fatal=1.0, last_byte=1.0, late=1.9, late_quiet=1.9)
    assert decide(starved).outcome is None
    assert decide(starved).wait == pytest.approx(QUIET_SECONDS - 0.1)
    assert decide(sight(now=4.0, fatal=1.0, last_byte=3.9, late=2.0, late_quiet=0.0)).outcome is None
    assert decide(sight(now=50.0, fatal=1.0, last_byte=1.0, late=49.0, late_quiet=49.0)).outcome == "died"

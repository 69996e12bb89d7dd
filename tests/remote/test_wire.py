"""What goes over the wire is there what it was here."""

from dataclasses import MISSING, fields
from pathlib import Path

import msgspec

from lab.console.ktap import Tap, TapLine
from lab.console.types import Report
from lab.guest.types import Boot
from lab.remote import wire

NAME = "20261125-000000-00000000"


def test_a_boot_comes_back_whole(tmp_path):
    folder = tmp_path / NAME
    folder.mkdir()
    console = folder / "console.log"
    console.write_bytes(b"[    0.000000] Linux version 6.1\n")
    boot = Boot(
        outcome="died",
        detail="the kernel died",
        report=Report(lines=1, kernel_release="6.1", notes=("a note",), kernel_offset=4096),
        machine="two-node",
        nodes=2,
        accel="tcg",
        argv=("qemu-system-x86_64", "-nodefaults"),
        folder=folder,
        console=console,
        seconds=2.5,
        first_byte_seconds=0.25,
        marker_seconds=1.25,
        notes=("said",),
        programs=(Tap("numa", 1, (TapLine(1, "one", "ok"),), 0),),
        fatal_seconds=1.5,
        last_byte_seconds=2.0,
        ended_seconds=2.25,
    )
    forgotten = [
        one.name for one in fields(Boot) if one.default is not MISSING and getattr(boot, one.name) == one.default
    ]
    assert forgotten == [], "what is not set here can't be seen to come back"
    answer = wire.Answer(probes=(wire.ProbeWire(3, boot=wire.boot_wire(boot)),))
    data = msgspec.json.encode(answer)
    assert str(tmp_path).encode() not in data
    back = wire.answer.decode(data).probes[0].boot
    assert wire.boot_here(back, folder) == boot
    assert wire.boot_here(back, Path("/there") / NAME).console == Path("/there") / NAME / "console.log"

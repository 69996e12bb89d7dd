"""Results for a person at a terminal, by Rich. Everything from outside is made harmless before it is printed."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lab.case import Case
from lab.console.compare import Row
from lab.console.types import Finding, Report
from lab.doctor import Check
from lab.guest.types import Boot
from lab.guest_tests import GuestTest
from lab.kernel.types import BuildFailure, Kernel
from lab.line import Line, Probe
from lab.report.plain import harmless
from lab.repro import Repro
from lab.series_check import Checked
from lab.verdict import Verdict

COLOURS = {"good": "green", "bad": "red", "skip": "yellow", "ok": "green", "missing": "red", "optional": "yellow"} | {
    "agrees": "green",
    "pass": "green",
    "fail": "red",
    "differs": "red",
    "lost": "yellow",
}
EXCERPT_LINES = 24


def out() -> Console:
    """Standard output, as wide as the terminal; 100 columns where there is none."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=max(100, console.width))


def word(text: str) -> Text:
    """A verdict or status in its colour (the word itself says it to those who see none)."""
    return Text(text, style=f"bold {COLOURS.get(text, '')}")


def facts(rows: list[tuple[str, str]]) -> Table:
    """Names and values in two columns, without a frame."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(harmless(value)))
    return table


def excerpt(finding: Finding, limit: int = EXCERPT_LINES) -> Padding:
    """The finding's own lines of the console."""
    lines = [harmless(line).expandtabs() for line in finding.text[:limit]]
    if len(finding.text) > limit:
        lines.append(f"… {len(finding.text) - limit} more lines")
    return Padding(Text("\n".join(lines), style="dim"), (0, 0, 0, 4))


def line_facts(line: Line) -> list[tuple[str, str]]:
    """What every result of a case rests on."""
    base = line.tree.base
    version = ".".join(map(str, line.toolchain.cc_version))
    rows = [
        ("case", f"{line.case.name}: {line.case.title}"),
        ("base", f"{base.name}: {base.source}"),
        ("kernel", f"{base.version}, kconfig {line.fragment.name}, {line.toolchain.cc} {version}"),
        ("machine", f"{line.machine.name}: {line.machine.title}"),
    ]
    if line.toolchain.sandbox:
        rows.append(("builds", line.toolchain.sandbox.sentence))
    return [*rows, ("note", base.stand_in)] if base.stand_in else rows


def probe_table(probes: tuple[Probe, ...]) -> Table:
    """One row a point, in the order of the line."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("point", "patch", "verdict", "why", "build", "boot"):
        table.add_column(heading, justify="right" if heading in ("build", "boot") else "left", overflow="fold")
    for probe in sorted(probes, key=lambda probe: probe.point.index):
        table.add_row(
            str(probe.point.index),
            Text(harmless(probe.point.subject)),
            word(probe.verdict.word),
            Text(harmless(probe.verdict.reason)),
            f"{probe.build_seconds:.1f} s",
            f"{probe.boot_seconds:.1f} s" if probe.boot else "-",
        )
    return table


def show_probe(probe: Probe) -> None:
    """One point, as soon as it is known."""
    line = Text.assemble(f"point {probe.point.index:>3}  ", word(probe.verdict.word), "  ")
    out().print(line.append(harmless(probe.verdict.reason)))


def show_line(line: Line) -> None:
    """What the results that follow rest on."""
    out().print(facts(line_facts(line)))


def show_checked(row: Checked) -> None:
    """One point of ``lab series check``, as soon as it is known."""
    changed = {None: "", True: "", False: "  the same image as before"}[row.image_changed]
    surprise = "" if row.as_expected else "  NOT what the case says"
    head = Text.assemble(f"{row.probe.point.index:>3}  ", word(row.probe.verdict.word), "  ")
    console = out()
    console.print(
        head.append(harmless(row.probe.point.subject)).append(changed, style="dim").append(surprise, style="bold red")
    )
    console.print(Padding(Text(harmless(row.probe.verdict.reason), style="dim"), (0, 0, 0, 11)))
    for warning in row.new_warnings:
        console.print(Padding(Text(f"new warning: {harmless(warning)}", style="yellow"), (0, 0, 0, 11)))
    if row.other_warnings:
        elsewhere = (
            f"{len(row.other_warnings)} warning(s) in files that it does not touch, such as {row.other_warnings[0]}"
        )
        console.print(Padding(Text(harmless(elsewhere), style="dim"), (0, 0, 0, 11)))


def show_crash(console: Console, probes: tuple[Probe, ...]) -> None:
    """The crash that the verdicts rest on, once, and where all of its console is."""
    bad = next((probe for probe in probes if probe.verdict.word == "bad" and probe.verdict.finding), None)
    if bad is None or bad.boot is None or bad.verdict.finding is None:
        return
    finding = bad.verdict.finding
    trace = " < ".join(finding.functions[:5])
    console.print()
    console.print(Text(harmless(finding.title), style="bold red"))
    rows = [("stage", bad.boot.report.stage), ("trace", trace), ("signature", finding.signature)]
    console.print(facts([*rows, ("console", f"{bad.boot.console}, line {finding.line}")]))
    console.print(excerpt(finding))


def show_repro(repro: Repro) -> None:
    """The outcome of ``lab repro``."""
    console = out()
    console.print(facts(line_facts(repro.line)))
    console.print()
    console.print(probe_table(repro.probes))
    show_failures(console, repro.probes)
    show_crash(console, repro.probes)
    show_guest_tests(console, repro.guest_tests)
    console.print()
    name = str(repro.line.case.folder) if repro.line.case.origin else repro.line.case.name
    end = next((one for one in repro.probes if one.point.index == repro.line.series_end), None)
    if looks_for_nothing(repro.line.case) and end is not None and not repro.reproduced:
        console.print(Text(f"The series' end is {end.verdict.word}: {harmless(end.verdict.reason)}", style="bold"))
    elif repro.reproduced:
        console.print(
            Text.assemble(("Reproduced. ", "bold"), "Which patch brought it:  ", f"lab bisect {harmless(name)}")
        )
    elif repro.as_expected:
        tested = ", and no test program failed" if repro.guest_tests else ""
        console.print(Text(f"As expected: no bug at the points that were tried{tested}.", style="bold"))
    else:
        console.print(Text("Not what the case expects.", style="bold yellow"))


def looks_for_nothing(case: Case) -> bool:
    """Whether the case came by mail, or from a report without a crash, and names no bug to look for."""
    return not (case.expect.signature or case.expect.title) and (case.origin is not None or not case.patches)


def show_guest_tests(console: Console, tests: tuple[GuestTest, ...]) -> None:
    """The test programs: one line for each on each machine, and what explains a failure."""
    for test in tests:
        if test.boot and test.boot.programs:
            console.print(Text(test.machine, style="dim"))
            show_programs(console, test.boot)
        if test.verdict.word != "good":
            console.print(Text.assemble(word(test.verdict.word), f"  {test.program} on {test.machine}: "), end="")
            console.print(Text(harmless(test.verdict.reason)))


def show_failures(console: Console, probes: tuple[Probe, ...]) -> None:
    """Where the logs of points are that did not build."""
    for probe in probes:
        if probe.failure:
            console.print(facts([(f"point {probe.point.index}", f"build log: {probe.failure.log}")]))


def show_kernel(kernel: Kernel | BuildFailure) -> None:
    """The outcome of ``lab build``."""
    console = out()
    if isinstance(kernel, BuildFailure):
        place = f"{kernel.file}:{kernel.line}: " if kernel.file else ""
        console.print(Text(f"does not build: {harmless(place + kernel.message)}", style="bold red"))
        console.print(facts([("log", str(kernel.log))]))
        return
    origin = "from the store" if kernel.from_store else f"built in {kernel.seconds:.0f} s"
    console.print(Text(f"{kernel.release}, {origin}", style="bold"))
    files = [("image", kernel.image), ("vmlinux", kernel.vmlinux), ("config", kernel.config)]
    console.print(facts([(name, str(path)) for name, path in files]))
    for warning in kernel.warnings:
        console.print(Text(f"warning: {harmless(warning)}", style="yellow"))


def show_boot(boot: Boot, verdict: Verdict) -> None:
    """The outcome of ``lab boot``."""
    console = out()
    console.print(Text.assemble(word(verdict.word), "  ", harmless(verdict.reason)))
    stages = "  ".join(f"{s.name}" + (f" {s.time:.2f}s" if s.time is not None else "") for s in boot.report.stages)
    marker = boot.report.marker
    rows = [
        ("machine", f"{boot.machine} under {boot.accel}"),
        ("stages", stages or "none: not a byte on the console"),
        ("guest", " ".join(f"{name}={value}" for name, value in marker.fields) if marker else "no marker"),
        ("ended", f"{boot.detail} ({boot.seconds:.2f} s)"),
        ("console", str(boot.console)),
        *(doing(boot.report) if boot.outcome == "hang" else ()),
        *(("note", note) for note in boot.notes),
    ]
    console.print(facts(rows))
    show_programs(console, boot)
    if verdict.finding:
        console.print(excerpt(verdict.finding))


def doing(report: Report) -> list[tuple[str, str]]:
    """What a boot that did not come to its end did last."""
    rows = [("in initcall", report.last_initcall)] if report.last_initcall else []
    return [*rows, ("last lines", "\n".join(report.last_lines))] if report.last_lines else rows


def show_programs(console: Console, boot: Boot) -> None:
    """What the test programs in the guest said: a line for each, and all that explains a failure."""
    for tap in boot.programs:
        head = Text.assemble((f"{tap.word:<4}  ", f"bold {COLOURS[tap.word]}"), (tap.name, "bold"), "  ")
        console.print(head.append(harmless(tap.summary)))
        for test in tap.tests:
            if test.result == "not ok":
                lines = [*(f"# {note}" for note in test.notes), f"not ok {test.number} - {test.name}"]
                console.print(Padding(Text(harmless("\n".join(lines)), style="dim"), (0, 0, 0, 6)))


def show_comparison(report: str, console_name: str, rows: tuple[Row, ...], same: bool) -> None:
    """The outcome of ``lab compare``."""
    console = out()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("fact", no_wrap=True)
    table.add_column(harmless(report), overflow="fold")
    table.add_column(harmless(console_name), overflow="fold")
    for row in rows:
        shown = row.console if row.how != "agrees" else "="
        table.add_row(word(row.how), row.name, Text(harmless(row.report)), Text(harmless(shown)))
    console.print(table)
    count = {how: sum(row.how == how for row in rows) for how in ("agrees", "differs", "lost")}
    console.print()
    head = "The same crash." if same else "Not the same crash."
    console.print(Text(head, style="bold green" if same else "bold red"))
    console.print(f"{count['agrees']} facts agree, {count['differs']} differ, the report lost {count['lost']}.")


def show_checks(checks: list[Check]) -> None:
    """The outcome of ``lab doctor``."""
    console = out()
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column()
    table.add_column(overflow="fold")
    for check in checks:
        detail = check.detail if check.status == "ok" else f"{check.detail}: {check.mend}"
        table.add_row(word(check.status), check.name, Text(harmless(detail)))
    console.print(table)
    missing = [check for check in checks if check.status == "missing"]
    console.print(f"{len(missing)} of {len(checks)} missing." if missing else "Everything is here.", style="bold")

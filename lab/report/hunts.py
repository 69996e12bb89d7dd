"""What the hunts found, for people and as JSON documents."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from lab.bisect.config_hunt import ConfigHunt
from lab.bisect.config_hunt import Trial as ConfigTrial
from lab.bisect.machine_hunt import MachineHunt
from lab.bisect.smaller import Seen, toml
from lab.bisect.sure import Ruling
from lab.report.documents import Document, boot_document, line_document
from lab.report.plain import harmless
from lab.report.terminal import excerpt, facts, line_facts, out, word
from lab.verdict import Verdict


def show_config_trial(trial: ConfigTrial) -> None:
    """One kernel of a config hunt, as soon as it is known."""
    head = Text.assemble(f"{harmless(trial.name):16} {trial.symbols:3} of {trial.of} symbols  ", word(trial.word), "  ")
    tail = f"  build {trial.build_seconds:.0f} s, {trial.boots} boot(s) {trial.boot_seconds:.0f} s"
    out().print(head.append(harmless(trial.reason)).append(tail, style="dim"))


def show_config_hunt(hunt: ConfigHunt) -> None:
    """The outcome of ``lab bisect --config``."""
    console = out()
    console.print(facts([*line_facts(hunt.line), ("point", f"{hunt.point.index} {hunt.point.subject}")]))
    show_bad_end(hunt.trials[0].ruling if hunt.trials else None)
    console.print()
    if hunt.symbol:
        console.print(Text(f"The symbol that brings it: {hunt.symbol}", style="bold red"))
    else:
        console.print(Text(f"No single symbol can be named: {harmless(hunt.reason)}", style="bold yellow"))
    if hunt.left:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("symbol", "good", "bad"):
            table.add_column(heading, overflow="fold")
        for symbol, good, bad in hunt.left:
            table.add_row(*(Text(harmless(text)) for text in (symbol, good, bad)))
        console.print(table)
        console.print("In these alone a good and a bad kconfig still differ; both were built and booted.")
    counts = f"{hunt.symbols} symbols differed, {hunt.resolved} mixes resolved, {len(hunt.trials)} kernels"
    console.print(Text(f"{counts}, {hunt.seconds:.0f} s; good means {how_often(hunt)}", style="dim"))


def how_often(hunt: ConfigHunt | MachineHunt) -> str:
    """What a "good" rests on."""
    return "once" if hunt.needed == 1 else f"{hunt.needed} boots without the bug"


def show_bad_end(ruling: Ruling | None) -> None:
    """The crash that is hunted, and how to see more of it."""
    if ruling is None or ruling.word != "bad" or ruling.boot is None or ruling.boot.report.first is None:
        return
    finding = ruling.boot.report.first
    console = out()
    console.print()
    console.print(Text(harmless(finding.title), style="bold red"))
    rate = f"in {ruling.struck} of {ruling.struck + ruling.missed} boots"
    console.print(facts([("seen", rate), ("signature", finding.signature), ("console", str(ruling.boot.console))]))
    console.print(excerpt(finding, 8))


def config_document(hunt: ConfigHunt) -> Document:
    """``lab bisect --config --json``."""
    return {
        "case": hunt.line.case.name,
        "point": hunt.point.index,
        "symbol": hunt.symbol,
        "left": [{"symbol": symbol, "good": good, "bad": bad} for symbol, good, bad in hunt.left],
        "reason": hunt.reason,
        "symbols": hunt.symbols,
        "resolved": hunt.resolved,
        "needed_boots": hunt.needed,
        "kernels": [config_trial_document(trial) for trial in hunt.trials],
        "seconds": round(hunt.seconds, 3),
        **line_document(hunt.line),
        "good_kconfig": hunt.good.text,
        "bad_kconfig": hunt.bad.text,
    }


def config_trial_document(trial: ConfigTrial) -> Document:
    """One kernel of a config hunt."""
    boot = trial.ruling.boot
    return {
        "name": trial.name,
        "symbols": trial.symbols,
        "verdict": trial.word,
        "reason": trial.reason,
        "kconfig": trial.kconfig.key,
        "build_seconds": round(trial.build_seconds, 3),
        "boot_seconds": round(trial.boot_seconds, 3),
        "boots": trial.boots,
        "boot": boot_document(boot, Verdict(trial.word, trial.reason, boot.report.first)) if boot else None,
    }


def show_machine_trial(seen: Seen) -> None:
    """One machine, as soon as it is known."""
    head = Text.assemble(f"{harmless(seen.trial.what):44}  ", word(seen.word), "  ")
    out().print(head.append(harmless(seen.reason)))


def show_machine_hunt(hunt: MachineHunt) -> None:
    """The outcome of ``lab bisect --machine``."""
    console = out()
    console.print(facts([*line_facts(hunt.line), ("point", f"{hunt.point.index} {hunt.point.subject}")]))
    show_bad_end(hunt.bad_end)
    console.print()
    if hunt.reason:
        console.print(Text(harmless(hunt.reason), style="bold yellow"))
    if hunt.smallest is not None:
        console.print(Text(machine_answer(hunt), style="bold red"))
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("property", "smallest", "", "beside it"):
            table.add_column(heading, overflow="fold")
        for need in hunt.needs:
            beside = "; ".join(f"{seen.trial.what}: {seen.word}" for seen in need.evidence) or "-"
            table.add_row(need.property, Text(harmless(need.value)), need.answer, Text(harmless(beside)))
        console.print(table)
        console.print()
        console.print(Text(harmless_lines(toml(hunt.smallest)), style="dim"))
    good = f"; good means {how_often(hunt)}"
    console.print(Text(f"{hunt.boots} boots of one kernel, {hunt.seconds:.0f} s{good}", style="dim"))


def harmless_lines(text: str) -> str:
    """Several lines that a terminal can be shown."""
    return "\n".join(harmless(line) for line in text.splitlines())


def machine_answer(hunt: MachineHunt) -> str:
    """The answer in a line."""
    needed = [need for need in hunt.needs if need.answer == "needed"]
    if not needed:
        return "It needs nothing of the machine: every machine that comes far enough shows it."
    return "It needs " + ", ".join(f"{need.property}: {need.value}" for need in needed)


def machine_document(hunt: MachineHunt) -> Document:
    """``lab bisect --machine --json``."""
    boot, end = hunt.bad_end.boot, hunt.bad_end
    return {
        "case": hunt.line.case.name,
        "point": hunt.point.index,
        "needed": [need.property for need in hunt.needs if need.answer == "needed"],
        "properties": [
            {
                "property": need.property,
                "value": need.value,
                "answer": need.answer,
                "evidence": [seen_document(seen) for seen in need.evidence],
            }
            for need in hunt.needs
        ],
        "smallest": toml(hunt.smallest) if hunt.smallest else None,
        "reason": hunt.reason,
        "trials": [seen_document(seen) for seen in hunt.trials],
        "needed_boots": hunt.needed,
        "boots": hunt.boots,
        "boot": boot_document(boot, Verdict(end.word, end.reason, boot.report.first)) if boot else None,
        "seconds": round(hunt.seconds, 3),
        **line_document(hunt.line),
    }


def seen_document(seen: Seen) -> Document:
    """One machine that was tried."""
    return {"what": seen.trial.what, "property": seen.trial.property, "verdict": seen.word, "reason": seen.reason}

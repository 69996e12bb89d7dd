"""``lab bisect``, with ``log`` and ``replay``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab.cli.common import BOARD, BOOT, BUILD, ON, TREE, F, Wishes, chosen_case, emit, output_options, wishes, working
from lab.cli.hunts import BAD_MACHINE, Hunting, hunt_config, hunt_history, hunt_machine

if TYPE_CHECKING:
    from lab.bisect.records import Question, Told
    from lab.bisect.result import Result
    from lab.bisect.run import Options
    from lab.case import Case
    from lab.line import Line, Setup
    from lab.report.bisect_live import Quiet


HELP = {"help_option_names": ["-h", "--help"]}


class Group(click.Group):
    """A group whose unnamed command is ``run``: ``lab bisect CASE`` is the bisect itself."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Where the first word is none of the commands, it belongs to ``run``."""
        if args[:1] and args[0] not in {*self.commands, "-h"}:
            args = ["run", *args]
        return super().parse_args(ctx, args or ["run"])


@click.group(cls=Group, context_settings={"help_option_names": ["-h"]})
def bisect() -> None:
    """Find what brought a bug; see 'lab bisect --help'."""


WRITING = (
    click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write the result there too."),
    click.option(
        "--mail",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write a plain-text answer to the patch's mail there.",
    ),
)
RULES = (
    click.option(
        "--risk",
        type=click.FloatRange(0.001, 50),
        default=1.0,
        show_default=True,
        metavar="PERCENT",
        help="How likely a wrong 'good' may be over the whole bisect; it decides how often points are booted.",
    ),
    click.option(
        "--rarest",
        type=click.FloatRange(0.1, 100),
        default=10.0,
        show_default=True,
        metavar="PERCENT",
        help="A bug that strikes in fewer boots is not waited for at the bad end.",
    ),
    click.option("--prove-base", is_flag=True, help="Build and boot the base too, before the search."),
    click.option(
        "--other",
        type=click.Choice(["skip", "chase"]),
        default="skip",
        show_default=True,
        help="Points that die of something else: skip them, or also find out what brought that.",
    ),
    click.option("--no-revert", is_flag=True, help="Don't try the series' end without the culprit."),
    click.option("--workers", type=click.IntRange(1, 64), default=1, metavar="N", help="Probe N points at once."),
)  # fmt: skip


def several(options: tuple[Any, ...]) -> Callable[[F], F]:
    """One decorator of many."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@bisect.command(cls=Hunting, context_settings=HELP)
@click.argument("case")
@wishes(TREE, ON, BOARD, *BUILD, *BOOT)
@several(RULES)
@click.option(
    "--cluster",
    metavar="CLUSTER",
    help="Have workers probe: local:N, ssh:NAME,NAME of 'lab hosts', slurm:N, or tcp://HOST:PORT of a scheduler.",
)
@click.option("--resume", is_flag=True, help="Go on with a bisect that was begun; without it the same is done.")
@click.option("--fresh", is_flag=True, help="Forget what boots showed before; kernels stay in the store.")
@several(WRITING)
@click.option("--config", nargs=2, metavar="GOOD BAD", help="Which symbol of the second kconfig brings the bug?")
@click.option(BAD_MACHINE, hidden=True)
@click.option("--at", type=int, metavar="N", help="With --config or --machine GOOD BAD: the point; default: the end.")
@click.option("--good", multiple=True, metavar="REV", help="With --bad and --tree: a commit without the bug.")
@click.option("--bad", metavar="REV", help="Search the history of --tree, not the series, below this commit.")
@output_options
def run(*, case: str, wishes: Wishes, as_json: bool, **more: Any) -> int:
    """Find the patch of CASE's series that brought the bug the case expects (or else the one its end shows).

    The bad end is proven first, at last the culprit's two sides. A point that does not build or dies of something else
    is stepped around. Flaky bugs are booted as often as --risk asks for. Every build and boot is on disk before the
    next: after Ctrl-C or a crash the same command goes on.

    Exits 0 when one patch is named, 1 when only a range or none can be.

    \b
    lab bisect early-policy
    lab bisect early-policy --json | jq .first_bad
    lab bisect early-policy --mail answer.txt --markdown answer.md
    lab bisect early-policy --config tiny-numa-slab tiny-numa    which kconfig symbol brings it
    lab bisect early-policy --machine one-node two-nodes         what of the machine it needs
    lab bisect early-policy --tree ~/linux --good v6.1 --bad v6.2    which commit of a history
    lab bisect early-policy --on cellar                          on another host
    lab bisect early-policy --cluster local:2                    two probes at once, by Dask
    lab bisect early-policy --board lab-x86                      on a real board
    lab bisect log early-policy                                  what was seen so far
    lab bisect replay bisect.jsonl                               a bisect again, from its journal
    """
    if wishes.on and (more["config"] or more["bad_machine"] or more["good"] or more["bad"] or more["resume"]):
        raise click.UsageError(
            "--on bisects a case's series there, without --config, --machine GOOD BAD, --good, --bad and --resume"
        )
    if more["cluster"] and (
        wishes.on or more["config"] or more["bad_machine"] or more["good"] or more["bad"] or more["workers"] > 1
    ):
        raise click.UsageError("--cluster is for the bisect of a series, and says itself how many workers there are")
    if wishes.board and (
        any(more[name] for name in ("cluster", "config", "bad_machine", "good", "bad")) or more["workers"] > 1
    ):
        raise click.UsageError("--board is for the bisect of a series, one boot after the other")
    config, bad_machine, at = more.pop("config"), more.pop("bad_machine"), more.pop("at")
    if config and bad_machine:
        raise click.UsageError("--config and --machine GOOD BAD ask two questions: ask one after the other")
    if config:
        return hunt_config(case, config, wishes, at=at, as_json=as_json)
    if bad_machine:
        return hunt_machine(case, (wishes.machine or "", bad_machine), wishes, at=at, as_json=as_json)
    good, bad = more.pop("good"), more.pop("bad")
    if good or bad:
        result = hunt_history(case, (good, bad), wishes, rules=options_of(more).rules, as_json=as_json)
        return shown(result, more["markdown"], more["mail"], as_json=as_json)
    if at is not None:
        raise click.UsageError("--at goes with --config or with --machine GOOD BAD")
    if more["resume"] and more["fresh"]:
        raise click.UsageError("--resume and --fresh exclude each other")
    result = search(case, wishes, as_json=as_json, more=more)
    return shown(result, more["markdown"], more["mail"], as_json=as_json)


def search(case: str, wishes: Wishes, *, as_json: bool, more: dict[str, Any], told: Path | None = None) -> Result:
    """Bisect, showing what goes on."""
    from dataclasses import replace

    from lab.bisect.run import bisect as search_series
    from lab.bisect.run import journal_path, question_of
    from lab.errors import UserError
    from lab.line import prepare
    from lab.remote.spec import parse
    from lab.report.bisect_live import watched

    wanted = chosen_case(case, wishes)
    if more.get("cluster"):
        parse(str(more["cluster"]))  # what it is not is told before a source is imported
    with watched(quiet=as_json) as watch, working(wishes, quiet=True) as quiet:
        setup = replace(quiet, progress=watch.progress)
        if wishes.on:
            return search_there(wanted, setup, wishes, watch, more)
        line = prepare(wanted, setup)
        question = question_of(line, setup, command_of(case, wishes))
        if more.get("resume") and not journal_path(question, setup).exists():
            raise UserError(f"there is no bisect of {case} to go on with", hint=f"lab bisect {case}")
        watch.begin(question)
        options = options_of(more)
        if told is not None:
            options = replace(options, told=verdicts_in(told, question))
        if more.get("cluster"):
            return search_by(str(more["cluster"]), line, setup, options, wishes=wishes, watch=watch)
        return search_series(line, setup, options, command=question.command, watcher=watch)


def search_by(text: str, line: Line, setup: Setup, options: Options, *, wishes: Wishes, watch: Quiet) -> Result:
    """Bisect with a cluster's workers as hands."""
    from dataclasses import replace

    from lab.bisect.run import bisect as search_series
    from lab.cli.common import tell
    from lab.cli.on import wish_of
    from lab.remote.on import request_for
    from lab.remote.probes import probing
    from lab.remote.spec import parse

    spec = parse(text)
    request = request_for(line.case, line.tree.base, "bisect", wish_of(wishes))
    return search_series(
        line,
        setup,
        replace(options, workers=spec.wanted),
        command=(*command_of(line.case.name, wishes), "--cluster", text),
        watcher=watch,
        elsewhere=lambda target: probing(
            spec, request, line, target, paths=setup.paths, progress=setup.progress, tell=tell
        ),
    )


def search_there(case: Case, setup: Setup, wishes: Wishes, watch: Quiet, more: dict[str, Any]) -> Result:
    """Bisect on the host that was named."""
    from lab.cli.on import Shown, host_of, wish_of
    from lab.remote.on import bisect_on
    from lab.remote.wire import Bisecting

    options = options_of(more)
    how = Bisecting(options.rules, options.workers, options.other, options.revert, options.fresh)
    return bisect_on(
        host_of(wishes),
        case,
        how,
        setup=setup,
        wish=wish_of(wishes),
        command=(*command_of(case.name, wishes), "--on", str(wishes.on)),
        follower=Shown(watch.progress, watcher=watch),
    )


def options_of(more: dict[str, Any]) -> Options:
    """What the options say of the bisect."""
    from lab.bisect.plan import Rules
    from lab.bisect.run import Options

    rules = Rules(risk=more["risk"] / 100, rarest=more["rarest"] / 100, prove_base=more["prove_base"])
    return Options(rules, more["workers"], more["other"], not more["no_revert"], fresh=more.get("fresh", False))


def command_of(case: str, wishes: Wishes) -> tuple[str, ...]:
    """The command that asks the same again."""
    said = {"--tree": wishes.tree, "--kconfig": wishes.kconfig, "--cc": wishes.cc, "--machine": wishes.machine}
    said |= {"--board": wishes.board, "--accel": wishes.accel}
    said |= {"--timeout": None if wishes.timeout == 60.0 else f"{wishes.timeout:g}"}
    given = [word for name, value in said.items() if value is not None for word in (name, str(value))]
    return ("lab", "bisect", case, *given)


def shown(result: Result, markdown: Path | None, mail: Path | None, *, as_json: bool) -> int:
    """Print and write the result; the exit code."""
    from lab.files import write_atomic

    if markdown:
        from lab.report.bisect_markdown import markdown as as_markdown

        write_atomic(markdown, as_markdown(result))
    if mail:
        from lab.report.bisect_mail import mail as as_mail

        write_atomic(mail, as_mail(result))
    if as_json:
        from lab.report.documents import bisect_document

        emit(bisect_document(result))
    else:
        from lab.report.bisect_terminal import show_bisect

        show_bisect(result)
    return 0 if result.first_bad else 1


def verdicts_in(file: Path, question: Question) -> tuple[Told, ...]:
    """What a log (git's or a journal of the lab's) says of the question's points."""
    from lab.bisect import gitlog
    from lab.errors import UserError

    said = gitlog.read_any(file)
    told, strange = gitlog.matched(said, question.points, file.name)
    if not told:
        raise UserError(f"{file}: none of its {len(strange)} commits is a point of {question.case}")
    for one in strange:
        click.echo(f"lab: {file}: {one.commit[:12]} is no point of {question.case}: left out", err=True)
    return tuple(told)


@bisect.command(context_settings=HELP)
@click.argument("case")
@wishes(TREE, BOARD, *BUILD, *BOOT)
@click.option("--git", "as_git", is_flag=True, help="In the format of git bisect log, which git can replay.")
@click.option("--journal", is_flag=True, help="The journal itself, for 'lab bisect replay'.")
@output_options
def log(*, case: str, wishes: Wishes, as_git: bool, journal: bool, as_json: bool) -> int:
    """Show what the bisect of CASE saw so far, in the order in which it came. CASE can also be a journal's file.

    \b
    lab bisect log early-policy
    lab bisect log early-policy --git > git.log && git bisect replay git.log
    lab bisect log early-policy --journal > bisect.jsonl
    """
    from lab.bisect import gitlog
    from lab.report.bisect_log import log_document, show_log

    question, events, path = recorded(case, wishes)
    if journal:
        click.echo(path.read_bytes(), nl=False)
    elif as_json:
        emit(log_document(question, events, path))
    elif as_git:
        click.echo(gitlog.write(question, gitlog.order(events), gitlog.answered(events)), nl=False)
    else:
        show_log(question, events, path)
    return 0


def recorded(case: str, wishes: Wishes) -> tuple[Question, list[Any], Path]:
    """The question and events of CASE's journal, or of the journal with that file name."""
    from lab.bisect.journal import question_of, read
    from lab.bisect.run import journal_path
    from lab.bisect.run import question_of as asked
    from lab.errors import UserError
    from lab.line import prepare

    if case.endswith(".jsonl") and Path(case).is_file():
        path = Path(case)
    else:
        wanted = chosen_case(case, wishes)
        with working(wishes, quiet=True) as setup:
            path = journal_path(asked(prepare(wanted, setup), setup), setup)
    if not path.exists():
        raise UserError(f"nothing was bisected yet: there is no {path}", hint=f"lab bisect {case}")
    events, _ = read(path)
    question = question_of(events)
    if question is None:
        raise UserError(f"{path}: not a bisect's journal: it does not say what was asked")
    return question, events, path


@bisect.command(context_settings=HELP)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("case", required=False)
@wishes(TREE, *BUILD, *BOOT)
@several(RULES)
@several(WRITING)
@output_options
def replay(*, file: Path, case: str | None, wishes: Wishes, as_json: bool, **more: Any) -> int:
    """Repeat a bisect from FILE: a journal ('lab bisect log --journal'), or what 'git bisect log' wrote.

    Without CASE nothing is built: the journal alone is judged. With CASE the verdicts in FILE steer the bisect of
    that case, which then goes on; what somebody said proves nothing, so the answer's two sides are built and booted.

    \b
    lab bisect replay bisect.jsonl
    git bisect log > git.log && lab bisect replay git.log early-policy
    """
    if case is None:
        from lab.bisect.replay import load
        from lab.bisect.replay import replay as judge

        result = judge(file, load(file), options_of(more).rules)
    else:
        result = search(case, wishes, as_json=as_json, more=more, told=file)
    return shown(result, more["markdown"], more["mail"], as_json=as_json)

"""The commands of ``lab report`` that tell of nights: html, serve, junit, kcidb and night-mail."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.common import emit, output_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.history.records import Night
    from lab.report.html.folder import Written
    from lab.report.html.pages import Pages

RUN = click.option("--run", "run_id", default="", metavar="ID", help="A run of the history; its id may be cut short.")
RUNS = click.option("--runs", default=7, show_default=True, type=click.IntRange(1, 366), help="Nights in the report.")
URL = click.option("--url", default="", metavar="URL", help="Where the HTML report can be read; it is linked.")


def output(default: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """``--output`` for a file."""
    path = click.Path(dir_okay=False, path_type=Path)
    return click.option("--output", type=path, default=Path(default), show_default=True, help="The file.")


@click.command()
@RUN
@RUNS
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("lab-report"),
    show_default=True,
    help="The folder. One that holds a report is replaced, any other is left alone.",
)
@output_options
def html(*, run_id: str, runs: int, output: Path, as_json: bool) -> int:
    """Write the nights as a folder of HTML pages, which needs neither a server nor a script.

    It has the grid, each cell with the consoles of all its attempts, boot times, bisects, and what is different between
    any two of its nights. The folder is written beside its place and then put there in one step.

    \b
    lab report html
    lab report html --run 20261125 --runs 14 --output ~/public_html/boots
    """
    with written_pages(run_id, runs) as pages:
        from lab.report.html.folder import write_folder
        from lab.report.live import shown

        with shown(quiet=as_json) as progress:
            done = write_folder(pages, output, progress)
    if as_json:
        emit(document(done, pages))
        return 0
    click.echo(f"Written: {done.folder / 'index.html'}")
    click.echo(f"{done.pages} pages, {done.consoles} consoles, {len(pages.book.nights)} night(s)")
    if done.missing:
        click.echo(f"Note: {done.missing} consoles are no longer here")
    return 0


@click.command()
@RUNS
@click.option("--folder", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Serve this report as it is, instead of making one of the history's.")  # fmt: skip
@click.option(
    "--port", default=8037, show_default=True, type=click.IntRange(0, 65535), help="0 takes any that is free."
)
@output_options
def serve(*, runs: int, folder: Path | None, port: int, as_json: bool) -> int:
    """Serve the report to this machine, and make it anew when the history has news.

    Nothing but this machine's loopback is listened on. Ctrl-C ends it. With --json the address is the one document.

    \b
    lab report serve
    lab report serve --folder lab-report --port 0
    """
    from lab.report.html.folder import MARKER
    from lab.report.serve import HOST, Server

    if folder is not None and not (folder / MARKER).is_file():
        raise click.UsageError(f"{folder} is not a report of 'lab report html'")
    refresher = None if folder else Refresher(runs)
    if refresher:
        refresher()
    server = Server(folder or refresher_folder(), port, refresh=refresher)
    address = f"http://{HOST}:{server.port}/"
    emit({"address": address}) if as_json else click.echo(f"{address}\nCtrl-C ends it.")
    sys.stdout.flush()
    with server:
        server.serve_forever(poll_interval=0.2)
    return 0


@click.command()
@RUN
@output("junit.xml")
@output_options
def junit(*, run_id: str, output: Path, as_json: bool) -> int:
    """Write a night as JUnit XML: a suite a case, a test a cell.

    A test passes where the cell is what its case says. A flaky cell passes too, with its bad attempts as flakyFailure.

    \b
    lab report junit --output reports/junit.xml
    """
    from lab.files import write_atomic
    from lab.report.junit import junit as make
    from lab.report.junit import written

    with one_night(run_id) as (night, console):
        made = make(night, console)
    write_atomic(output.absolute(), written(made))
    counts = {
        name: sum(getattr(suite, name) or 0 for suite in made) for name in ("tests", "failures", "errors", "skipped")
    }
    if as_json:
        emit({"file": output.absolute(), "run": night.run.id, **counts})
    else:
        click.echo(f"Written: {output}\n" + ", ".join(f"{count} {name}" for name, count in counts.items()))
    return 0


@click.command()
@RUN
@click.option("--origin", default="kernel_boot_lab", show_default=True, help="The name that KCIDB knows your lab by.")
@URL
@output("kcidb.json")
@output_options
def kcidb(*, run_id: str, origin: str, url: str, output: Path, as_json: bool) -> int:
    """Write a night as KCIDB's I/O data, checked by its schema. Nothing is submitted.

    \b
    lab report kcidb --origin mylab --url https://example.org/boots
    """
    import json

    from lab.files import write_atomic
    from lab.paths import data_folder
    from lab.report.kcidb import case_patches
    from lab.report.kcidb import kcidb as make

    with one_night(run_id) as (night, console):
        made = make(night, console, case_patches(data_folder("patches")), origin=origin, url=url)
    write_atomic(output.absolute(), json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    counts = {name: len(made.get(name, [])) for name in ("checkouts", "builds", "tests", "issues", "incidents")}
    if as_json:
        emit({"file": output.absolute(), "run": night.run.id, "version": made["version"], **counts})
    else:
        click.echo(f"Written: {output}\n" + ", ".join(f"{count} {name}" for name, count in counts.items()))
    return 0


@click.command("night-mail")
@RUN
@click.option("--to", default="LIST", show_default=True, metavar="ADDRESS", help="Whom the mail is for.")
@URL
@output("night.eml")
@output_options
def night_mail(*, run_id: str, to: str, url: str, output: Path, as_json: bool) -> int:
    """Write what changed in a night as a plain-text mail for a list. Nothing is ever sent.

    \b
    lab report night-mail --to boots@example.org && mutt -H night.eml
    """
    from lab.files import write_atomic
    from lab.report.night_mail import night_mail as make

    with one_night(run_id) as (night, console):
        text = make(night, console, to=to, url=url)
    write_atomic(output.absolute(), text)
    subject = next(line for line in text.splitlines() if line.startswith("Subject: "))
    if as_json:
        emit({"file": output.absolute(), "run": night.run.id, "subject": subject.removeprefix("Subject: ")})
    else:
        click.echo(f"{subject}\nWritten: {output}\nNothing was sent.")
    return 0


@contextlib.contextmanager
def one_night(run_id: str) -> Iterator[tuple[Night, Callable[[str], bytes | None]]]:
    """A night of the user's history, and what reads its consoles."""
    from lab.history.store import opened
    from lab.paths import user_paths
    from lab.report.nights import console_reader
    from lab.settings import load_settings

    paths = user_paths()
    with opened(paths, load_settings(paths.config_file)) as history:
        yield history.night(run_id), console_reader(paths)


@contextlib.contextmanager
def written_pages(run_id: str, runs: int) -> Iterator[Pages]:
    """The pages of some nights of the user's history."""
    from lab.history.store import opened
    from lab.paths import user_paths
    from lab.report.html.pages import Pages
    from lab.report.nights import book, compare, console_reader
    from lab.settings import load_settings

    paths = user_paths()
    with opened(paths, load_settings(paths.config_file)) as history:
        yield Pages(book(history, run_id, runs), console_reader(paths), compare, made=version())


def version() -> str:
    """The lab's version, for a page's foot."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("kernel-boot-lab")
    except PackageNotFoundError:
        return ""


def document(done: Written, pages: Pages) -> dict[str, object]:
    """``lab report html --json``."""
    runs = [night.run.id for night in pages.book.nights]
    return {
        "folder": done.folder,
        "pages": done.pages,
        "consoles": done.consoles,
        "missing": done.missing,
        "runs": runs,
    }


def refresher_folder() -> Path:
    """Where ``lab report serve`` keeps the report that it makes: it can be made again."""
    from lab.paths import user_paths

    return user_paths().cache / "report"


class Refresher:
    """Makes the report anew when the history has news, but not more often than every so many seconds: a running night
    has news all the time. Once there is a report, a request waits for the next one only a moment, and then gets the old
    one; so do others meanwhile."""

    PAUSE = 10.0
    PATIENCE = 2.0

    def __init__(self, runs: int) -> None:
        import threading

        self.runs = runs
        self.stamp: object = None
        self.checked = 0.0
        self.failure: Exception | None = None
        self.lock = threading.Lock()

    def __call__(self) -> None:
        """Make the report anew where that is due. Raises what the last try to do so came to."""
        import threading

        if not self.lock.acquire(blocking=False):
            return
        thread = threading.Thread(target=self.try_it, name="report", daemon=True)
        thread.start()
        thread.join(None if self.stamp is None else self.PATIENCE)
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def try_it(self) -> None:
        """Make the report anew, keep what was raised, and give the lock back."""
        try:
            self.renew()
        except Exception as error:
            self.failure = error
        finally:
            self.lock.release()

    def renew(self) -> None:
        """Make the report anew where that is due."""
        import time

        from lab.report.html.folder import write_folder
        from lab.report.nights import stamp

        if self.checked and time.monotonic() - self.checked < self.PAUSE:
            return
        now = self.now(stamp)
        if now != self.stamp:
            with written_pages("", self.runs) as pages:
                write_folder(pages, refresher_folder())
            self.stamp = now
        self.checked = time.monotonic()

    @staticmethod
    def now(stamp: Callable[..., object]) -> object:
        """The history's stamp."""
        from lab.history.store import opened
        from lab.paths import user_paths
        from lab.settings import load_settings

        paths = user_paths()
        with opened(paths, load_settings(paths.config_file)) as history:
            return stamp(history)

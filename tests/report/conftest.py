import importlib.util
import sys
from pathlib import Path

import pytest


def _nights():
    """The module that makes nights: this folder is no package."""
    name = "lab_tests_nights"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("nights.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def nights():
    """The makers of nights."""
    return _nights()


@pytest.fixture(scope="session")
def week(nights):
    """Three nights, the newest first, and their consoles."""
    return nights.a_week()


@pytest.fixture(scope="session")
def pages(week):
    """The pages of the newest night and of a third of the one before."""
    from msgspec.structs import replace

    from lab.report.html.book import Book
    from lab.report.html.pages import Pages

    before = replace(week.nights[1], results=week.nights[1].results[-18:], before=None)
    return Pages(Book((week.nights[0], before)), week.consoles.get, made="test")


@pytest.fixture(scope="session")
def by_workers(week):
    """The newest night as a cluster of two did it, the second with a name that wants to be more; one cell was booted by
    the run's own host."""
    from msgspec.structs import replace

    names = ("cellar/0", "<b>attic</b>/1\x1b[31m\nBcc: a@example.org")
    results = [
        replace(
            result,
            attempts=tuple(replace(one, where=names[number % 2] if number else "") for one in result.attempts),
        )
        for number, result in enumerate(week.nights[0].results)
    ]
    return replace(week.nights[0], results=tuple(results))


@pytest.fixture(scope="session")
def folder(pages, tmp_path_factory):
    """Their pages as a folder; nobody writes to it."""
    from lab.report.html.folder import write_folder

    return write_folder(pages, tmp_path_factory.mktemp("html") / "report").folder

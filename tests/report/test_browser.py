"""The pages in a real browser: accessibility by axe, light, dark and phone, keyboard. Skipped without Chromium."""

import os
import re
import shutil

import pytest

CHROMIUM = os.environ.get("LAB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install -e '.[dev]')")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
pytestmark = [
    pytest.mark.boot,  # as costly as booting guests, and one browser serves them all where nothing runs beside them
    pytest.mark.skipif(not CHROMIUM, reason="needs chromium (apt-get install chromium, or LAB_CHROMIUM=PATH)"),
]
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"], timeout=60_000
        )
        yield started
        started.close()


@pytest.fixture
def opened(browser, folder):
    """Opens a page of the folder from disk; what the browser complains of fails the test."""
    contexts = []

    def go(path, **options):
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}))
        page, complaints = contexts[-1].new_page(), []
        page.set_default_timeout(120_000)  # a machine may have other work
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        name, mark, part = path.partition("#")
        page.goto((folder / name).as_uri() + mark + part)
        assert complaints == []
        return page

    yield go
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def paths(folder, week):
    from lab.report.html.book import cell_file

    cell = cell_file("early-policy/fix/tiny-numa/four-nodes/gcc 12.2")
    good = cell_file("early-policy/fix/tiny-numa/two-nodes/gcc 12.2")
    night = f"nights/{week.nights[0].run.id}"
    compare = next((folder / "compare").iterdir()).name
    return {
        "night": "index.html", "cell": f"{night}/c/{cell}.html", "good": f"{night}/c/{good}.html",
        "times": "times.html", "compare": f"compare/{compare}", "nights": "nights.html",
    }  # fmt: skip


def violations(page):
    """What axe finds, in words."""
    found = axe.Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:120]}" for one in found for node in one["nodes"][:3]]


@pytest.mark.parametrize(
    "seen",
    [("night", "light", None), ("night", "dark", PHONE), ("cell", "dark", None), ("times", "light", PHONE),
     ("compare", "dark", None)],
)  # fmt: skip
def test_axe_finds_nothing_and_nothing_sticks_out(opened, paths, tmp_path, seen):
    name, scheme, size = seen
    page = opened(paths[name], color_scheme=scheme, **({"viewport": size} if size else {}))
    assert violations(page) == []
    wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1]
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == {"light": "rgb(246, 245, 241)", "dark": "rgb(19, 21, 24)"}[scheme]
    picture = tmp_path / f"{name}-{scheme}.png"
    page.screenshot(path=picture)
    assert picture.stat().st_size > 10_000


def test_the_page_is_used_by_keyboard_alone(opened, paths):
    """The browser answers a key in its own time: what comes of one is waited for."""
    expect = sync_api.expect
    expect.set_options(timeout=120_000)
    page = opened(paths["night"])
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#main$"))
    page.locator("summary", has_text="Still failing").focus()
    assert not page.get_by_text("bad since the first night").is_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_text("bad since the first night")).to_be_visible()
    page.locator("#odd-only").focus()
    rows = page.locator(".rows tbody tr:visible")
    assert rows.count() == 6
    page.keyboard.press("Space")
    expect(rows).to_have_count(5)  # base on tiny-numa is good everywhere
    page.locator("td > a.b").first.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/c/[^/]*\.html$"))
    expect(page).to_have_title(re.compile("bad"))


def test_a_link_to_a_line_opens_its_stage_also_without_javascript(opened, paths):
    page = opened(paths["good"] + "#a1-80", java_script_enabled=False)
    line = page.locator("#a1-80")
    assert line.is_visible()
    assert line.bounding_box()["y"] < 900
    assert not page.locator("#a1-5").is_visible()


def test_each_cell_of_a_large_grid_costs_a_browser_little(browser, nights, tmp_path):
    """``ci/bench report`` measures how long 10,000 take; here is what makes them quick, on a machine of any load."""
    from lab.report.html.book import Book
    from lab.report.html.pages import STYLE, Pages

    text = Pages(Book(tuple(nights.many(1800).nights)), {}.get).night(0, "", "nights/20261125T020000-many/")
    (tmp_path / "index.html").write_text(text)
    shutil.copy(STYLE, tmp_path / "style.css")
    page = browser.new_page()
    page.goto((tmp_path / "index.html").as_uri())
    count = "['td > a', '*'].map(one => document.querySelectorAll(one).length)"
    cells, elements = page.evaluate(count)
    seen = "one => one.checkVisibility({contentVisibilityAuto: true})"
    laid_out = page.evaluate(f"[...document.querySelectorAll('td > a')].filter({seen}).length")
    page.close()
    assert cells == 1800
    assert elements / cells < 2.7
    assert len(text) / cells < 125
    assert laid_out < cells

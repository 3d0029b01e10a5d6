"""Tests of the HTML page: self-contained, inert, and alive in a real browser (sorting, filtering, opening a cell)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from repro.config.hashing import key
from repro.config.networks import GCN
from repro.paper.schema import Cost
from repro.report import html
from repro.report.compare import compare
from repro.report.page import Page
from repro.results.counts import Counts
from repro.results.records import load
from tests.support import simulate

COUNTS = Counts({key(Cost(GCN(k))): 2 * k * 21 * (2048 + 21) for k in (3, 7)}, "2.11.0")
CHROME = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
VOID = {"meta", "link", "input", "br", "img"}
needs_browser = pytest.mark.skipif(CHROME is None, reason="needs chromium or google-chrome on the path")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a page with three seeds in each cell."""
    root = tmp_path_factory.mktemp("runs")
    simulate.fill(
        root, {2: simulate.TABLE}, lambda _, order, seed: 0.3 + 0.1 * order + 0.01 * seed, profile=simulate.PROFILE
    )
    return html.render(Page((compare(simulate.TABLE, simulate.PROFILE, load({"reference": root}), COUNTS),)))


class _Balance(HTMLParser):
    """Check that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element that closes itself."""

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element."""
        assert self.open.pop() == tag


def test_well_formed_and_self_contained(page: str) -> None:
    """Elements nest, ids are unique, every link stays on the page, and nothing comes from elsewhere."""
    found = _Balance()
    found.feed(page)
    assert not found.open
    assert len(found.ids) == len(set(found.ids))
    for target in re.findall(r'href="#([^"]+)"', page):
        assert target in found.ids
    for target in re.findall(r'data-opens="([^"]+)"', page):
        assert target in found.ids
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", page)
    assert "default-src 'none'" in page


def test_records_are_behind_the_cells(page: str) -> None:
    """Seeds, configuration, loss curve and environment are all there."""
    assert page.count('<svg class="loss"') == 4
    for text in ("seed 2", "test device", "0123456789abcdef", "&#34;optimizer&#34;", "peak memory bytes"):
        assert text in page


def test_curves_leave_out_what_is_not_finite(tmp_path: Path) -> None:
    """A log with nan, infinity and words gives the curve of its finite losses."""
    run = next(run for run, _ in simulate.runs(simulate.TABLE, simulate.PROFILE).values())
    folder = simulate.write(tmp_path, run, 0)
    lines = [
        '{"step": 1, "loss": 2.0}',
        '{"step": 2, "loss": NaN}',
        '{"step": 3, "loss": Infinity}',
        '{"step": 4, "loss": 1.0}',
    ]
    (folder / "log.jsonl").write_text("\n".join(lines))
    drawn = str(html.draw(load({"reference": tmp_path}).records))
    points = re.findall(r'points="([^"]+)"', drawn)
    assert [len(line.split()) for line in points] == [2]
    assert "nan" not in drawn.lower()


def test_a_long_log_is_thinned_to_its_means(tmp_path: Path) -> None:
    """Ten thousand steps become a hundred points, the last of them at the last step."""
    run = next(run for run, _ in simulate.runs(simulate.TABLE, simulate.PROFILE).values())
    folder = simulate.write(tmp_path, run, 0)
    (folder / "log.jsonl").write_text("".join(json.dumps({"step": s, "loss": 1.0}) + "\n" for s in range(10_000)))
    drawn = str(html.draw(load({"reference": tmp_path}).records))
    assert len(re.findall(r'points="([^"]+)"', drawn)[0].split()) == 100
    assert "9999 steps" in drawn


def dumped(page: str, folder: Path) -> dict[str, object]:
    """Open a page in a browser and return the object that its script left in the body's ``data-result``."""
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    assert CHROME is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    command = [CHROME, *flags, f"--user-data-dir={folder / 'profile'}", path.as_uri()]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    found = re.search(r'<body data-result="([^"]*)"', text)
    assert found is not None
    result: dict[str, object] = json.loads(unescape(found[1]))
    return result


def drive(page: str, folder: Path, script: str) -> dict[str, object]:
    """Run a script in the page and return what it returns."""
    tail = f"<script>document.body.dataset.result = JSON.stringify((() => {{ {script} }})());</script></body>"
    return dumped(page.replace("</body>", tail), folder)


@needs_browser
def test_a_browser_sorts_filters_and_opens(page: str, tmp_path: Path) -> None:
    """A click on a column head sorts by number, words and a verdict filter the rows, a cell opens to its records."""
    found = drive(
        page,
        tmp_path,
        """
        const names = () => [...document.querySelectorAll("table.printed tbody th")].map((cell) => cell.textContent);
        const button = document.querySelectorAll("table.printed thead button")[2];
        button.click(); const up = names(); button.click(); const down = names();
        const visible = () => [...document.querySelectorAll("tr[data-words]")].filter((row) => !row.hidden).length;
        const all = visible();
        const words = document.getElementById("words-filter");
        words.value = "params"; words.dispatchEvent(new Event("input")); const some = visible();
        words.value = "nothing like this"; words.dispatchEvent(new Event("input")); const none = visible();
        words.value = ""; words.dispatchEvent(new Event("input"));
        const verdict = document.getElementById("verdict-filter");
        verdict.value = "matches"; verdict.dispatchEvent(new Event("change")); const matching = visible();
        document.querySelector("table.printed tbody tr:last-child button.cell").click();
        const dialog = document.getElementById("details");
        return { up, down, all, some, none, matching, open: dialog.open, text: dialog.textContent,
                 curves: dialog.querySelectorAll("svg").length, shown: document.getElementById("shown").textContent };
        """,
    )
    assert found["up"] == list(reversed(found["down"]))  # type: ignore[call-overload]
    assert found["up"][-1] == "# of Params (GCN)"  # type: ignore[index]
    assert found["all"] == 3 + 3 + 6
    assert found["some"] == 1 + 2 + 1
    assert found["none"] == 0
    assert found["matching"] == 1 + 2
    assert found["open"] is True
    assert found["curves"] == 1
    assert "seed 2" in str(found["text"])
    assert found["shown"] == "3 of 12 rows"


@needs_browser
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_never_scrolls_sideways(page: str, tmp_path: Path, width: int) -> None:
    """On a phone and on a desk wide tables scroll inside their frame, the page does not."""
    source = json.dumps(page).replace("</", "<\\/")
    outer = (
        f'<!DOCTYPE html><html><body><iframe id="frame" style="width:{width}px;height:800px;border:0"></iframe><script>'
        "const frame = document.getElementById('frame'); frame.addEventListener('load', () => {"
        "const inner = frame.contentDocument.documentElement;"
        "document.body.dataset.result = JSON.stringify({ all: inner.scrollWidth, seen: inner.clientWidth }); });"
        f"frame.srcdoc = {source};</script></body></html>"
    )
    found = dumped(outer, tmp_path)
    assert width - 20 <= int(str(found["seen"])) <= width
    assert found["all"] == found["seen"]

"""Tests of the renderers: golden files for every format, and odd records that neither break nor falsify a table."""

from __future__ import annotations

import csv as stdlib_csv
import io
import json as stdlib_json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from repro.config.experiment import Run
from repro.config.hashing import key
from repro.config.networks import GCN
from repro.paper import audit
from repro.paper.audit.finding import Audit, Check, Finding, Reading
from repro.paper.schema import Cost
from repro.report import dataframe, html, latex, markdown
from repro.report import text as words
from repro.report.compare import compare
from repro.report.latex import as_latex
from repro.report.page import Page
from repro.report.table_view import Lack, Picture, Remaining, TableView
from repro.report.terminal import show
from repro.results.counts import Counts
from repro.results.records import RecordStore, load
from tests.support import ROOT, simulate

GOLDEN = ROOT / "tests" / "golden"


COUNTS = Counts({key(Cost(GCN(k))): 2 * k * 21 * (2048 + 21) for k in (3, 7)}, "2.11.0")


RUNS = [run for run, _ in simulate.runs(simulate.TABLE, simulate.PROFILE).values()]


AUDIT = Audit(
    (
        Finding("a-margin", ("4.1", "table 2"), "GCN < 50 % & more", "it is 5_0", "disagrees", "as | printed"),
        Finding("a-sum", ("4.3",), "1 + 1", "2", "agrees"),
    ),
    (
        Reading("biases", "none", True, (Check("260K", "table 2", "# of Params (GCN), 3", "260,694"),), ()),
        Reading("biases", "one a channel", False, (), (Check("260K", "table 2", "# of Params (GCN), 3", "261,778"),)),
    ),
)


LACKS = (
    Remaining(
        "tiny",
        3,
        (
            Lack("table2", "GCN & convolution", 1, 4, 3, 4321.0, 1, 2e18, 3e4),
            Lack("table9", "of records without areas", 2, 2, 0, 0.0, 0, 0.0, 0.0),
        ),
        Lack("all", "each run once", 3, 6, 3, 4321.0, 1, 2e18, 3e4),
        "times of somebody's runs",
    ),
    Remaining("paper", 1, (), Lack("all", "each run once", 60, 60, 42, 0.0, 42, 9.79e18, 9e4)),
)


PICTURES = (
    Picture("figure1", "Boxes & arrows", 1, "../figures/figure1.pdf", b"not a picture"),
    Picture("a_curve", "Scores", 0, "../figures/a_curve.pdf"),
)


def whole(view: TableView) -> Page:
    """Return a page that has everything a page can have."""
    return Page((view,), ("a fault",), ("a record of no table",), AUDIT, LACKS, PICTURES)


FORMATS: dict[str, Callable[[TableView], str]] = {
    "table2.md": markdown.render,
    "table2.tex": latex.render,
    "table2.csv": dataframe.render_csv,
    "table2.json": lambda view: dataframe.render_json((view,)),
    "README.md": lambda view: markdown.render_index(whole(view)),
    "document.tex": lambda view: latex.render_document(whole(view)),
    "report.html": lambda view: _without_assets(html.render(whole(view))),
}


AUDITED: dict[str, Callable[[], str]] = {
    "audit.md": lambda: markdown.as_markdown(AUDIT),
    "audit.tex": lambda: as_latex(AUDIT),
    "audit.json": lambda: dataframe.render_json((), audit=AUDIT),
}


def _without_assets(page: str) -> str:
    """Return the page without style and script, which are files of their own."""
    return re.sub(r"<(style|script)>.*?</\1>", r"<\1></\1>", page, flags=re.DOTALL)


def _share(_: Run, order: int, seed: int) -> float:
    return 0.4 + 0.05 * order + 0.004 * seed


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> TableView:
    """Return a table with three seeds, of which one cell lost one and one cell lost all."""
    root = tmp_path_factory.mktemp("runs")
    for run, order in simulate.runs(simulate.TABLE, simulate.PROFILE).values():
        for seed in range(3):
            lost = order == 3 or (order == 2 and seed == 1)
            changes = {"status": "diverged", "diverged_at": 7} if lost else {}
            simulate.write(root, run, seed, _share(run, order, seed), **changes)
    return compare(simulate.TABLE, simulate.PROFILE, load({"reference": root}), COUNTS)


@pytest.mark.parametrize("name", FORMATS)
def test_golden(view: TableView, name: str) -> None:
    """Each format gives the committed bytes; REPRO_GOLDEN=write renews them, and the change is then reviewed."""
    _golden(name, FORMATS[name](view))


@pytest.mark.parametrize("name", AUDITED)
def test_golden_audit(name: str) -> None:
    """The audit gives the committed bytes in each format; in HTML it is a section of the page."""
    _golden(name, AUDITED[name]())


def _golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("REPRO_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_the_profile_comes_first(view: TableView, name: str) -> None:
    """No number is seen before the name of the profile (CSV and JSON are for programs, which name their fields)."""
    text = FORMATS[name](view)
    if name.endswith((".md", ".tex", ".html")):
        assert 0 <= text.find("tiny") < text.find("70.1" if "70.1" in text else "holds")


def test_diverged_seeds_are_seen(view: TableView) -> None:
    """Every format shows that seeds diverged, and how many."""
    assert "2 of 3; 1 diverged" in markdown.render(view)
    assert "diverged (3 of 3)" in markdown.render(view)
    assert "2 of 3; 1 diverged" in latex.render(view)
    assert "diverged (3 of 3)" in html.render(Page((view,)))
    rows = list(stdlib_csv.DictReader(io.StringIO(dataframe.render_csv(view))))
    assert [row["diverged"] for row in rows if row["row"] == "Score (Conv)"] == ["1", "3"]
    assert rows[3]["ours"] == ""


def test_csv_has_the_promised_columns(view: TableView) -> None:
    """The long form starts with the columns that other programs rely on."""
    head = dataframe.render_csv(view).splitlines()[0].split(",")
    assert head[:10] == ["table", "row", "column", "printed", "ours", "std", "n", "status", "verdict", "runs"]


def test_the_long_frame_has_types(view: TableView) -> None:
    """Numbers are numbers, one that is missing is none; a table without any cell has no rows and covers nothing."""
    frame = dataframe.long_frame((view, replace(view, number=3, rows=())))
    assert list(frame["table"]) == ["2"] * 6
    assert [str(kind) for kind in frame.dtypes[["value", "std", "difference"]]] == ["float64"] * 3
    assert frame.loc[frame["kind"] == "score", "n"].tolist() == [3, 3, 2, 0]
    assert frame.loc[frame["kind"] == "cost", "n"].isna().all()
    assert frame.loc[frame["status"] == "diverged", "value"].isna().all()
    found = dataframe.coverage((view, replace(view, number=3, rows=())))
    assert found.loc["2"].tolist()[:2] == [6, 5]
    assert found.loc["3"].tolist() == [0, 0, ""]
    empty = dataframe.render_csv(replace(view, rows=()))
    assert empty.splitlines() == [",".join(dataframe.COLUMNS)]


def test_a_cut_training_is_said_in_the_title(tmp_path: Path) -> None:
    """`--steps`: the heading of every format says it, CSV and JSON in a field of their own; counts are not cut."""
    cut = replace(simulate.PROFILE, steps=3, stride_in="conv2")
    shown = compare(simulate.TABLE, cut, load({"reference": tmp_path}), COUNTS)
    phrase = "every training cut to 3 steps; stride in conv2"
    lines = {"md": "## ", "tex": r"\caption"}
    for name, start in lines.items():
        text = {"md": markdown.render, "tex": latex.render}[name](shown)
        assert phrase in next(line for line in text.splitlines() if line.startswith(start)), name
    page = html.render(Page((shown,)))
    assert re.search(rf"<h2 id=\"table2\">[^\n]*{phrase}\)</h2>", page)
    assert f"({phrase})](table2.md)" in markdown.render_index(Page((shown,)))
    tree = stdlib_json.loads(dataframe.render_json((shown,)))["tables"][0]
    assert phrase in tree["title"]
    assert tree["cut"] == 3
    rows = list(stdlib_csv.DictReader(io.StringIO(dataframe.render_csv(shown))))
    assert {row["cut_to_steps"] for row in rows if row["unit"] == "%"} == {"3"}
    assert {row["cut_to_steps"] for row in rows if row["unit"] == "count"} == {""}
    out = Console(record=True, width=200, file=io.StringIO())
    show(out, shown)
    assert f"Table 2: GCN & convolution ({phrase})" in out.export_text()


def test_a_whole_training_has_the_printed_title(view: TableView) -> None:
    """Without `--steps`, and in a table of counts alone, nothing is added."""
    assert view.title == simulate.TABLE.title
    assert view.cut is None
    counts = replace(simulate.TABLE, rows=simulate.TABLE.rows[2:], claims=())
    assert compare(counts, replace(simulate.PROFILE, steps=3), RecordStore(()), COUNTS).title == simulate.TABLE.title


def test_every_format_holds_the_whole_audit() -> None:
    """Each finding, each reading and each number that it reproduces or breaks is in every format."""
    found = audit.whole()
    page, tex = markdown.as_markdown(found), as_latex(found)
    site = html.render(Page((), audit=found))
    for finding in found.findings:
        assert markdown.escape(finding.computed) in page
        assert latex.escape(finding.computed) in tex
        assert f">{finding.name}</td>" in site
    for reading in found.readings:
        for checks in filter(None, (reading.reproduces, reading.breaks)):
            assert markdown.escape(words.checks(checks)) in page
            assert latex.escape(words.checks(checks)) in tex
    assert site.count('data-name="breaks"') == len(found.readings)
    tree = stdlib_json.loads(dataframe.render_json((), audit=found))
    assert [reading["option"] for reading in tree["audit"]["readings"]] == [r.option for r in found.readings]


def test_the_claims_of_a_page_stand_between_its_marks(view: TableView) -> None:
    """Only what stands between the marks is written; a page that lacks them is left alone."""
    block = markdown.block({"tiny": (view,)}, AUDIT, {"tiny": "tables"})
    assert "| larger is better | 4.1.1 | **holds** |" in block
    page = f"before\n{markdown.START}\nold\n{markdown.END}\nafter\n"
    assert markdown.splice(page, block) == f"before\n{markdown.START}\n{block}\n{markdown.END}\nafter\n"
    assert markdown.splice("no marks", block) is None
    assert markdown.splice(f"{markdown.END} {markdown.START}", block) is None


def test_what_was_not_run_is_in_every_format(view: TableView) -> None:
    """The cost of what is missing, here and at full scale, stands in the index, the document and the page."""
    shown = Page((view,), lacks=LACKS, pictures=PICTURES)
    for text in (markdown.render_index(shown), latex.render_document(shown)):
        assert "72 min and 1 run of unknown length" in text
        assert "9.79 EFLOP, 25 h of a device that sustains 100 TFLOP/s" in text
    page = html.render(shown)
    assert "72 min and 1 run of unknown length" in page
    assert 'src="data:image/png;base64,bm90IGEgcGljdHVyZQ=="' in page
    block = markdown.block({"tiny": (view,)}, AUDIT, {"tiny": "tables"}, LACKS)
    assert "Profile paper: none of its 60 scores was run; one seed of each would take 42 runs" in block


def test_nothing_left_to_run_is_said() -> None:
    """A profile that lacks nothing has one sentence and no empty table."""
    done = Remaining("tiny", 3, (), Lack("all", "each run once", 0, 4, 0, 0.0, 0, 0.0, 0.0))
    assert words.aimed(done) == "Nothing: every cell has its 3 seeds."
    assert words.lacking(done) == []
    assert words.whole(done) == ""


ODD_TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "</script><script>alert(1)</script>",
            "\\input{/etc/passwd}",
            "a|b",
            "$x_1^2$ & 50% #",
            "](javascript:x)",
            "=1+1",
            "{{x}}",
            "\x00\x1b[31m",
            "\u202eabc",
            "日本語",
        ]
    ),
)


ODD_VALUE: st.SearchStrategy[Any] = st.one_of(
    ODD_TEXT,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.lists(ODD_TEXT, max_size=2),
    st.dictionaries(ODD_TEXT, ODD_TEXT, max_size=2),
)


NAMES = ("run", "a name") if os.name == "nt" else ("run", "<b onclick=alert(1)>", "a|b`c*", "{x}\\\\input$", "日本\n語")


META = st.dictionaries(
    st.sampled_from(
        [
            "recipe",
            "steps",
            "device",
            "git_commit",
            "torch",
            "data",
            "precision",
            "seconds",
            "final_loss",
            "spec",
            "profile",
            "diverged_at",
            "test_images",
        ]
    ),
    ODD_VALUE,
    max_size=6,
)


@st.composite
def odd_counts(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Return counts of any few images and classes: missing classes, zero pixels, one image, impossible ones."""
    images, num_classes = draw(st.integers(0, 12)), draw(st.integers(1, 4))
    high = draw(st.sampled_from([1, 2, 400]))
    made = simulate.noise(draw(st.integers(0, 99)), images, num_classes, 3)
    array = np.floor(made * high).astype(np.int64)
    if draw(st.booleans()):
        array[..., 0] = np.minimum(array[..., 0], array[..., 1:].min(axis=2))
    if draw(st.booleans()) and num_classes > 1:
        array[:, 0] = 0
    return {"classes": array}


@given(
    metas=st.lists(META, min_size=1, max_size=3),
    counts=odd_counts(),
    status=st.sampled_from(["ok", "diverged", "interrupted"]),
    name=st.sampled_from(NAMES),
    log=st.sampled_from(
        [
            "",
            "{",
            '{"step": 1, "loss": NaN}\n',
            '{"step": null, "loss": "x"}\n',
            '{"step": 5, "loss": Infinity}\n{"step": 6, "loss": -1}',
        ]
    ),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_odd_record_breaks_or_falsifies_a_table(
    tmp_path: Path, metas: list[dict[str, Any]], counts: dict[str, np.ndarray], status: str, name: str, log: str
) -> None:
    """Whatever a record holds, every format renders, stays well formed, and shows no number that was not counted."""
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
    for seed, meta in enumerate(metas):
        folder = simulate.write(
            tmp_path / "runs", RUNS[0], seed, status=status, counts=counts, head=meta, name=f"{name}{seed}"
        )
        (folder / "log.jsonl").write_text(log)
    shelf = load({"reference": tmp_path / "runs"})
    found = compare(simulate.TABLE, simulate.PROFILE, shelf, COUNTS)
    outcome = found.cells()[0].outcomes[0]
    expected = _expected(counts) if status == "ok" else math.nan
    if outcome.status == "measured":
        assert outcome.value == pytest.approx(expected)
    else:
        assert math.isnan(outcome.value)
        assert outcome.measurement is not None
        assert outcome.measurement.faults or shelf.passed_over or math.isnan(expected)
    _well_formed(found)


def _expected(counts: dict[str, np.ndarray]) -> float:
    """Return the pooled mIoU in points by a slow loop; nan where no class occurs."""
    scores = []
    for c in range(counts["classes"].shape[1]):
        both, pred, label = (sum(int(image[c][i]) for image in counts["classes"]) for i in range(3))
        if pred + label - both > 0:
            scores.append(both / (pred + label - both))
    return 100 * sum(scores) / len(scores) if scores else math.nan


class _Tags(HTMLParser):
    """Count the elements of a page and hold the attributes that could run something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember one element."""
        self.tags.append(tag)
        self.handlers += [
            name for name, value in attrs if name.startswith("on") or "javascript:" in (value or "").lower()
        ]


def _well_formed(found: TableView) -> None:
    """Check that nothing of a record became markup, in any format."""
    lines = [line for line in markdown.render(found).splitlines() if line.startswith("| ")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in lines[: 2 + 7]}
    assert len(widths) == 1
    stdlib_json.loads(dataframe.render_json((found,)), parse_constant=pytest.fail)
    rows = list(stdlib_csv.reader(io.StringIO(dataframe.render_csv(found))))
    assert {len(row) for row in rows} == {len(dataframe.COLUMNS)}
    tags = _Tags()
    tags.feed(_without_assets(html.render(Page((found,)))))
    assert tags.tags.count("script") == 1
    assert not tags.handlers
    text = re.sub(r"\\[{}]", "", latex.render(found))
    assert text.count("{") == text.count("}")
    assert set(re.findall(r"\\input|\\write|\\immediate", text)) == set()


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_escaped_text_is_inert(text: str) -> None:
    """Escaped text has no active character of its language, and LaTeX gets letters only that every font has."""
    plain = latex.escape(text)
    assert all(" " <= letter <= "~" for letter in plain)
    for command in re.findall(r"\\([a-zA-Z]+)", plain):
        assert command.startswith("text") or command in {"pm", "times", "cdot", "le", "ge"}
    assert not re.search(r"(?<!\\)[|`*_#~\[\]<>]", markdown.escape(text).replace("\\\\", ""))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (texlive-latex-recommended)")
def test_latex_compiles(view: TableView, tmp_path: Path) -> None:
    """The document, and a table alone behind its input, compile without a warning that matters."""
    (tmp_path / "table2.tex").write_text(latex.render(view))
    found = audit.whole()
    (tmp_path / "audit.tex").write_text(as_latex(found))
    (tmp_path / "document.tex").write_text(latex.render_document(Page((view,), audit=found, lacks=LACKS)))
    preamble = r"\documentclass{article}\usepackage{booktabs,array,longtable}"
    (tmp_path / "audit-alone.tex").write_text(preamble + r"\begin{document}\input{audit}\end{document}")
    alone = r"\documentclass{article}\usepackage{booktabs,array}\begin{document}\input{table2}\end{document}"
    (tmp_path / "alone.tex").write_text(alone)
    for name in ("document", "document", "alone", "audit-alone", "audit-alone", "audit-alone"):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:]
    for name in ("document", "alone", "audit-alone"):
        log = (tmp_path / f"{name}.log").read_text(encoding="latin-1")
        assert not re.findall(r"Overfull|LaTeX Warning: (?:Ref|There were)|undefined|same identifier", log)


def test_the_same_records_give_the_same_bytes(view: TableView, tmp_path: Path) -> None:
    """Two renderings of two reads of the same records are equal."""
    simulate.fill(tmp_path, {2: simulate.TABLE}, _share, profile=simulate.PROFILE)
    once, twice = (
        [
            render(compare(simulate.TABLE, simulate.PROFILE, load({"reference": tmp_path}), COUNTS))
            for render in FORMATS.values()
        ]
        for _ in range(2)
    )
    assert once == twice
    assert view.number == 2

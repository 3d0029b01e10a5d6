"""The paper against itself: each disagreement is found by computing, and a changed print changes the finding."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from repro.models import flops
from repro.paper import printed as paper
from repro.paper.audit import Finding, Reading, audit, readings
from repro.paper.audit.networks import solve_width
from repro.paper.audit.text import seen


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Give a copy of ``paper.toml`` that a test may change."""
    changed = copy.deepcopy(paper._data())

    def forget() -> None:
        paper.cells.cache_clear()
        paper.text.cache_clear()

    monkeypatch.setattr(paper, "_data", lambda: changed)
    forget()
    yield changed
    monkeypatch.undo()
    forget()


def by_name() -> dict[str, Finding]:
    """Return the findings by name."""
    return {finding.name: finding for finding in audit()}


def option(question: str, name: str) -> Reading:
    """Return one reading."""
    return next(r for r in readings() if r.question.startswith(question) and r.option == name)


FINDINGS = by_name()


@pytest.mark.parametrize(
    ("name", "computed"),
    [
        ("margin-of-k15", "over k = 3 it is 4.4; over the baseline 5.5"),
        ("stack-at-k5", "the stack wins at k = 5"),
        ("stack-caption-bound", "from k = 7 on"),
        ("rounding-of-counts", "260K (260,694); rounding down breaks 3484K (3,483,648)"),
        ("mflops", "3,856 and 3,730; stride in conv1, sum: 3,856 and 3,589; stride in conv2, concat: 4,087"),
        ("cityscapes-crops", "2 times"),
        ("label-of-gcn-in-table-4", "59,322,368"),
        ("downsampling", "3 x 3 max pool, stride 2"),
        ("name-of-br", "it has 2"),
        ("references", "[24] stands for DPN and DeepLab"),
        ("slides-references", "from [30] on"),
    ],
)
def test_disagreements(name: str, computed: str) -> None:
    """Each known disagreement is found, with the number that shows it."""
    assert FINDINGS[name].verdict == "disagrees"
    assert computed in FINDINGS[name].computed


def test_no_other_disagreement() -> None:
    """A new disagreement must be looked at and listed above."""
    assert sum(finding.verdict == "disagrees" for finding in FINDINGS.values()) == 11


@pytest.mark.parametrize(
    ("name", "computed"),
    [
        ("cityscapes-images", "5,000 + 19,998 = 24,998"),
        ("cityscapes-fine", "2975 + 500 + 1525 = 5,000"),
        ("cityscapes-stage-1", "2975 + 19,998 = 22,973"),
        ("margin-of-resnet-gcn", "by 5.5"),
        ("head-params", "12 of 12"),
        ("gcn-params-linear", "173,796"),
        ("two-over-k", "1.0103"),
        ("widths-of-resnet-gcn", "84.8 concatenated, 91.5 summed, printed 85; res-5: 128.9 concatenated, 136.6"),
        ("repeated-cells", "10 experiments are printed 25 times; 0 differ"),
        ("headline-voc", "80.2 (CentraleSupelec"),
        ("headline-cityscapes", "71.8 (LRR-4x"),
        ("feature-map-voc", "512 / 32 = 16"),
        ("feature-map-cityscapes", "800 / 32 = 25"),
        ("slides-cells", "differing: none"),
    ],
)
def test_agreements(name: str, computed: str) -> None:
    """What does agree is said too."""
    assert FINDINGS[name].verdict == "agrees"
    assert computed in FINDINGS[name].computed


@pytest.mark.parametrize(
    ("name", "computed"),
    [
        ("coco-images", "99,310"),
        ("stack-never-as-small", "7.1 times the parameters of GCN; m = 32"),
        ("really-global", "52 % of the map on average; all of it only from k = 31"),
        ("br-gain", "0.9 (Stage-1), 1.0 (Stage-2), 1.6 (Stage-3)"),
        ("more-images", "+0.6 (Baseline), -0.4 (GCN), +0.3 (GCN + BR)"),
        ("rests-on-rounding", "1 of them"),
        ("below-baseline", "67.5"),
    ],
)
def test_open(name: str, computed: str) -> None:
    """What the print does not decide is computed and left open."""
    assert FINDINGS[name].verdict == "open"
    assert computed in FINDINGS[name].computed


def test_findings_are_whole() -> None:
    """Every finding has a name of its own, places, a sentence and a computation; disagreements come first."""
    found = audit()
    assert len({finding.name for finding in found}) == len(found)
    assert all(finding.places and finding.says and finding.computed for finding in found)
    order = [finding.verdict for finding in found]
    assert order == sorted(order, key=["disagrees", "open", "agrees"].index)


def test_modules_give_the_same_audit() -> None:
    """Counting the built modules changes no finding."""
    assert audit(flops.measure) == audit()


def test_a_wrong_counter_is_noticed() -> None:
    """With counts that include something else, the counts no longer agree."""
    found = {finding.name: finding for finding in audit(lambda cell: flops.measure(cell) + 5_000)}
    assert found["head-params"].verdict == "disagrees"


@pytest.mark.parametrize(
    ("name", "table", "row", "column", "text", "verdict"),
    [
        ("margin-of-k15", 1, 0, 2, "69.0", "agrees"),
        ("stack-at-k5", 3, 1, 2, "70.8", "agrees"),
        ("stack-caption-bound", 3, 1, 3, "72.9", "agrees"),
        ("rounding-of-counts", 2, 2, 1, "261K", "agrees"),
        ("head-params", 4, 1, 2, "28507K", "disagrees"),
        ("repeated-cells", 5, 1, 3, "74.4", "disagrees"),
        ("headline-voc", 8, 11, 1, "80.3", "disagrees"),
        ("margin-of-resnet-gcn", 6, 1, 1, "65.6", "disagrees"),
        ("depth-of-resnet50", 11, 3, 2, "[1 x 1, 128; 3 x 3, 128; 1 x 1, 512] x 5", "disagrees"),
        ("slides-cells", 9, 0, 1, "73.1", "disagrees"),
    ],
)
def test_findings_follow_the_print(
    data: dict[str, Any], name: str, table: int, row: int, column: int, text: str, verdict: str
) -> None:
    """Another print leads to another verdict: nothing is typed in."""
    assert FINDINGS[name].verdict != verdict
    data["tables"][str(table)]["rows"][row][column] = text
    assert by_name()[name].verdict == verdict


@pytest.mark.parametrize(
    ("name", "number", "text", "verdict"),
    [
        ("cityscapes-images", "cityscapes_coarse", "20,000", "disagrees"),
        ("cityscapes-crops", "cityscapes_tiles", "2", "agrees"),
        ("feature-map-voc", "input_size", "640", "disagrees"),
        ("kernels-tried", "k_largest", "17", "disagrees"),
        ("margin-of-k15", "margin_k15", "4.4%", "agrees"),
    ],
)
def test_findings_follow_the_text(data: dict[str, Any], name: str, number: str, text: str, verdict: str) -> None:
    """Another number in the text leads to another verdict."""
    data["text"][number]["text"] = text
    assert by_name()[name].verdict == verdict


@pytest.mark.parametrize("row", ["res-4", "res-5"])
@pytest.mark.parametrize("joined", [1, 2])
def test_width_against_polynomial_roots(row: str, joined: int) -> None:
    """The width at equal parameters is the positive root that numpy finds."""
    k, c, mid = {"res-4": (5, 1024, 256), "res-5": (7, 2048, 512)}[row]
    roots = np.roots([2 * k, 2 * k * c + joined * c, -(2 * c * mid + 9 * mid**2)])
    assert solve_width(row, joined) == pytest.approx(float(max(roots.real)))


@pytest.mark.parametrize(("k", "side"), [(15, 16), (25, 25), (3, 16), (31, 16), (1, 4)])
def test_share_seen_against_a_loop(k: int, side: int) -> None:
    """The share of the map that a cell sees is what counting pairs of cells gives."""
    cells = np.arange(side)
    near = np.abs(cells[:, None] - cells[None, :]) <= k // 2
    assert seen(k, side) == pytest.approx(near.mean() ** 2)


def test_readings_of_counts() -> None:
    """Without biases, of the res-5 head and 21 classes every count comes out; each other reading breaks some."""
    for question, taken, other, broken in (
        ("biases", "none", "one a channel", 2),
        ("heads", "the one after res-5", "all four, res-2 to res-5", 12),
        ("classes", "20 and background", "20", 12),
        ("where a stack", "in its last 3 x 3 (figure 4 D)", "in a 1 x 1 after it", 3),
    ):
        assert option(question, taken).breaks == ()
        assert len(option(question, taken).reproduces) == 12
        assert len(option(question, other).breaks) == broken


def test_reading_of_rounding() -> None:
    """Rounding to nearest breaks 260K alone; cutting breaks two; rounding up ten."""
    broken = {name: len(option("rounding", name).breaks) for name in ("to nearest", "down", "up")}
    assert broken == {"to nearest": 1, "down": 2, "up": 10}
    assert option("rounding", "to nearest").breaks[0].printed == "260K"


def test_reading_of_branches() -> None:
    """Concatenated branches reproduce 85, 128 and 3700; summed ones none of them."""
    concat, summed = (option("branches", name) for name in ("concat", "sum"))
    assert (len(concat.reproduces), len(concat.breaks)) == (3, 0)
    assert (len(summed.reproduces), len(summed.breaks)) == (0, 3)


def test_one_default_a_question() -> None:
    """Each question has several options, of which exactly one is taken."""
    questions = {reading.question for reading in readings()}
    assert len(questions) == 12
    for question in questions:
        options = [reading for reading in readings() if reading.question == question]
        assert len(options) > 1
        assert sum(reading.taken for reading in options) == 1
        assert all(reading.reproduces or reading.breaks for reading in options)


def test_no_torch() -> None:
    """The audit imports neither torch nor numpy (fresh process)."""
    code = (
        "import sys; from repro.paper.audit import audit, readings; audit(); readings(); "
        "print({'torch', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"

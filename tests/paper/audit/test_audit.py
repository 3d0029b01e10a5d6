"""The paper against itself: each disagreement is found by computing, and a changed print changes the finding."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from repro.models import flops
from repro.paper import printed as paper
from repro.paper.audit import Finding, audit


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


def test_no_torch() -> None:
    """The audit imports neither torch nor numpy (fresh process)."""
    code = (
        "import sys; from repro.paper.audit import audit, readings; audit(); readings(); "
        "print({'torch', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"

"""What stands under a table: widths, the share of boundary pixels, readings of a count."""

from __future__ import annotations

import pytest

from repro.config import profiles
from repro.models.architectures import architecture
from repro.paper.tables import all_tables, paper_tables
from repro.report import latex, markdown
from repro.report.compare import compare
from repro.results import metrics, records
from repro.results.counts import load_counts
from repro.results.records import RecordStore
from tests.support import ROOT

REFERENCE = ROOT / "runs/reference"


def _notes(number: int, profile: str, shelf: RecordStore | None = None) -> tuple[str, ...]:
    view = compare(all_tables()[number], profiles.get(profile), shelf or RecordStore(()), load_counts())
    for text in (markdown.render(view), latex.render(view)):
        assert all(note.split(",")[0].split(":")[0] in text for note in view.notes)
    return view.notes


def test_a_width_says_what_it_stands_for() -> None:
    """Table 4 in `shapes`; with the paper's backbones there is nothing to say, and Table 3 prints no m."""
    (said,) = _notes(4, "shapes")
    assert "m = 2048, 1024, 210 stand for 48, 24, 5" in said
    assert _notes(4, "paper") == _notes(4, "camvid") == _notes(3, "shapes") == ()


@pytest.mark.parametrize("name", list(profiles.PROFILES))
def test_profiles_know_the_width_of_their_backbones(name: str) -> None:
    """The report must not import the networks."""
    profile = profiles.get(name)
    widths = {architecture(backbone).widths[-1] for backbone in profile.backbones.values()}
    assert widths == {profile.last_channels}


def test_the_boundary_region_has_its_share() -> None:
    """Table 5 says how the region is taken, and how much of the scored pixels it is where something was scored."""
    (said,) = _notes(5, "shapes")
    assert said == "boundary: Euclidean distance of 7 pixels at most to another label, the void rim an edge"
    shelf = records.load({"reference": REFERENCE})
    (said,) = _notes(5, "shapes", shelf)
    run = profiles.get("shapes").resolve(all_tables()[5].rows[0].cells[0].training)  # type: ignore[union-attr]
    assert run is not None
    share = metrics.boundary_share(shelf.of(run.key)[0].counts()["distance"])
    assert said.endswith(f"the void rim an edge: {100 * share:.1f} % of the scored pixels (reference)")
    assert 0 < share < 1


def test_every_reading_of_the_flops_stands_beside_the_print() -> None:
    """The four of Table 11, two of them taken, counted off the modules."""
    assert _notes(11, "paper") == (
        "MFlops (Conv), ResNet50, stride in the first 1 x 1 (taken here): 3,856 beside 3700, +156",
        "MFlops (Conv), ResNet50, stride in the 3 x 3: 4,087 beside 3700, +387",
        "MFlops (Conv), ResNet50-GCN, branches concatenated (taken here): 3,730 beside 3700, +30",
        "MFlops (Conv), ResNet50-GCN, branches summed: 3,589 beside 3700, -111",
    )


def test_other_tables_have_no_notes() -> None:
    """A note is the exception."""
    assert {n for n in paper_tables() if _notes(n, "shapes")} == {4, 5, 11}

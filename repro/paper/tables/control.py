"""Control: Table 1 where an outline tells an object's class, and where its texture alone does (additional table)."""

from __future__ import annotations

from repro.config.networks import GCN, Conv1x1, Head
from repro.paper.schema import Claim, Ref, Table, equivalent, gains_more, score_row

SIZES = (3, 5, 7, 9, 11, 13, 15)
HEADS: tuple[Head, ...] = (Conv1x1(), *map(GCN, SIZES))
MARGIN = 1.0
"""Points of mIoU that count as nothing: half of what seeds alone may move a score by."""
OUTLINE, TEXTURE = "Score (outline tells the class)", "Score (control: texture tells it)"


def _gain(row: str, k: int) -> tuple[Ref, Ref]:
    return Ref(row, "base"), Ref(row, str(k))


TABLE = Table(
    number=12,
    own="control",
    title="mIoU against k where an outline tells the class, and where a texture does",
    corner="k",
    columns=("base", *map(str, SIZES)),
    rows=(score_row(OUTLINE, HEADS), score_row(TEXTURE, HEADS, data="control")),
    claims=(
        Claim(
            "control-gain",
            says="k = 15 gains more over the baseline where the outline tells the class than on the control",
            where="the suite's own",
            contrasts=(gains_more(_gain(OUTLINE, 15), _gain(TEXTURE, 15)),),
            means=(
                ("holds", "so the gain needs a class that is told far away: the effect is the paper's"),
                ("fails", "so k helps as much where nothing far away is needed: the effect is not the paper's"),
                ("undecided", "so whether the effect is the paper's stays open"),
            ),
        ),
        Claim(
            "control-gain-any",
            says="every k gains more over the baseline where the outline tells the class than on the control",
            where="the suite's own",
            contrasts=tuple(gains_more(_gain(OUTLINE, k), _gain(TEXTURE, k)) for k in SIZES),
        ),
        Claim(
            "control-gain-of-k",
            says="among GCNs too: k = 15 gains more over k = 3 where the outline tells the class than on the control",
            where="the suite's own",
            contrasts=(
                gains_more(
                    (Ref(OUTLINE, "3"), Ref(OUTLINE, "15")),
                    (Ref(TEXTURE, "3"), Ref(TEXTURE, "15")),
                ),
            ),
        ),
        Claim(
            "control-still",
            says="on the control k = 15 changes the score by less than one point",
            where="the suite's own",
            contrasts=(equivalent(Ref(TEXTURE, "15"), Ref(TEXTURE, "base"), MARGIN),),
            means=(
                ("holds", "so where texture tells the class a large kernel neither helps nor harms"),
                ("fails", "so a large kernel moves the score even where nothing far away is needed"),
            ),
        ),
    ),
)

"""Figure 6: images, the baseline, GCN, GCN + BR (the networks of Table 5) and the truth."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from repro.figures import TABLE5, style
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from repro.evaluation.trained_model import Trained
    from repro.figures.inputs import Material


FIGURE = FigureSpec(6, "figure6", "Examples: image, baseline, GCN, GCN + BR, truth", TABLE5)


LEGEND_COLUMNS = 3
LINE = 56
"""Letters of a line."""


@dataclass(frozen=True, eq=False)
class Example:
    """One row: an image by its name, and the mean IoU of each network on it, in points."""

    name: str
    percentile: int
    iou: tuple[float, ...]
    pictures: tuple[NDArray[np.uint8], ...] = field(metadata={"shown": False})
    """Image, predictions and truth, each (h, w, 3) RGB."""


@dataclass(frozen=True)
class Examples:
    """Rows of examples; ``rule`` is the rule of their choice."""

    profile: str
    place: str
    seed: int
    rule: str
    columns: tuple[str, ...]
    rows: tuple[Example, ...]
    legend: tuple[tuple[str, tuple[int, int, int]], ...]


def draw(shown: Examples) -> Figure:
    """Draw the rows under the names of the columns, with a legend of the classes that occur."""
    tall = [row.pictures[0].shape[0] / row.pictures[0].shape[1] for row in shown.rows]
    lines = -(-len(shown.legend) // LEGEND_COLUMNS)
    height = sum(tall) * style.WIDTH / len(shown.columns) + 0.11 * len(tall) + 0.22 + 0.16 * lines + 0.3
    figure, axes = style.page(height, len(tall), len(shown.columns), squeeze=False, height_ratios=tall)
    for y, row in enumerate(shown.rows):
        under = ("mean IoU:", *(f"{value:.0f} %" for value in row.iou), "")
        for x, picture in enumerate(row.pictures):
            place = axes[y][x]
            place.imshow(picture, interpolation="nearest")
            place.set_xticks([])
            place.set_yticks([])
            place.grid(visible=False)
            place.spines[:].set(visible=True, linewidth=0.4)
            place.set_xlabel(under[x], labelpad=1.5)
            if y == 0:
                place.set_title(shown.columns[x], loc="center", fontsize=style.TEXT, fontweight="normal", pad=3)
    figure.set_layout_engine("constrained", w_pad=0.015, h_pad=0.015, wspace=0, hspace=0)
    _legend(figure, shown)
    return figure


def _legend(figure: Figure, shown: Examples) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(
            facecolor="#{:02X}{:02X}{:02X}".format(*colour),
            edgecolor=style.INK,
            linewidth=0.4,
            label=name.replace("_", " "),
        )
        for name, colour in shown.legend
    ]
    rule = "\n".join(
        textwrap.wrap(
            f"Profile {shown.profile}, seed {shown.seed}. Rows: {shown.rule}".replace(" + ", "\u00a0+\u00a0"), LINE
        )
    )
    legend = figure.legend(handles=patches, loc="outside lower center", ncols=LEGEND_COLUMNS, handlelength=1.0,
                           columnspacing=1.2, title=rule, alignment="left")  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)  # names from a record


PERCENTILES = (50, 75, 90)
COLUMNS = ("image", "baseline", "GCN", "GCN+BR", "truth")


if TYPE_CHECKING:
    Floats = NDArray[np.float64]


def compute(material: Material) -> Examples:
    """Return the rows of Figure 6.

    The rule: the images at the 50th, 75th and 90th percentile of what GCN + BR gains over the baseline in the image's
    own mean IoU.
    """
    import numpy as np

    from repro import data
    from repro.data.images import coloured
    from repro.evaluation import trained_model
    from repro.figures.inputs import with_weights
    from repro.training.distributed import device_of

    models = [trained_model.load(record, device_of(material.device)) for record in with_weights(material)]
    scores = [image_iou(material.evidence.counts(model.record)["classes"]) for model in models]
    chosen = at_percentiles(scores[-1] - scores[0])
    test = models[0].run.test
    dataset = data.load(test.dataset, test.split, material.data_root)
    rows, seen = [], set()
    for percentile, i in zip(PERCENTILES, chosen, strict=True):
        image, truth = dataset.read(i)
        labels = [model.predictor.labels([np.ascontiguousarray(image)])[0] for model in models]
        pictures = (image, *(coloured(m, models[0].palette) for m in (*labels, truth)))
        seen |= {int(value) for m in (*labels, truth) for value in np.unique(m)}
        iou = tuple(float(100 * score[i]) for score in scores)
        rows.append(Example(dataset.ids[i], percentile, iou, pictures))
    return Examples(
        profile=material.profile.name,
        place=material.place,
        seed=models[0].record.seed,
        rule="50th, 75th and 90th percentile of the gain of GCN + BR over the baseline in the image's IoU",
        columns=COLUMNS,
        rows=tuple(rows),
        legend=legend(seen, models[0]),
    )


def legend(labels: set[int], model: Trained) -> tuple[tuple[str, tuple[int, int, int]], ...]:
    """Return names and colours of the classes that occur, void last."""
    from repro.data.dataset import IGNORE_INDEX
    from repro.data.images import VOID

    found = [(name, model.palette[i]) for i, name in enumerate(model.classes) if i in labels]
    return (*found, ("void", VOID)) if IGNORE_INDEX in labels else tuple(found)


def image_iou(counts: NDArray[np.int64]) -> Floats:
    """Return the mean IoU of each image from the counts (n, c, 3), over classes labelled or predicted in it."""
    from repro.results import metrics

    miou = metrics.find("miou")
    return miou.reduce(miou.parts(counts))


def at_percentiles(gains: Floats) -> list[int]:
    """Return the image at each percentile of the gains; ties in the order of the images, nan left out."""
    import numpy as np

    order = np.argsort(np.where(np.isnan(gains), -np.inf, gains), kind="stable")
    order = order[int(np.isnan(gains).sum()) :]
    return [int(order[round(percentile / 100 * (len(order) - 1))]) for percentile in PERCENTILES]

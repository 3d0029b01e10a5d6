"""Figure 3: valid receptive fields of the baseline, of the baseline on an enlarged object, and of GCN."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from repro.config.experiment import Training
from repro.config.networks import GCN, Conv1x1, Model
from repro.figures import style
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from repro.data.dataset import Bytes
    from repro.evaluation import receptive_field as vrf
    from repro.evaluation.receptive_field.positions import Position
    from repro.evaluation.trained_model import Trained
    from repro.figures.inputs import Material


FIGURE = FigureSpec(3, "figure3", "Valid receptive fields", (Training(Model(Conv1x1())), Training(Model(GCN(15)))))


DARK = 0.38
MARK = "#E0000B"
LEGEND = "square: the position; bright, outlined: its valid receptive field"


@dataclass(frozen=True, eq=False)
class Panel:
    """One field. Areas are in pixels; ``rank`` and ``overlap`` compare the gradient's field with it."""

    title: str
    at: tuple[int, int]
    area: float
    share: float
    """Area over the image's."""
    object_area: int | None
    rank: float
    overlap: float
    image: NDArray[np.uint8] = field(metadata={"shown": False})
    """(h, w, 3) RGB."""
    inside: NDArray[np.bool_] = field(metadata={"shown": False})
    """(h, w)."""
    gradient: NDArray[np.bool_] = field(metadata={"shown": False})
    """(h, w): the gradient's field, averaged under the occluders and cut at the same share of its largest value."""


@dataclass(frozen=True)
class Fields:
    """Panels side by side and the settings of the measurement."""

    rule: str
    occluder: int
    stride: int
    """On an image that was not enlarged."""
    threshold: float
    panels: tuple[Panel, ...]
    """At most three."""


def draw(shown: Fields) -> Figure:
    """Draw each panel with its area; the gradient's field below it, or beside a single panel."""
    alone = len(shown.panels) == 1
    height = max(panel.image.shape[0] / panel.image.shape[1] for panel in shown.panels)
    rows, columns = (1, 2) if alone else (2, len(shown.panels))
    figure, axes = style.page(rows * (style.WIDTH / columns * height + 0.62) - 0.12 * (rows - 1) + 0.15, rows, columns)
    upper, lower = ([axes[0]], [axes[1]]) if alone else axes
    for letter, over, under, panel in zip("ABC", upper, lower, shown.panels, strict=False):
        _panel(over, panel, panel.inside, panel.title if alone else f"{letter}  {panel.title}", _area(panel))
        _panel(under, panel, panel.gradient, "by the gradient", _agreement(panel))
    figure.supxlabel(LEGEND, fontsize=style.TEXT)
    return figure


def _area(panel: Panel) -> list[str]:
    lines = [f"field {panel.area:,.0f} px", f"({100 * panel.share:.0f} % of image)"]
    return lines if panel.object_area is None else [*lines, f"object {panel.object_area:,} px"]


def _agreement(panel: Panel) -> list[str]:
    """Return the agreement of the gradient's field with the occluders'; empty if it is constant."""
    numbers = {"rank corr.": panel.rank, "overlap": panel.overlap}
    return [f"{name} {number:.2f}" for name, number in numbers.items() if math.isfinite(number)]


def _panel(axes: Axes, panel: Panel, inside: NDArray[np.bool_], title: str, lines: list[str]) -> None:
    import numpy as np

    bright = inside[..., None]
    axes.imshow(np.where(bright, panel.image, panel.image * DARK).astype(np.uint8), interpolation="nearest")
    if inside.any() and not inside.all():
        axes.contour(inside, levels=[0.5], colors="white", linewidths=0.6)
    axes.plot(*panel.at, "s", color=MARK, markersize=3, markeredgecolor="white", markeredgewidth=0.4)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_title(title, fontsize=style.TEXT)
    axes.set_xlabel("\n".join(lines), fontsize=style.TEXT)
    axes.spines[:].set_visible(False)


OCCLUDER, STRIDE, THRESHOLD = 11, 3, 0.2


ENLARGED = 2


def measure(
    model: Trained, image: Bytes, at: Position, title: str, occluder: int = OCCLUDER, stride: int = STRIDE,
    threshold: float = THRESHOLD, *, object_area: int | None = None, told: Callable[[float], None] | None = None,
) -> Panel:  # fmt: skip
    """Return the field of one position (x, y) of an image (h, w, 3), and the gradient's field."""
    from repro.evaluation import receptive_field as vrf

    x = model.read(image)
    field = vrf.occlusion_map(model.net, x, at, occluder=occluder, stride=stride, progress=told)
    gradient = vrf.gradient_field(model.net, x, at, field.class_index)
    rank, overlap = vrf.agreement(field, gradient, threshold)
    area = vrf.area(field, threshold)
    return Panel(
        title=title,
        at=at,
        area=area,
        share=area / (image.shape[0] * image.shape[1]),
        object_area=object_area,
        rank=rank,
        overlap=overlap,
        image=image,
        inside=_inside(field, threshold),
        gradient=_inside(vrf.under_occluders(field, gradient), threshold),
    )


def _inside(field: vrf.VRF, threshold: float) -> NDArray[np.bool_]:
    """Return the pixels (h, w) of a field: those above a share of its largest value."""
    import numpy as np

    strength = field.pixels()
    return np.asarray((strength >= threshold * strength.max()) & (strength > 0))


def compute(material: Material) -> Fields:
    """Return the panels of Figure 3: baseline, baseline on the enlarged image, GCN on the enlarged image.

    The grid is as fine on the enlarged image as on the object before: its spacing is enlarged with it.

    The rule: of the first images of the test set, the one whose largest object has the median area; the position is
    the innermost pixel of that object.
    """
    import cv2
    import numpy as np

    from repro import data
    from repro.evaluation import trained_model
    from repro.evaluation.receptive_field.positions import AMONG, chosen
    from repro.figures.inputs import with_weights
    from repro.training.distributed import device_of

    baseline, gcn = (trained_model.load(record, device_of(material.device)) for record in with_weights(material))
    test = baseline.run.test
    dataset = data.load(test.dataset, test.split, material.data_root)
    i, at, area = chosen(dataset)
    image, _ = dataset.read(i)
    large = np.asarray(cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_LINEAR), np.uint8)
    there = at[0] * ENLARGED + ENLARGED // 2, at[1] * ENLARGED + ENLARGED // 2
    name = f"GCN k={getattr(getattr(gcn.run.model, 'head', None), 'k', '?')}"
    panels = (
        measure(baseline, image, at, "baseline", object_area=area),
        *(
            measure(
                model, large, there, f"{title}, {ENLARGED}×", stride=ENLARGED * STRIDE, object_area=area * ENLARGED**2
            )
            for model, title in ((baseline, "baseline"), (gcn, name))
        ),
    )
    rule = (
        f"{dataset.ids[i]}: of the first {AMONG} images the one whose largest object has the median area; inmost pixel"
    )
    return Fields(rule, OCCLUDER, STRIDE, THRESHOLD, panels)

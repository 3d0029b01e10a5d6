"""Figures: read off the modules and the records, legible, the same bytes, honest about what is missing."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image
from rich.console import Console
from safetensors.torch import save_file

from repro import models
from repro.cli.figure import show
from repro.config import profiles
from repro.config.errors import FigureError
from repro.config.networks import GCN, Classifier, Conv, Conv1x1, Model, Stack
from repro.data.dataset import Dataset
from repro.data.shapes import CLASSES
from repro.evaluation import trained_model
from repro.evaluation.receptive_field.positions import chosen
from repro.figures import (
    all_figures,
    build,
    class_gains,
    cost_curve,
    figure3,
    figure5,
    figure6,
    inputs,
    network_diagram,
    style,
    training_curves,
)
from repro.figures.figure1 import shape
from repro.figures.figure2 import pipeline
from repro.figures.network_diagram import Map
from repro.models.architectures import architecture
from repro.paper import printed as paper
from repro.paper.audit import closed_form
from repro.paper.tables import all_tables
from repro.results import field_areas
from repro.results.field_areas import Areas, Field, Settings
from tests.support import simulate

SMALL = Map(64, 12, 12)
PLOTS = ("kernel_curve", "field_area", "boundary_profile", "training_curves", "class_gains", "size_profile")
HEADS = (GCN(7), Conv1x1(), Conv(7), Stack(7))
TABLES = {number: all_tables()[number] for number in (1, 2, 5)}


def diagram(name: str, material: Any) -> Drawing:
    """Draw one figure under the common settings."""
    with style.look():
        drawing: Drawing = import_module(f"repro.figures.{name}").draw(material)
        drawing.draw_without_rendering()
    return drawing


@pytest.fixture(scope="module")
def diagrams() -> dict[str, Drawing]:
    """Return the diagrams of small networks, and Figures 2 and 4 of networks with the paper's widths."""
    shapes = (
        shape("Classification", Classifier("small"), 10, 96),
        shape("Conventional", Model(Conv1x1(), backbone="small"), 6, 96),
        shape("GCN", Model(GCN(7), backbone="small"), 6, 96),
    )
    features = Map(2048, 16, 16)
    return {
        "figure1": diagram("figure1", shapes),
        "figure2": diagram("figure2", pipeline(Model(GCN(15), refine=True, backbone="resnet50"))),
        "figure2 small": diagram("figure2", pipeline(Model(GCN(3), backbone="small"), 6, (96, 96))),
        "figure4": diagram("figure4", tuple(network_diagram.head(spec, features) for spec in HEADS)),
        "figure5": diagram("figure5", figure5.compute()),
        "cost_curve": diagram("cost_curve", cost_curve.compute()),
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of made-up records of Tables 1, 2 and 5, with areas of receptive fields for Table 1."""
    root = tmp_path_factory.mktemp("runs")
    simulate.fill(root / "reference", TABLES, lambda _, order, seed: 0.5 + 0.01 * order + 0.002 * seed, seeds=2)
    for run, order in simulate.runs(TABLES[1], profiles.get("shapes")).values():
        for seed in range(2):
            folder = root / "reference" / f"{run.slug}-{run.key}-s{seed}"
            field = Field("a", (9, 9), 1, 900, 300.0 * order + 500 - 90 * seed)
            field_areas.write(folder, Areas(folder.name, Settings(), (96, 96), (field,)))
    return root


def texts(drawing: Drawing) -> list[tuple[Text, Bbox]]:
    """Return every text that is drawn and says something, with its extent (unused ticks are made but not drawn)."""
    seen: dict[int, tuple[Text, Bbox]] = {}

    def note(text: Text, *words: Any) -> None:
        if text.get_visible() and text.get_text().strip():
            seen[id(text)] = text, text.get_window_extent()
        draw(text, *words)

    draw = Text.draw
    with style.look(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", note)
        drawing.draw_without_rendering()
    return list(seen.values())


def legible(drawings: dict[str, Drawing]) -> None:
    """Assert that no text leaves the page, is smaller than 7 points or overlaps another."""
    for name, drawing in drawings.items():
        page = drawing.bbox
        drawn = texts(drawing)
        boxes = [(text.get_text(), box) for text, box in drawn]
        for word, box in boxes:
            assert box.x0 >= -1, (name, word)
            assert box.y0 >= -1, (name, word)
            assert box.x1 <= page.width + 1, (name, word)
            assert box.y1 <= page.height + 1, (name, word)
        assert all(text.get_fontsize() >= 7 for text, _ in drawn), name
        for (a, one), (b, other) in itertools.combinations(boxes, 2):
            assert not one.padded(-3).overlaps(other.padded(-3)), (name, a, b)


def test_pipeline_has_the_papers_sizes() -> None:
    """Every size and channel count of Figure 2 A, read off the built network."""
    plan = pipeline(Model(GCN(15), refine=True, backbone="resnet50"))
    assert plan.stem == Map(64, 256, 256)
    assert [s.head.features.text for s in plan.stages] == ["16×16×2048", "32×32×1024", "64×64×512", "128×128×256"]
    assert [s.up.height for s in plan.stages if s.up] == [32, 64, 128]
    assert [step.out for step in plan.tail] == [Map(21, 256, 256), Map(21, 512, 512)]
    count = sum(s.refined_head + s.refined_sum for s in plan.stages) + sum(step.refined for step in plan.tail)
    assert count == 9
    assert [(layer.height, layer.in_channels, layer.out_channels) for layer in plan.refinement] == [(3, 21, 21)] * 2


def test_diagrams_follow_the_model() -> None:
    """Another kernel, no BR and another backbone change what the diagram says."""
    plan = pipeline(Model(GCN(3), backbone="small"), 6, (96, 96))
    assert plan.refinement == ()
    assert [s.up is None for s in plan.stages] == [True, True, True, False]
    words = {t.get_text() for t, _ in texts(diagram("figure2", plan))}
    channels = architecture("small").widths[-1]
    assert {"3×1 conv", f"{channels} → 6", f"12×12×{channels}"} <= words
    assert "BR" not in words
    assert "15×1 conv" not in words


@pytest.mark.parametrize("spec", HEADS)
def test_heads_have_the_counts_of_the_closed_form(spec: Any) -> None:
    """The weights that Figure 4 shows are those of the independent closed form."""
    assert network_diagram.head(spec, Map(2048, 16, 16)).params == closed_form.head_params(spec)


def test_blocks_are_those_of_table_11() -> None:
    """Figure 5 B: k = 7, m' = 128 and 256 concatenated channels at res-5."""
    bottleneck, gcn = figure5.compute()[0]
    assert [(layer.kernel, layer.out_channels) for layer in bottleneck.branches[0]] == [("1 × 1", 512), ("3 × 3", 512)]
    assert [layer.kernel for layer in gcn.branches[0]] == ["1 × 7", "7 × 1"]
    assert (gcn.last.in_channels, gcn.last.out_channels, gcn.join) == (256, 2048, "concat")


def test_reach_is_that_of_the_kernel() -> None:
    """Figure 1: a classifier sees all, 1 x 1 sees one cell, GCN sees k of them."""
    assert shape("", Classifier("small"), 10, 96).reach == 0
    reach = [shape("", Model(h, backbone="small"), 6, 96).reach for h in (Conv1x1(), GCN(7), Stack(7))]
    assert reach == [1, 7, 7]


def test_heads_on_other_features_are_refused() -> None:
    """Heads that do not stand on one map cannot be drawn side by side."""
    heads = (network_diagram.head(GCN(3), SMALL, 6), network_diagram.head(GCN(3), Map(32, 12, 12), 6))
    with pytest.raises(FigureError, match="same features"):
        diagram("figure4", heads)


def test_texts_lie_inside(diagrams: dict[str, Drawing], plots: dict[str, Drawing]) -> None:
    """No text leaves the page, none is smaller than 7 points, and none overlaps another."""
    legible(diagrams | plots)


def test_texts_fit_their_boxes(diagrams: dict[str, Drawing]) -> None:
    """A text whose middle lies in a box lies in it whole."""
    for name, drawing in diagrams.items():
        boxes = [patch.get_window_extent() for patch in drawing.findobj(FancyBboxPatch)]
        fitted = 0
        for text, extent in texts(drawing):
            middle = ((extent.x0 + extent.x1) / 2, (extent.y0 + extent.y1) / 2)
            for box in boxes:
                if box.contains(*middle):
                    fitted += 1
                    assert box.x0 <= extent.x0 <= extent.x1 <= box.x1, (name, text.get_text())
        assert fitted or not boxes, name


@pytest.fixture(scope="module")
def plots(runs: Path) -> dict[str, Drawing]:
    """Return the plots of made-up records."""
    request = build.Request((), runs=runs)
    evidence, profile = request.evidence(), profiles.get("shapes")
    return {
        name: diagram(
            name,
            import_module(f"repro.figures.{name}").compute(
                inputs.gather(all_figures()[name], profile, evidence, ("reference",))
            ),
        )
        for name in PLOTS
    }


def picture(height: int, width: int) -> Any:
    """Return noise as a picture."""
    return (255 * simulate.noise(1, height, width, 3)).astype(np.uint8)


def test_pictures_of_any_shape_fit() -> None:
    """Figures 3 and 6 with upright and wide pictures: every text on the page, none over another."""
    rows = tuple(figure6.Example("x", p, (5.0, 60.0, 100.0), (picture(h, 40),) * 5) for p, h in ((50, 60), (90, 30)))
    legend = tuple((f"class_{i}", (10 * i, 90, 90)) for i in range(7))
    shown = figure6.Examples("shapes", "local", 0, "", figure6.COLUMNS, rows, legend)
    inside, drawn = np.eye(30, 40) > 0, picture(30, 40)
    panels = tuple(
        figure3.Panel(f"GCN k=15, {i}×", (9, 9), 12345.0, 0.1, 10_180, 0.5, 0.5, drawn, inside, inside)
        for i in range(3)
    )
    fields = figure3.Fields("", 11, 3, 0.2, panels)
    alone = figure3.Fields("", 11, 3, 0.2, panels[:1])
    legible({"figure6": diagram("figure6", shown), "figure3": diagram("figure3", fields),
             "vrf": diagram("figure3", alone)})  # fmt: skip


def said(names: tuple[str, ...], **options: Any) -> tuple[int, str]:
    """Run the command; return its exit code and what it printed."""
    out = Console(record=True, width=400, file=io.StringIO())
    code = show(out, build.Request(names, **options))
    return code, out.export_text()


def test_files_are_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    """PDF, PNG and JSON do not change from one drawing to the next."""
    for folder in ("one", "two"):
        code, _ = said(("4", "kernel_curve"), runs=runs, out=tmp_path / folder)
        assert code == 0
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == [f"{n}.{e}" for n in ("figure4", "kernel_curve") for e in ("json", "pdf", "png")]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_a_figure_of_cut_trainings_says_so(tmp_path: Path) -> None:
    """`--steps`: the picture's heading and the JSON say that every training was cut."""
    runs = tmp_path / "runs"
    cut = profiles.get("shapes", steps=20)
    for run, order in simulate.runs(TABLES[1], cut).values():
        for seed in range(2):
            simulate.write(runs / "reference", run, seed, 0.4 + 0.01 * order)
    code, text = said(("kernel_curve",), runs=runs, out=tmp_path / "out", steps=20)
    assert code == 0, text
    tree = json.loads((tmp_path / "out" / "kernel_curve.json").read_text())
    assert tree["title"].endswith("(every training cut to 20 steps)")


def test_curve_shows_the_records(runs: Path, tmp_path: Path) -> None:
    """The JSON names the records, and holds the printed scores and the mean of ours with an interval around it."""
    said(("kernel_curve",), runs=runs, out=tmp_path)
    tree = json.loads((tmp_path / "kernel_curve.json").read_text())
    assert len(tree["runs"]) == 16
    assert tree["place"] == "reference"
    points = tree["shown"]["points"]
    assert [p["k"] for p in points] == [1, 3, 5, 7, 9, 11, 13, 15]
    assert [p["printed"] for p in points] == [paper.number(1, "Score", c) for c in paper.columns(1)]
    assert all(p["low"] < np.mean(p["values"]) < p["high"] for p in points)


def test_gains_add_up(runs: Path) -> None:
    """The gain of the mean over classes is the difference of the two measured mIoU."""
    material = inputs.gather(
        all_figures()["class_gains"],
        profiles.get("shapes"),
        build.Request((), runs=runs).evidence(),
        ("reference",),
    )
    shown: Any = class_gains.compute(material)
    base, gcn, refined = (part.found.mean for part in material.shown)
    assert shown.series[0].gains[-1].estimate == pytest.approx(gcn - base)
    assert shown.series[1].gains[-1].estimate == pytest.approx(refined - gcn)


def test_intervals_drawn_are_those_computed(runs: Path) -> None:
    """The plots draw the stored ends of every interval; seaborn computes none."""
    evidence = build.Request((), runs=runs).evidence()
    found: dict[str, Any] = {}
    for name in ("kernel_curve", "class_gains", "boundary_profile"):
        material = inputs.gather(all_figures()[name], profiles.get("shapes"), evidence, ("reference",))
        found[name] = import_module(f"repro.figures.{name}").compute(material)
    axes = diagram("kernel_curve", found["kernel_curve"]).axes[1]
    lines = next(collection for collection in axes.collections if isinstance(collection, LineCollection))
    ends = [end for point in found["kernel_curve"].points for end in (point.low, point.high)]
    assert np.ravel(lines.get_segments())[1::2] == pytest.approx(ends)
    axes = diagram("class_gains", found["class_gains"]).axes[0]
    lines = next(collection for collection in axes.collections if isinstance(collection, LineCollection))
    gains = [(g.low, g.high) for series in found["class_gains"].series for g in series.gains]
    assert sorted(map(tuple, np.array(lines.get_segments())[..., 0])) == pytest.approx(np.array(sorted(gains)))
    for axes, bands in zip(
        diagram("boundary_profile", found["boundary_profile"]).axes,
        (found["boundary_profile"].accuracy, found["boundary_profile"].gain),
        strict=True,
    ):
        filled = [c for c in axes.collections if isinstance(c, PolyCollection)]
        for area, band in zip(filled, bands, strict=True):
            y = area.get_paths()[0].vertices[:, 1]
            assert (y.min(), y.max()) == pytest.approx((min(band.low), max(band.high)))


def test_a_class_of_a_record_is_no_formula() -> None:
    """A name from a record is drawn as it is, not set (or refused) as mathematics."""
    gain = class_gains.Gain(1.0, 0.5, 1.5)
    shown = class_gains.Gains("tiny", "local", 3, 9, (r"$\frac{$",), (class_gains.Series("gcn", "GCN", (gain,) * 2),))
    figure = class_gains.draw(shown)
    figure.canvas.draw()
    assert r"$\frac{$" in [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_accuracy_by_size_is_that_of_the_counts(runs: Path, tmp_path: Path) -> None:
    """Bins that images hold, their accuracy pooled over images and meant over seeds, gains between neighbours."""
    code, _ = said(("size_profile",), runs=runs, out=tmp_path)
    assert code == 0
    shown = json.loads((tmp_path / "size_profile.json").read_text())["shown"]
    assert shown["sizes"] == [2**s for s in range(2, 12)]
    material = inputs.gather(
        all_figures()["size_profile"], profiles.get("shapes"), build.Request((), runs=runs).evidence(),
        ("reference",),
    )  # fmt: skip
    pooled = [[r.counts()["size"].sum(axis=0) for r in part.records] for part in material.shown]
    means = [np.mean([100 * c[2:12, 0] / c[2:12, 1] for c in seeds], axis=0) for seeds in pooled]
    for band, expected in zip(shown["accuracy"], means, strict=True):
        assert band["mean"] == pytest.approx(expected, rel=1e-6)
    assert shown["gain"][0]["mean"] == pytest.approx(means[1] - means[0], abs=1e-5)


def test_older_records_are_evaluated_for_their_sizes(tmp_path: Path) -> None:
    """A record without sizes is evaluated by its weights; without them, or with others, it is one sentence."""
    local = tmp_path / "runs" / "local"
    shapes = profiles.get("shapes")
    for training in all_figures()["size_profile"].trainings:
        run = shapes.resolve(training)
        assert run is not None
        folder = simulate.write(local, run, 0, classes=list(CLASSES))
        made = simulate.counts_of(run, 0.5, 0, len(CLASSES))
        counts = {name: array for name, array in made.items() if name != "size"}
        np.savez_compressed(folder / "counts.npz", allow_pickle=False, **counts)
        code, text = said(("size_profile",), runs=tmp_path / "runs", out=tmp_path)
        assert code == 2
    assert "its weights are not on this machine; train them with: repro run table1" in text
    first = shapes.resolve(all_figures()["size_profile"].trainings[0])
    assert first is not None
    save_file(models.build(first.model, len(CLASSES)).state_dict(), next(local.glob("*-base-*")) / trained_model.FILE)
    code, text = said(("size_profile",), runs=tmp_path / "runs", out=tmp_path)
    assert code == 2
    assert "its weights are of another training" in text


@pytest.mark.parametrize(("name", "table"), [("kernel_curve", "table1"), ("figure6", "table5"), ("figure3", "table1")])
def test_missing_records_are_one_sentence(name: str, table: str, tmp_path: Path) -> None:
    """A figure without records is not drawn: it names the command that makes them."""
    code, text = said((name,), runs=tmp_path, out=tmp_path / "out")
    assert code == 2
    assert f"repro run {table} --profile shapes" in text
    assert not (tmp_path / "out").exists()


def test_missing_weights_are_one_sentence(runs: Path, tmp_path: Path) -> None:
    """Records without weights give no examples, and the sentence names the command that trains them."""
    code, text = said(("figure6",), runs=runs, out=tmp_path / "out")
    assert code == 2
    assert "weights" in text
    assert "repro run table1 --profile shapes" in text


def test_unknown_figure_and_profile_without_data(tmp_path: Path) -> None:
    """A word that names no figure is refused with the names there are."""
    with pytest.raises(FigureError, match="choose from figure1, figure2"):
        _ = build.Request(("figure9",)).figures
    assert [figure.name for figure in build.Request(("2,figure4", "2")).figures] == ["figure2", "figure4"]
    code, text = said(("kernel_curve",), runs=tmp_path, profile="paper", out=tmp_path)
    assert (code, "--profile paper" in text) == (2, True)


def _seen(matrix: Any, colour: str) -> Any:
    """Return the CIELAB colour that an eye sees, by Machado 2009's matrix of a missing cone."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.asarray(matrix) @ linear, 0, 1)
    shown = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return cv2.cvtColor(shown.astype(np.float32)[None, None], cv2.COLOR_RGB2LAB)[0, 0]


EYES = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("eye", EYES)
def test_colours_differ_for_every_eye(eye: str) -> None:
    """Colours of two models lie far apart (CIELAB 15) for each kind of colour blindness; no marker is used twice."""
    for one, other in itertools.combinations(style.FAMILIES, 2):
        apart = np.linalg.norm(_seen(EYES[eye], style.FAMILIES[one]) - _seen(EYES[eye], style.FAMILIES[other]))
        assert apart > 15, (one, other)
    assert len(set(style.MARKERS.values())) == len(style.MARKERS)


def test_rule_of_figure_6() -> None:
    """Percentiles are those of the sorted gains; an image without a score is never chosen."""
    gains = np.array([np.nan, *np.arange(100, -1, -1)])
    assert [gains[i] for i in figure6.at_percentiles(gains)] == [50, 75, 90]
    counts = np.array([[[5, 5, 10], [0, 0, 0]], [[4, 8, 4], [6, 6, 10]]])
    assert figure6.image_iou(counts) == pytest.approx([0.5, (0.5 + 0.6) / 2])


def test_rule_of_figure_3() -> None:
    """The image with the median largest object, and the middle of that object."""

    def read(i: int) -> Any:
        labels = np.zeros((31, 31), np.uint8)
        labels[5 : 5 + 3 * (i + 2), 8 : 8 + 3 * (i + 2)] = 1
        labels[0, :2] = 255
        return np.zeros((31, 31, 3), np.uint8), labels

    dataset = Dataset("tiny", "val", ("background", "square"), (), ("a", "b", "c"), read)
    assert chosen(dataset) == (1, (12, 9), 81)


def test_smoothing_is_the_mean_of_the_window() -> None:
    """Each value is the mean of itself and those before it within 2 % of the training."""
    loss = [float(i % 7) for i in range(150)]
    slow = [float(np.mean(loss[max(0, i - 2) : i + 1])) for i in range(150)]
    assert training_curves.smooth(loss).tolist() == pytest.approx(slow)


def _modules() -> Iterator[str]:
    folder = Path(style.__file__).parent
    return (f"repro.figures.{path.stem}" for path in sorted(folder.glob("[a-z]*.py")) if path.stem != "network_diagram")


def test_thick_lines_are_the_means_of_the_seeds() -> None:
    """Of those that ran on, as far as the shortest; heads differ in their dashes too; a cross for the diverged one."""
    steps = tuple(range(1, 41))
    logs = [
        training_curves.Log(family, 7, seed, "ok", steps[: 40 - seed], tuple(2.0 + seed for _ in steps[: 40 - seed]))
        for family in ("gcn", "conv")
        for seed in (0, 1, 2)
    ]
    logs.append(training_curves.Log("conv", 7, 3, "diverged", (1, 2), (2.0, 90.0)))
    with style.look():
        drawing = training_curves.draw(training_curves.Logs("shapes", "reference", tuple(logs)))
    lines = drawing.axes[0].get_lines()
    thick = [line for line in lines if line.get_linewidth() > 1]
    assert [np.asarray(line.get_xdata()).tolist() for line in thick if line.get_marker() == "None"] == [
        list(steps[:38])
    ] * 2
    assert all(
        np.unique(np.asarray(line.get_ydata())).tolist() == [3.0] for line in thick if line.get_marker() == "None"
    )
    assert len({line.get_linestyle() for line in thick if line.get_marker() == "None"}) == 2
    assert sum(line.get_marker() == "x" for line in lines) == 1


def test_drawing_never_imports_torch() -> None:
    """Figures of stored records are drawn without torch."""
    code = f"import sys; import {', '.join((*_modules(), 'repro.figures.build'))}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_palette_where_nobody_sees_it(tmp_path: Path) -> None:
    """Lines and letters are saved in 256 colours, each within a few levels of its own; a map of many colours is not."""
    drawn, light = {}, {}
    for name, many in (("lines", False), ("map", True)):
        with style.look():
            figure, axes = style.page(1.5)
            axes.plot([0, 1, 3], [2, 1, 2], label="a line")
            axes.legend()
            if many:
                axes.imshow(np.random.default_rng(0).random((60, 60, 3)), extent=(0, 3, 1, 2))
            drawn[name] = io.BytesIO()
            figure.savefig(drawn[name], format="png")
            light[name] = style.save(figure, tmp_path / name)[1]
    with Image.open(light["lines"]) as few, Image.open(light["map"]) as full, Image.open(drawn["lines"]) as was:
        assert (few.mode, full.mode) == ("P", "RGB")
        assert few.info["dpi"] == pytest.approx((style.DPI, style.DPI), abs=1)
        change = np.abs(np.asarray(few.convert("RGB"), int) - np.asarray(was.convert("RGB"), int))
    assert change.mean() < 0.1
    assert np.quantile(change, 0.999) <= 8

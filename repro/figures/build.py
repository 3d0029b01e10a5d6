"""Draw a figure: compute its data, write PDF, PNG and the data as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.config.errors import FigureError, near
from repro.config.io import atomic_write
from repro.config.machine import Machine
from repro.config.profiles import DEFAULT, Profile
from repro.figures import all_figures, inputs, style
from repro.paper.schema import Figure as FigureSpec
from repro.results import records
from repro.results.scores import Scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


FIGURES, LOCAL = Path("figures"), Path("build/figures")


@dataclass(frozen=True)
class Request:
    """Options of the command."""

    names: tuple[str, ...]
    profile: str = DEFAULT
    runs: Path = Path("runs")
    out: Path | None = None
    local: bool = False
    """Use the records of this machine, not the reference records."""
    data_root: Path | None = None
    steps: int | None = None
    recipe: str = ""
    device: str = "auto"
    """Where networks are evaluated, for the figures that need it."""
    stride_in: str | None = None

    @property
    def figures(self) -> list[FigureSpec]:
        """The figures named; raises ``FigureError`` for an unknown name."""
        known = all_figures()
        words = [word.strip() for name in self.names for word in name.lower().split(",") if word.strip()]
        words = [f"figure{word}" if word.isdigit() else word for word in words]
        if unknown := [word for word in words if word not in known and word != "all"]:
            raise FigureError(
                f"{unknown[0]!r} is no figure; choose from {', '.join(known)}, or all{near(unknown[0], known)}"
            )
        chosen = [name for word in words for name in (known if word == "all" else [word])]
        return [known[name] for name in dict.fromkeys(chosen)]

    @property
    def places(self) -> tuple[str, ...]:
        """Origins of records in the order of preference."""
        return ("local",) if self.local else ("reference", "local")

    def evidence(self) -> Scores:
        """Return all records, loaded once for all figures."""
        place = Machine(runs=self.runs)
        return Scores(records.load({"reference": place.reference, "local": place.local}))

    def folder(self, place: str, profile: Profile | None) -> Path:
        """Return the folder of a figure: by origin of its records and, except for the default, by profile."""
        out = self.out or (LOCAL if place == "local" else FIGURES)
        return profile.folder(out) if profile else out


@dataclass(frozen=True)
class Drawn:
    """The data of a figure before it is drawn. ``profile`` is None for figures of the architecture alone."""

    material: object
    place: str = "computed"
    profile: Profile | None = None
    runs: tuple[str, ...] = ()

    @property
    def variant(self) -> str:
        """Changed settings of its trainings, such as fewer steps; empty without any."""
        return self.profile.variant if self.profile else ""


def draw(figure: FigureSpec, profile: Profile, evidence: Scores, request: Request) -> list[Path]:
    """Draw one figure; return its files.

    Raises:
        FigureError: records or weights are missing; the message names the command that makes them.
    """
    module = import_module(f"repro.figures.{figure.name}")
    if figure.trainings:
        material = inputs.gather(figure, profile, evidence, request.places)
        material = dataclasses.replace(material, data_root=request.data_root, device=request.device)
        drawn = Drawn(module.compute(material), material.place, profile, tuple(material.runs))
    else:
        drawn = Drawn(module.compute())
    stem = request.folder(drawn.place, drawn.profile) / figure.name
    try:
        with style.look():
            picture: Drawing = module.draw(drawn.material)
            if drawn.variant:
                picture.suptitle("\n".join(filter(None, (picture.get_suptitle(), drawn.variant))), fontsize=style.TEXT)
            paths = style.save(picture, stem)
        return [*paths, _describe(figure, drawn, stem.with_suffix(".json"))]
    except OSError as error:
        msg = f"{stem}: the figure cannot be written ({error.strerror or error}); choose another folder with --out"
        raise FigureError(msg) from error


def _describe(figure: FigureSpec, drawn: Drawn, path: Path) -> Path:
    """Write the data of a figure and the names of its records."""
    tree = {
        "figure": figure.name,
        "title": f"{figure.title} ({drawn.variant})" if drawn.variant else figure.title,
        "profile": drawn.profile.name if drawn.profile else None,
        "place": drawn.place,
        "runs": list(drawn.runs),
        "shown": plain(drawn.material),
    }
    atomic_write(path, json.dumps(tree, indent=1, allow_nan=False) + "\n")
    return path


def plain(value: Any) -> Any:  # noqa: ANN401 - a tree of frozen values
    """Return a value as JSON: floats to seven digits, None for nan, without images."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (part for part in dataclasses.fields(value) if part.metadata.get("shown", True))
        return {part.name: plain(getattr(value, part.name)) for part in fields}
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    return value

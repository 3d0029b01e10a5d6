"""Loss curves of a few runs as one small inline SVG."""

from __future__ import annotations

import math
from typing import Any

from repro.records import Record

WIDTH, HEIGHT, EDGE = 360, 130, 26
POINTS = 100
"""Points drawn of a curve; each is the mean of the steps it stands for."""
Curve = list[tuple[float, float]]


def draw(records: tuple[Record, ...]) -> Any:  # noqa: ANN401 - markupsafe's text, imported only here
    """Return the curves, one line a seed, as markup of numbers alone; empty where nothing was logged."""
    from markupsafe import Markup

    curves = [(record.seed, points) for record in records if (points := _thin(_points(record)))]
    if not curves:
        return ""
    top = max(loss for _, points in curves for _, loss in points)
    last = max(step for _, points in curves for step, _ in points)
    lines = "".join(_line(points, top, last) for _, points in curves)
    seeds = ", ".join(str(seed) for seed, _ in curves)
    label = f"Loss over {last:.0f} steps, from {curves[0][1][0][1]:.3g} to {curves[0][1][-1][1]:.3g}; seeds {seeds}"
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="loss" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{lines}'
        f'<text x="2" y="12">{top:.3g}</text><text x="2" y="{HEIGHT - 14}">0</text>'
        f'<text x="{WIDTH - 4}" y="{HEIGHT - 3}" text-anchor="end">step {last:.0f}</text></svg>'
    )


def _points(record: Record) -> Curve:
    """Return the finite losses of a log; a damaged log has none."""
    try:
        lines = record.log()
    except (OSError, ValueError):
        return []
    found = ((_number(line.get("step")), _number(line.get("loss"))) for line in lines)
    return [(step, loss) for step, loss in found if math.isfinite(step) and math.isfinite(loss)]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _thin(points: Curve) -> Curve:
    size = max(1, math.ceil(len(points) / POINTS))
    parts = (points[i : i + size] for i in range(0, len(points), size))
    return [(part[-1][0], sum(loss for _, loss in part) / len(part)) for part in parts]


def _line(points: Curve, top: float, last: float) -> str:
    wide, high = WIDTH - EDGE - 4, HEIGHT - EDGE
    places = (
        (EDGE + wide * step / max(last, 1.0), 6 + high * (1 - max(loss, 0.0) / max(top, 1e-12)))
        for step, loss in points
    )
    return f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>'

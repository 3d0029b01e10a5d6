"""One self-contained HTML page: sortable and filterable tables whose cells open to their records."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

import markupsafe
from jinja2 import Environment
from markupsafe import Markup

from repro.paper.audit.finding import Audit
from repro.report import text as words
from repro.report.page import Page
from repro.report.table_view import CellView, Outcome, RowView, TableView
from repro.report.templating import environment
from repro.results import verdicts
from repro.results.records import Record

GOOD = frozenset({"holds", "matches", "within", "agrees"})
BAD = frozenset({"fails", "differs", "outside", "diverged", "unusable", "disagrees"})
OPEN = frozenset({"undecided", "one seed", "awaiting the test server", "no score", "open"})
BOOKS = (verdicts.STATUSES, verdicts.CELLS, verdicts.CLAIMS, verdicts.FINDINGS)
FACTS = (
    "status", "seed", "recipe", "steps", "final_loss", "diverged_at", "last_finite_loss", "seconds",
    "images_per_second", "peak_memory_bytes", "peak_gpu_memory_bytes", "device", "gpu", "threads", "world_size",
    "precision", "python", "torch", "software", "git_commit", "data", "test_images", "weights_from",
)  # fmt: skip


@cache
def _environment() -> Environment:
    return environment(markupsafe.escape)


def render(page: Page) -> str:
    """Return the page of one profile with its figures in it; everything that comes from records is escaped."""
    raw = {name: Markup(_file(f"page.{name}")) for name in ("css", "js")}  # noqa: S704 - two files of this package
    template = _environment().get_template("page.html.j2")
    text = template.render(**_context(page), **_beside(page), **_helpers(), **raw)
    return "\n".join(line for line in text.splitlines() if line.strip()) + "\n"


def _file(name: str) -> str:
    return resources.files("repro.report").joinpath("templates", name).read_text(encoding="utf-8")


def _context(page: Page) -> dict[str, Any]:
    """Return the tables, the claims, the audit and the records behind them."""
    verdict = Counter(claim.verdict for claim in page.claims)
    cells = [(view.number, cell) for view in page.views for cell in view.cells()]
    runs, run_ids = _runs(cell for _, cell in cells)
    return {
        "views": page.views,
        "claims": page.claims,
        "faults": page.faults,
        "others": page.others,
        "profile": page.profile,
        "comparable": any(view.comparable for view in page.views),
        "about": page.about,
        "many": len(page.places) > 1,
        "tally_of_claims": [(word, verdict[word]) for word in verdicts.CLAIMS if verdict[word]],
        "audit": page.audit,
        "used": _used(page.views, page.audit),
        "ids": {(number, cell.row, cell.column): f"cell-{i}" for i, (number, cell) in enumerate(cells)},
        "runs": runs,
        "run_ids": run_ids,
    }


def _beside(page: Page) -> dict[str, Any]:
    """Return the content beside the tables: summary, missing runs, figures, glossary and method."""
    return {
        "glance": words.glance(page.views, page.lacks),
        "aimed": words.aimed(page.lacks[0]).replace("`", "") if page.lacks else "",
        "lacking": words.lacking(page.lacks[0]) if page.lacks else [],
        "lacking_head": words.LACKING,
        "elsewhere": [text for other in page.lacks[1:] if (text := words.whole(other))],
        "pictures": [(one, base64.b64encode(one.png).decode()) for one in page.pictures if one.png],
        "vocabulary": [pair for book in BOOKS for pair in book.items()],
        "why_others": f"{words.OTHERS} {words.WHY_OTHERS}",
        "method": words.METHOD,
    }


def _helpers() -> dict[str, Any]:
    return {
        "tone": _tone,
        "tally": words.tally,
        "after": words.after,
        "evidence": words.evidence,
        "measured": words.measured,
        "value": words.value,
        "spread": words.spread,
        "difference": words.difference,
        "audited": words.audited,
        "checks": words.checks,
        "reproduced": words.reproduced,
        "origin": words.origin,
        "own": words.OWN,
        "span": words.span,
        "score": lambda value: f"{value:.2f}" if math.isfinite(value) else "no score",
        "plain": lambda value: f"{value:.6g}" if math.isfinite(value) else "",
        "printed_value": _printed_value,
        "sort_value": _sort_value,
        "row_words": _row_words,
        "row_verdicts": _row_verdicts,
        "definition": lambda outcome: verdicts.CELLS.get(outcome.verdict) or verdicts.STATUSES.get(outcome.status, ""),
    }


def _tone(word: str) -> str:
    return "good" if word in GOOD else "bad" if word in BAD else "open" if word in OPEN else ""


def _printed_value(cell: CellView) -> str:
    return "" if cell.printed is None or cell.printed.value is None else f"{cell.printed.value:.6g}"


def _sort_value(cell: CellView) -> str:
    """Return the sort key of a cell: the measured value, else the reported one."""
    found = [outcome.value for outcome in cell.outcomes if math.isfinite(outcome.value)]
    return f"{found[0]:.6g}" if found else _printed_value(cell) or (cell.printed.text if cell.printed else "")


def _row_verdicts(row: RowView) -> list[str]:
    return sorted({_word(outcome) for cell in row.cells for outcome in cell.outcomes})


def _row_words(row: RowView) -> str:
    return " ".join([*(cell.column.lower() for cell in row.cells), *_row_verdicts(row), *(c.key for c in row.cells)])


def _word(outcome: Outcome) -> str:
    return outcome.verdict or outcome.status


def _used(views: tuple[TableView, ...], audit: Audit) -> list[str]:
    """Return every verdict that occurs: of cells, of claims, of the audit."""
    cells = {word for view in views for row in view.rows for word in _row_verdicts(row)}
    return sorted(cells | {claim.verdict for view in views for claim in view.claims} | set(audit.tally()))


def _runs(cells: Iterable[CellView]) -> tuple[list[dict[str, Any]], dict[tuple[str, str], str]]:
    """Return the details of runs, once for all cells of one key and place, and the id of each."""
    runs: list[dict[str, Any]] = []
    ids: dict[tuple[str, str], str] = {}
    for cell in cells:
        for outcome in cell.outcomes:
            where = (cell.key, outcome.place)
            if outcome.measurement and outcome.measurement.records and where not in ids:
                ids[where] = f"run-{len(ids)}"
                runs.append(_run(ids[where], outcome.measurement.records))
    return runs, ids


def _run(name: str, records: tuple[Record, ...]) -> dict[str, Any]:
    config = json.dumps(records[0].meta.get("spec"), indent=1, sort_keys=True, ensure_ascii=False)
    lines = [{"name": record.name, "facts": _facts(record)} for record in records]
    return {"id": name, "curve": draw(records), "records": lines, "config": config}


def _facts(record: Record) -> list[tuple[str, str]]:
    found = ((name, record.meta.get(name)) for name in FACTS)
    return [(name.replace("_", " "), _fact(value)) for name, value in found if value is not None]


def _fact(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_fact(part)}" for name, part in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)


WIDTH, HEIGHT, EDGE = 360, 130, 26
POINTS = 100
"""Points drawn of a curve; each is the mean of the steps it stands for."""
Curve = list[tuple[float, float]]


def draw(records: tuple[Record, ...]) -> Markup:
    """Return the curves, one line a seed, as markup of numbers alone; empty where nothing was logged."""
    curves = [(record.seed, points) for record in records if (points := _thin(_points(record)))]
    if not curves:
        return Markup()
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

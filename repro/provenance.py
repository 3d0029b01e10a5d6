"""Where the numbers of a table come from: recipes, data, devices and versions of the records behind its cells."""

from __future__ import annotations

from collections.abc import Iterable

from repro.measured import fingerprint
from repro.records import Record
from repro.views import CellView, Provenance


def records_of(cells: Iterable[CellView], place: str) -> tuple[Record, ...]:
    """Return the records of a place behind some cells, by name, each once."""
    outcomes = (outcome for cell in cells for outcome in cell.outcomes if outcome.place == place)
    found = {record.name: record for o in outcomes if o.measurement for record in o.measurement.records}
    return tuple(found[name] for name in sorted(found))


def provenance(place: str, records: tuple[Record, ...]) -> Provenance | None:
    """Return where the numbers of some records come from; None for no records."""
    if not records:
        return None

    def every(name: str) -> tuple[str, ...]:
        return tuple(sorted({fingerprint(r.meta[name]) for r in records if r.meta.get(name) not in (None, "")}))

    data = {f"{name} {value[:12]}" for record in records for name, value in record.identity.sources.items()}
    return Provenance(
        place=place,
        recipes=every("recipe"),
        steps=tuple(sorted(every("steps"), key=lambda text: (len(text), text))),
        seeds=tuple(str(seed) for seed in sorted({record.seed for record in records})),
        data=tuple(sorted(data)),
        devices=every("device"),
        precision=every("precision"),
        commits=tuple(commit[:10] for commit in every("git_commit")),
        torch=every("torch"),
        runs=tuple(record.name for record in records),
    )

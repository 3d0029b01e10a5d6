"""A page: every table of one profile, and what concerns no single one."""

from __future__ import annotations

from dataclasses import dataclass, field

from repro.findings import Audit
from repro.views import ClaimView, Picture, Remaining, TableView


@dataclass(frozen=True)
class Page:
    """What the index, the LaTeX document and the HTML page show."""

    views: tuple[TableView, ...]
    faults: tuple[str, ...] = ()
    """Records that cannot be used at all, one sentence each."""
    others: tuple[str, ...] = ()
    """Records that no table shows, by name."""
    audit: Audit = field(default_factory=Audit)
    """The paper against itself."""
    lacks: tuple[Remaining, ...] = ()
    """What this profile was not run on, then what others were not."""
    pictures: tuple[Picture, ...] = ()
    """Figures in their order."""

    @property
    def profile(self) -> str:
        """Name of the profile; empty without tables."""
        return self.views[0].profile if self.views else ""

    @property
    def about(self) -> str:
        """What the profile is, in a few words."""
        return self.views[0].about if self.views else ""

    @property
    def places(self) -> tuple[str, ...]:
        """Places whose records stand side by side."""
        return self.views[0].places if self.views else ()

    @property
    def claims(self) -> tuple[ClaimView, ...]:
        """Every claim, table by table."""
        return tuple(claim for view in self.views for claim in view.claims)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with records, in tables or outside of them, each sentence once."""
        return tuple(dict.fromkeys((*self.faults, *(problem for view in self.views for problem in view.problems))))

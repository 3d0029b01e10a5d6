"""docs/design.md shows the packages as the import contract has them, and names no file that is not there."""

from __future__ import annotations

import re
import tomllib

from tests.support import ROOT

DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def test_the_layers_are_those_of_the_contract() -> None:
    """The block of packages is the contract's list, line by line."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = [found for found in project["tool"]["importlinter"]["contracts"] if found["name"] == "Layers"]
    [block] = re.findall(r"```\n(__main__.*?)```", DESIGN, flags=re.DOTALL)
    assert block.split("\n")[:-1] == contract["layers"]
    assert contract["exhaustive"] is True


def test_every_file_that_is_named_exists() -> None:
    """Paths below repro/ that the text names lie there, so that a reader finds them."""
    named = set(re.findall(r"`([a-z_]+/[a-z_/]+\.(?:py|toml))`", DESIGN))
    assert len(named) > 15
    missing = [name for name in sorted(named) if not (ROOT / "repro" / name).exists()]
    assert missing == []
    folders = set(re.findall(r"^\| `([a-z]+)/` \|", DESIGN, flags=re.MULTILINE))
    there = {path.name for path in (ROOT / "repro").iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders == there

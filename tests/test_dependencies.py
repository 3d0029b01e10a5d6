"""Every declared dependency is imported, every extra is known by its modules, and a missing one is one sentence."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from repro.config.errors import EXTRAS
from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRA = {name: words for name, words in PROJECT["optional-dependencies"].items() if name != "all"}
OWNERS = packages_distributions()
MODULES = {"ray": "ray"}
"""Of packages that the tested set leaves out."""


def _package(requirement: str) -> str:
    return re.split(r"[<>=\\[ ]", requirement)[0].lower()


def _modules(requirement: str) -> set[str]:
    """Return the modules of a package as it is installed here."""
    package = _package(requirement)
    mine = {module for module, owners in OWNERS.items() if package in {o.lower() for o in owners}}
    return mine or {MODULES[package]}


@cache
def _imported() -> frozenset[str]:
    """Return the top modules that any file of the package imports."""
    found: set[str] = set()
    for path in (ROOT / "repro").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(str(node.module).partition(".")[0])
    return frozenset(found)


@pytest.mark.parametrize(
    "requirement", [*PROJECT["dependencies"], *(word for words in EXTRA.values() for word in words)]
)
def test_a_declared_dependency_is_imported(requirement: str) -> None:
    assert _modules(requirement) & _imported(), f"nothing in repro/ imports {requirement}"


def test_extras_are_known_by_their_modules() -> None:
    """The sentence on a missing module names the extra that installs it; all of them are one extra."""
    known = {module: name for name, words in EXTRA.items() for word in words for module in _modules(word) & _imported()}
    assert known == EXTRAS
    (every,) = PROJECT["optional-dependencies"]["all"]
    assert every == f"{PROJECT['name']}[{','.join(EXTRA)}]"


def test_the_package_is_typed() -> None:
    assert (ROOT / "repro" / "py.typed").exists()


@pytest.mark.parametrize(
    ("module", "words", "extra"),
    [
        ("matplotlib", "figure figure1 --out {}", "figures"),
        ("filelock", "run table2 --steps 1 --only gcn-k3 --runs {}", "train"),
        ("pooch", "data fetch voc --data-root {}", "data"),
        ("fvcore", "cost 11 --fvcore", "counts"),
    ],
)
def test_a_missing_extra_is_one_sentence(module: str, words: str, extra: str, tmp_path: Path) -> None:
    """It names the module and the command of pip."""
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from repro.cli.app import main\n"
        f"sys.argv[1:] = {words.format(tmp_path).split()!r}\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f'{module} is not installed here; pip install "gcn-repro[{extra}]"' in done.stderr


def test_networks_predict_and_report_need_no_extra() -> None:
    """Their modules import none of the extras' packages."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({sorted(EXTRAS)!r}))\n"
        "import repro.cli.predict, repro.models, repro.report.build, repro.report.html, repro.evaluation.predictor\n"
        "from repro.cli.app import app\n"
        "app(['report', '--check', '--format', 'md,tex,csv,json,html'], standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr

"""The layout of the tests: each module of repro/ has a test file or a line in docs/testing.md, and the reverse."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch

import pytest

from tests.support import ROOT

PACKAGE, TESTS = ROOT / "repro", ROOT / "tests"
PAGE = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
LISTED = dict(re.findall(r"^\| `repro/(\S+?)(?:\.py)?` \| `tests/(\S+)\.py` \|$", PAGE, flags=re.MULTILINE))
"""Module, or folder with /*, -> test file."""
SEVERAL = set(re.findall(r"^\| `tests/(\S+)\.py` \|", PAGE, flags=re.MULTILINE))
FILES = {path.relative_to(TESTS).with_suffix("").as_posix() for path in TESTS.rglob("test_*.py")}


def _expected(module: str) -> str:
    """Return the test file of a module ("data/io" -> "data/test_io", "data/__init__" -> "data/test_data")."""
    folder, _, name = module.rpartition("/")
    name = folder.rpartition("/")[2] if name == "__init__" else name
    return f"{folder}/test_{name}".removeprefix("/")


def _defines(module: str) -> bool:
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body)


MODULES = {path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py")}
UNTESTED = {m for m in MODULES if _expected(m) not in FILES and (not m.endswith("__init__") or _defines(m))}
"""Modules without a test file of their name; an ``__init__`` of imports alone needs none."""


def test_each_module_has_a_test_file_or_a_line() -> None:
    """A new module needs one of the two."""
    assert {m for m in UNTESTED if not any(fnmatch(m, line) for line in LISTED)} == set()


def test_each_line_is_needed() -> None:
    """A line for a module that has a test file, or is gone, is an error; so is one that names no test file."""
    assert {line for line in LISTED if not any(fnmatch(m, line) for m in UNTESTED)} == set()
    assert set(LISTED.values()) | SEVERAL <= FILES


def test_each_test_file_has_a_module_or_a_line() -> None:
    """A test file is named after a module, or the page names its subject."""
    assert FILES - {_expected(m) for m in MODULES} == SEVERAL


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_test_imports_from_another(name: str) -> None:
    """Helpers are shared through tests/support alone."""
    tree = ast.parse((TESTS / f"{name}.py").read_text(encoding="utf-8"))
    found = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    found += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    wrong = [module for module in found if re.match(r"tests\b(?!\.support\b)", module) or re.match(r"test_", module)]
    assert wrong == []

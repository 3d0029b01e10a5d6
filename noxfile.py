"""The suite's commands: `nox -l` lists every table and figure; all sessions share one environment."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path

import nox

HERE = Path(__file__).parent
LOCK = HERE / "requirements.lock"
HOME = HERE / ".nox" / f"env-{sys.version_info[0]}.{sys.version_info[1]}"
BIN = HOME / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / "python"

PEERS = ("segmentation-models-pytorch>=0.5", "captum>=0.8")
"""Libraries that the benchmarks compare with; nothing else needs them."""

EXTRAS = ("train", "data", "crf", "figures", "counts")
"""Extras of the tested set: all but Ray, whose tests are skipped where it is not installed."""

nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "none"
nox.options.error_on_external_run = False


def _stamp() -> str:
    """Return the hash of the files that define the environment."""
    return hashlib.sha256(LOCK.read_bytes() + (HERE / "pyproject.toml").read_bytes()).hexdigest()


def _try(command: list[str]) -> bool:
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - words fixed below


def _install() -> None:
    """Fill the environment from the lock: by uv, which is quick, else by pip."""
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    lock = ["--require-hashes", "--requirement", str(LOCK)]
    project = ["--no-deps", "--editable", str(HERE)]
    uv = [str(PYTHON), "-m", "uv", "pip", "install", "--quiet", "--python", str(PYTHON)]
    if _try([*pip, "uv"]) and _try([*uv, *lock]) and _try([*uv, *project]):
        return
    print("uv could not install the lock; pip takes over (slower)", flush=True)
    if not (_try([*pip, *lock]) and _try([*pip, *project])):
        sys.exit("the tested set could not be installed: see the message above, then run the same command again")


def environment(session: nox.Session) -> None:
    """Make the shared environment where it is missing or older than the lock."""
    mark = HOME / "stamp"
    if not mark.exists() or mark.read_text() != _stamp():
        session.log(f"installing the tested set into {HOME.relative_to(HERE)} (about 6 GB with torch; once)")
        if sys.version_info < (3, 11):  # noqa: UP036 - nox itself may run on an older Python
            session.error(f"Python 3.11 or newer is needed, nox runs on {sys.version.split()[0]}")
        venv.create(HOME, with_pip=True, clear=True)
        _install()
        mark.write_text(_stamp())


def repro(session: nox.Session, *words: str) -> None:
    """Run `repro` in the shared environment."""
    environment(session)
    session.run(str(PYTHON), "-m", "repro", *words, external=True)


def _pytest(session: nox.Session, *words: str) -> None:
    environment(session)
    session.run(str(PYTHON), "-m", "pytest", *words, external=True)


def _describe(path: Path) -> str:
    """First line of a spec's docstring, read without importing it."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem
    return text.splitlines()[0]


def _holds(path: Path, name: str) -> bool:
    """Tell whether a spec file assigns a name, without importing it."""
    targets = (
        t for s in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(s, ast.Assign) for t in s.targets
    )
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _session(path: Path) -> Callable[[nox.Session], None]:
    """Make the session of one spec file."""
    is_table = _holds(path, "TABLE")

    def run(session: nox.Session) -> None:
        repro(session, "run" if is_table else "figure", path.stem, *session.posargs)

    run.__doc__ = _describe(path)
    return nox.session(name=path.stem, venv_backend="none")(run)


def _order(path: Path) -> tuple[str, int]:
    """Sort table2 before table10."""
    name, number = re.fullmatch(r"([a-z_]+?)(\d*)", path.stem).groups()  # type: ignore[union-attr]
    return (name if number else "~" + name, int(number or 0))


_SPECS = [
    *(HERE / "repro" / "paper" / "tables").glob("[a-z]*.py"),
    *(path for path in (HERE / "repro" / "figures").glob("[a-z]*.py") if _holds(path, "FIGURE")),
]
for _path in sorted(_SPECS, key=_order):
    globals()[_path.stem] = _session(_path)


@nox.session(venv_backend="none")
def report(session: nox.Session) -> None:
    """Render every table, figure and claim from the records."""
    environment(session)
    session.run(str(PYTHON), "-m", "repro.report", *session.posargs, external=True)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run the tests."""
    _pytest(session, "-n", "auto", *session.posargs)


@nox.session(venv_backend="none")
def stress(session: nox.Session) -> None:
    """Kill runs with -9 at random moments, 50 times (REPRO_STRESS), and lose a Ray node: the same bits."""
    _pytest(session, "-m", "stress", "-s", *session.posargs)


@nox.session(venv_backend="none")
def counts(session: nox.Session) -> None:
    """Check every reported parameter and multiply-add count."""
    _pytest(session, "-k", "printed or counts", "tests/models/test_flops.py", *session.posargs)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Check style: ruff with every rule, and its formatter."""
    environment(session)
    session.run(str(PYTHON), "-m", "ruff", "check", external=True)
    session.run(str(PYTHON), "-m", "ruff", "format", "--check", external=True)


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Check types: mypy, strict."""
    environment(session)
    session.run(str(PYTHON), "-m", "mypy", external=True)


@nox.session(venv_backend="none")
def imports(session: nox.Session) -> None:
    """Check that each layer imports only from those below it."""
    environment(session)
    session.run(str(BIN / "lint-imports"), external=True)


def _peers(session: nox.Session) -> None:
    """Install the libraries that the benchmarks compare with, where that is possible."""
    peers = [str(PYTHON), "-m", "uv", "pip", "install", "--quiet", "--python", str(PYTHON), *PEERS]
    if not _try(peers):
        session.warn(f"{', '.join(PEERS)} could not be installed: what is measured against them is left out")


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Measure the suite's speed beside its peers': all benchmarks but that of a GPU, or those named after `--`."""
    environment(session)
    _peers(session)
    folder = HERE / "benchmarks"
    names = session.posargs or sorted(path.stem for path in folder.glob("[a-z]*.py") if path.stem != "gpu")
    for name in (*names, "_goals"):
        session.run(str(PYTHON), str(folder / f"{name}.py"), external=True)


@nox.session(venv_backend="none")
def gpu(session: nox.Session) -> None:
    """On a CUDA device, in three minutes: the tests that need one, then steps, evaluation and peers."""
    began = time.monotonic()
    environment(session)
    _peers(session)
    _pytest(session, "-m", "not stress", "tests/test_gpu.py", "-q")
    left = max(60.0, 170.0 - (time.monotonic() - began))
    words = session.posargs or ["--seconds", f"{left:.0f}"]
    session.run(str(PYTHON), str(HERE / "benchmarks" / "gpu.py"), *words, external=True)
    session.run(str(PYTHON), str(HERE / "benchmarks" / "_goals.py"), external=True)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Write the hashed lock of the tested set anew."""
    environment(session)
    session.run(
        str(PYTHON), "-m", "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header",
        "--python-version", "3.11", "pyproject.toml", *(f"--extra={name}" for name in EXTRAS),
        "--group", "test", "--group", "lint", "--upgrade", "--output-file", str(LOCK), external=True,
    )  # fmt: skip

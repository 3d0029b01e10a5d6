"""A bundle there and back in processes; mistakes of its commands."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from safetensors.torch import load_file

from repro.config.machine import Machine
from repro.results import records
from repro.runner.bundle import unpacking
from repro.runner.bundle.manifest import NAME
from tests.support import ROOT
from tests.support.bundles import edited, make_bundle, names_in, packed_results, write_consistent_record

OPTIONAL = (
    "pydensecrf", "scipy", "pandas", "matplotlib", "pycocotools", "seaborn", "fvcore", "torchvision", "pooch",
    "requests", "jinja2", "cityscapesscripts", "ray",
)  # fmt: skip
"""What a machine without network need not have."""


def _bare(folder: Path) -> dict[str, str]:
    """Return an environment in which the optional packages cannot be imported and this checkout is not on the path."""
    folder.mkdir(exist_ok=True)
    lines = f"import sys\nfor name in {OPTIONAL!r}:\n    sys.modules[name] = None\n"
    (folder / "sitecustomize.py").write_text(lines, encoding="utf-8")
    left = {name: value for name, value in os.environ.items() if not name.startswith("REPRO_")}
    return {**left, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}


def _bundle(words: list[str], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "repro", "bundle", *words]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300)


def test_there_and_back_with_the_required_packages_alone(tmp_path: Path) -> None:
    """Made here, run in a fresh folder, killed after its first record, run on, merged; the weights come too."""
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = ["make", "table1", "--steps", "20", "--only", "base,gcn-k3", "--out", str(tmp_path / "b.tar")]
    made = _bundle([*words, "--runs", str(tmp_path / "runs")], ROOT, here)
    assert made.returncode == 0, made.stderr
    fresh = tmp_path / "fresh"
    with tarfile.open(tmp_path / "b.tar") as tar:
        tar.extractall(fresh, [m for m in tar if m.name.startswith("repro/")], filter="data")
    env = _bare(tmp_path / "bare")
    words = ["run", "../b.tar", "--out", "out", "--work", "work", "--jobs", "1", "--device", "cpu", "--bring", "base"]
    slot = subprocess.Popen([sys.executable, "-m", "repro", "bundle", *words], cwd=fresh, env=env)
    archived = fresh / "out/records.tar.gz"
    deadline = time.monotonic() + 240
    while not archived.exists() and slot.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    slot.kill()
    slot.wait()
    first = {name.split("/")[0] for name in names_in(archived) if "/" in name}
    assert len(first) == 1
    done = _bundle([*words, "--time-limit", "4m"], fresh, env)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "1 run finished, 1 before, 0 unfinished, 0 not begun, 0 left out" in done.stdout
    back = sorted(map(str, (fresh / "out").glob("*.tar*")))
    assert len(back) == 2
    merged = _bundle(["merge", *back, "--runs", str(tmp_path / "runs")], ROOT, here)
    assert merged.returncode == 0, merged.stderr
    found = records.load({"local": tmp_path / "runs/local"}).records
    assert len(found) == 2
    manifest = unpacking.read([tmp_path / "b.tar"])[0]
    assert {record.meta["git_commit"] for record in found} == {manifest.commit}
    base = next(record for record in found if "base" in record.name)
    mine = load_file(base.folder / "weights.safetensors")
    trained = load_file(fresh / "work/runs/local" / base.name / "weights.safetensors")
    assert mine.keys() == trained.keys()
    assert all(bool((mine[name] == trained[name].to(mine[name].dtype)).all()) for name in mine)
    again = _bundle(["merge", *back, "--runs", str(tmp_path / "runs")], ROOT, here)
    assert "0 records adopted, 2 there already" in again.stdout


def test_mistakes_end_with_two_and_one_sentence(camvid: Machine, tmp_path: Path) -> None:
    """Through the command: a changed bundle, a merge that contradicts, a limit that is none, click that is missing."""
    env = _bare(tmp_path / "bare") | {"PYTHONPATH": f"{tmp_path / 'bare'}{os.pathsep}{ROOT}"}
    path = make_bundle(camvid, tmp_path / "b.tar").archives[0]
    edited(path, lambda n, d: d.replace(b'"seed":0', b'"seed":7') if n == NAME else d)
    write_consistent_record(tmp_path / "runs/local", 0)
    other = packed_results(tmp_path / "r.tar.gz", write_consistent_record(tmp_path / "slot", 0, right=2))
    for words, sentence in (
        (["run", str(path), "--out", "out"], "was changed after the bundle was made"),
        (["run", str(path), "--out", "out", "--time-limit", "soon"], "--time-limit soon: give a length of time"),
        (
            ["run", str(path), "--out", "out", "--device", "gpu"],
            "'--device': 'gpu' is not one of 'auto', 'cpu'",
        ),
        (["run", str(path), "--out", "out", "--jobs", "0"], "'--jobs': 0 is not in the range x>=1"),
        (["merge", str(other), "--runs", str(tmp_path / "runs")], "stands here with other counts"),
        (["merge", str(other), "--into", "elsewhere"], "'--into': 'elsewhere' is not one of 'local', 'reference'"),
    ):
        done = _bundle(words, tmp_path, env)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert sentence in done.stderr
    (tmp_path / "bare/sitecustomize.py").write_text("import sys\nsys.modules['click'] = None\n", encoding="utf-8")
    done = _bundle(["run", str(path), "--out", "out"], tmp_path, env)
    assert (done.returncode, done.stderr) == (
        2, "repro: click is not installed for this Python; pip install click\n",
    )  # fmt: skip

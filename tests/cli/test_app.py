"""The command line as a user meets it: real processes, exit codes, one sentence for a mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from rich.console import Console

from repro.cli import app as cli
from tests.support import ROOT


def _repro(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    if "REPRO_DATA" not in environment:
        env.pop("REPRO_DATA", None)
    command = [sys.executable, "-m", "repro", *words]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder in which one short run of Table 2 was made, and what it printed."""
    folder = tmp_path_factory.mktemp("ran")
    return folder, _repro("run", "table2", "--steps", "3", "--only", "gcn-k3", "--jobs", "1", cwd=folder)


def test_list_names_every_table_and_figure() -> None:
    """All eleven tables and six figures, each with a line, as text and as JSON."""
    done = _repro("list", "--json")
    names = {entry["name"]: entry["about"] for entry in json.loads(done.stdout)}
    assert {f"table{n}" for n in range(1, 12)} | {f"figure{n}" for n in range(1, 7)} <= set(names)
    assert all(about for about in names.values())
    assert "table11" in _repro("list").stdout


@pytest.mark.parametrize("width", [60, 80, 120])
def test_help_names_every_command_and_cuts_no_sentence(width: int) -> None:
    """Each command stands once, under a heading, with its whole line."""
    shown = CliRunner().invoke(cli.app, ["--help"], terminal_width=width).output
    lines = [line.split()[0] for line in shown.splitlines() if line.startswith("  ") and line[2:3].isalpha()]
    names = [name for names in cli.SECTIONS.values() for name in names]
    assert all(lines.count(name) == 1 for name in names)
    with click.Context(cli.app) as context:
        assert all(command.name == name for name in names if (command := cli.app.get_command(context, name)))
    assert "..." not in shown.replace("[ARGS]...", "")


def test_light_commands_do_not_import_torch() -> None:
    """`list`, `plan`, `status`, `claims`, `audit` and the report start without torch."""
    code = (
        "import sys; from repro.cli.app import app; from click.testing import CliRunner; r = CliRunner();"
        "[r.invoke(app, w.split(), catch_exceptions=False) for w in"
        " ('list', 'plan all', 'status', 'claims', 'audit --json')];"
        "import repro.report.build;"
        "sys.exit(any(m in sys.modules for m in ('torch', 'torchvision', 'lightning_fabric')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_planning_starts_without_what_reads_images_and_counts() -> None:
    """`list`, `plan` in every profile and `status` import no numpy, OpenCV, PIL or rich.progress."""
    code = (
        "import sys; from repro.cli.app import app; from repro.config.profiles import PROFILES\n"
        "for words in ('list', 'status', *('plan all -p ' + name for name in PROFILES)):\n"
        "    app(words.split(), standalone_mode=False)\n"
        "heavy = {'numpy', 'cv2', 'PIL', 'scipy', 'pandas', 'rich.progress', 'subprocess'}\n"
        "sys.exit(str(sorted(heavy & sys.modules.keys())) if heavy & sys.modules.keys() else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "table12"), "no table of the paper"),
        (("run", "banana"), "no table of the paper"),
        (("plan", "table2", "--profile", "voc"), "'shapes', 'camvid_half', 'camvid_short', 'camvid', 'paper'"),
        (("plan", "table2", "--recipe", "best"), "choose from fast"),
        (("plan", "table2", "--seeds", "0"), "'--seeds': 0 is not in the range 1<=x<=1000"),
        (("plan", "table2", "--seeds", "1000000"), "'--seeds': 1000000 is not in the range 1<=x<=1000"),
        (("plan", "table2", "--steps", "-4"), "'--steps': -4 is not in the range x>=1"),
        (("run", "table2", "--steps", "0"), "'--steps': 0 is not in the range x>=1"),
        (("figure", "kernel_curve", "--steps", "0"), "'--steps': 0 is not in the range x>=1"),
        (("submit", "table8", "--steps", "0"), "'--steps': 0 is not in the range x>=1"),
        (("submit", "table8", "--seed", "-1"), "'--seed': -1 is not in the range x>=0"),
        (("predict", "x.png", "--key", "x", "--seed", "-1"), "'--seed': -1 is not in the range x>=0"),
        (("run", "table2", "--jobs", "0"), "'--jobs': 0 is not in the range x>=1"),
        (("crf-grid", "--key", "x", "--images", "0"), "'--images': 0 is not in the range x>=1"),
        (("vrf-area", "table1", "--images", "0"), "'--images': 0 is not in the range x>=1"),
        (("vrf-area", "table1", "--smallest", "0"), "'--smallest': 0 is not in the range x>=1"),
        (("vrf", "x.png", "--key", "x", "--stride", "0"), "'--stride': 0 is not in the range x>=1"),
        (("vrf", "x.png", "--key", "x", "--occluder", "-3"), "'--occluder': -3 is not in the range x>=1"),
        (("data", "boundary", ".", "--within", "0"), "'--within': 0 is not in the range 1<=x<=100"),
        (("run", "table2", "--stride-in", "conv3"), "'conv3' is not one of 'conv1', 'conv2'"),
        (("run", "table2", "--device", "tpu"), "'--device': 'tpu' is not one of 'auto', 'cpu', 'cuda'"),
        (("run", "table2", "--device", "cuda"), "torch sees no CUDA device here"),
        *(
            ((*words, "--device", device), says)
            for words in (
                ("predict", "x.png", "--key", "x"),
                ("vrf", "x.png", "--key", "x"),
                ("vrf-area", "table1"),
                ("figure", "figure3"),
            )
            for device, says in (
                ("tpu", "is not one of 'auto', 'cpu'"),
                ("cuda", "torch sees no CUDA device here"),
            )
        ),
        (("run", "table2", "--launcher", "slurm"), "'--launcher': 'slurm' is not one of 'local', 'ray'"),
        (("run", "table2", "--address", "host:6379"), "only --launcher ray has an address"),
        (("run", "table2", "--only", "gnc"), "no run of this plan"),
        (
            ("run", "table2", "--data-root", "/nowhere"),
            "Directory '/nowhere' does not exist",
        ),
        (
            ("run", "table2", "--weights", "/nowhere"),
            "File '/nowhere' does not exist",
        ),
        (("retract", "nothing", "--why", "x"), "no record of this name"),
        (("run", "table2", "--colour", "red"), "No such option"),
        (("run",), "Missing argument"),
        (("runn", "table2"), "No such command"),
        (("plan", "table2", "--seeds", "many"), "not a valid integer"),
        (("plan", "-1"), "may be below zero"),
        (("plan", "table2", "--tflops", "nan"), "'--tflops': nan is not a number"),
        (("plan", "table2", "--tflops", "inf"), "'--tflops': inf is not in the range"),
        (("plan", "table2", "--launch-us", "-1"), "'--launch-us': -1.0 is not in the range"),
        (("run", "table2", "--checkpoint-seconds", "-1"), "'--checkpoint-seconds': -1.0 is not in the range x>=0"),
        (("run", "table2", "--checkpoint-seconds", "nan"), "'--checkpoint-seconds': nan is not a number"),
        (("run", "table2", "--threads", "1025"), "'--threads': 1025 is not in the range 1<=x<=1024"),
        (("vrf", "x.png", "--key", "x", "--threshold", "0"), "'--threshold': 0.0 is not in the range 0<x<=1"),
        (("data", "check", "vox"), "'vox' is not one of 'shapes', 'voc', "),
        (("run", "figure2"), "'figure2' is a figure, not a table; draw it by: repro figure figure2"),
        (("figure", "table2"), "'table2' is a table, not a figure; run it by: repro run table2"),
        (("table2",), "did you mean repro run table2?"),
        (("figure2",), "did you mean repro figure figure2?"),
        (("runn", "table2"), "No such command 'runn'; did you mean run?"),
        (("plan", "tabel2"), "did you mean table2?"),
        (("figure", "figur2"), "did you mean figure2?"),
        (("plan", "table2", "-p", "camvid_hlf"), "did you mean camvid_half?"),
        (("plan", "table2", "--recipe", "fats"), "did you mean fast?"),
        (("report", "tabel2", "--runs", str(ROOT / "runs")), "did you mean table2?"),
        (("claims", "--verdict", "hold"), "did you mean holds?"),
        (("predict", "x.png", "--runs", str(ROOT / "runs"), "--key", "34ffa3009"), "did you mean 34ffa30094?"),
        (("plan", "table2", "--runs", __file__), "is a file"),
        (("run", "table2", "--profile", "camvid_half"), "give --weights FILE"),
        (("retract", "nothing", "--why", " "), "needs its reason"),
        (("cost", "table1"), "has no counts"),
        (("export", "--key", "x", "--out", "x.pth"), "ends in .safetensors"),
        (("submit", "table8", "--check", __file__), "needs a data root"),
        (("submit", "table8", "--check", "x.tar.gz"), "'--check': File 'x.tar.gz' does not exist"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    words: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The sentence names the thing and the remedy; nothing is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REPRO_DATA", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["repro", *words])
    monkeypatch.setattr(cli, "err", Console(file=sys.stderr, width=10_000))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert says in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "start", "offered"),
    [
        (("plan",), "table1", ["table1", "table10", "table11"]),
        (("plan", "-p"), "camvid_", ["camvid_half", "camvid_short"]),
        (("figure",), "figure", [f"figure{n}" for n in range(1, 7)]),
        (("plan", "-p", "paper", "--recipe"), "", ["paper", "fast", "imagenet"]),
        (("predict", "--key"), "34ffa3", ["34ffa30094"]),
        (("retract",), "camvid_short-gcn-k15-br-34", ["camvid_short-gcn-k15-br-34ffa30094-s0"]),
        (("verify",), "table9", ["table9"]),
        (("report",), "aud", ["audit"]),
        (("claims", "--verdict"), "un", ["undecided"]),
        (("run", "table2", "--device"), "c", ["cpu", "cuda"]),
    ],
)
def test_the_shell_completes_names_and_values(words: tuple[str, ...], start: str, offered: list[str]) -> None:
    """Tables, profiles, figures, recipes, verdicts, and keys of the records below runs/."""
    completed = ShellComplete(cli.app, {}, "repro", "_REPRO_COMPLETE").get_completions(list(words), start)
    assert [item.value for item in completed] == offered


def test_claims_and_audit_are_filtered_by_table_and_verdict() -> None:
    """`--verdict` and tables leave out the rest."""
    runner = CliRunner()
    claims = json.loads(runner.invoke(cli.app, ["claims", "2,4", "--verdict", "holds", "--json"]).stdout)
    assert {claim["table"] for claim in claims} == {2, 4}
    assert {claim["verdict"] for claim in claims} == {"holds"}
    found = json.loads(runner.invoke(cli.app, ["audit", "3", "--verdict", "open", "--json"]).stdout)["findings"]
    assert {finding["name"] for finding in found} == {"below-baseline", "rests-on-rounding"}
    every = json.loads(runner.invoke(cli.app, ["audit", "--json"]).stdout)
    assert len(every["findings"]) > 40
    assert every["readings"]


def test_a_damaged_record_can_be_retracted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read can be withdrawn by its name; what its text holds is no markup of the terminal."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "local" / "shapes-x-s0"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text('{"schema": "[/x]"}', encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["repro", "status", "table2"])
    cli.main()
    monkeypatch.setattr(sys, "argv", ["repro", "retract", "shapes-x-s0", "--why", "damaged"])
    cli.main()
    assert (folder / "retracted.json").exists()


def test_a_mistake_in_a_real_process_has_no_traceback(tmp_path: Path) -> None:
    """The same through the shell: exit code 2, one line."""
    done = _repro("run", "banana", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_counts_as_json() -> None:
    """`repro cost` gives each count cell with row, column, print, ours and verdict."""
    cells = json.loads(_repro("cost", "2,4", "--json").stdout)["cells"]
    assert len(cells) == 12
    assert {cell["verdict"] for cell in cells} == {"matches"}
    assert {"table": 2, "row": "# of Params (GCN)", "column": "7", "printed": "608K", "ours": 608286,
            "verdict": "matches"} in cells  # fmt: skip


def test_a_short_run_leaves_a_record_and_shows_the_table(
    ran: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """The record holds its spec, its environment and its counts; printed, reference and local stand side by side."""
    folder, done = ran
    assert done.returncode == 0, done.stderr + done.stdout
    records = list((folder / "runs" / "local").glob("*/record.json"))
    assert len(records) == 1
    meta = json.loads(records[0].read_text(encoding="utf-8"))
    assert meta["status"] == "ok"
    assert meta["steps"] == 3
    assert meta["spec"]["recipe"]["name"] == "fast"
    assert set(meta["data"]) == {"shapes/train", "shapes/test"}
    assert {p.name for p in records[0].parent.iterdir()} == {
        "record.json", "counts.npz", "log.jsonl", "weights.safetensors"
    }  # fmt: skip
    assert not any((folder / "runs" / "local" / ".work").glob("*/"))
    for word in ("paper", "reference", "local", "70.1", "260,694", "matches"):
        assert word in done.stdout


def test_a_second_call_trains_nothing(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """What has a record is not run again; `status` and `plan` know it."""
    folder, _ = ran
    before = {p: p.stat().st_mtime_ns for p in (folder / "runs").rglob("record.json")}
    done = _repro("run", "table2", "--steps", "3", "--only", "gcn-k3", cwd=folder)
    assert done.returncode == 0
    assert {p: p.stat().st_mtime_ns for p in (folder / "runs").rglob("record.json")} == before
    jobs = json.loads(_repro("plan", "table2", "--steps", "3", "--json", cwd=folder).stdout)["jobs"]
    assert [job["done"] for job in jobs if "gcn-k3" in job["name"]] == [True]
    assert not any(job["done"] for job in jobs if "conv" in job["name"])


def test_missing_data_is_said_and_the_rest_is_kept(tmp_path: Path) -> None:
    """A data root without the data set ends with a sentence naming it, exit code 2, no record."""
    (tmp_path / "data").mkdir()
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"x")
    done = _repro(
        "run", "table2", "--profile", "camvid", "--steps", "2", "--only", "gcn-k7", "--jobs", "1",
        "--data-root", str(tmp_path / "data"), "--weights", str(weights), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "camvid" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.glob("runs/local/*/record.json"))


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupt_keeps_what_was_done_and_goes_on_later(tmp_path: Path) -> None:
    """Ctrl-C: exit code 130, no traceback, a checkpoint; `status` names the unfinished run."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "repro", "run", "table2", "--steps", "100000", "--only", "gcn-k3", "--jobs", "1"]
    process = subprocess.Popen(
        words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    log = tmp_path / "runs" / "local" / ".work"
    deadline = time.monotonic() + 120
    while not list(log.glob("*/log.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert "goes on from its checkpoint" in output
    assert list(log.glob("*/checkpoint-*.pt"))
    assert "gcn-k3" in _repro("status", "table2", cwd=tmp_path).stdout

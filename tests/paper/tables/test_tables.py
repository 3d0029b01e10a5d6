"""The tables: labels join the print, experiments are shared, claims agree with the paper's own numbers."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from repro.config import profiles
from repro.config.errors import SpecError
from repro.config.experiment import Evaluation, Training
from repro.config.hashing import key
from repro.config.networks import Classifier
from repro.figures import all_figures
from repro.paper import printed as paper
from repro.paper import tables
from repro.paper.schema import Cited, Claim, Cost, Figure, Layout, Score, Submitted, Table
from repro.paper.tables import all_tables, paper_tables, select_tables, table_docs
from repro.runner.plan import fills

TABLES = paper_tables()
OWN = {number: table for number, table in all_tables().items() if table.own}
CLAIMS = [(number, claim) for number, table in TABLES.items() for claim in table.claims]
FOLDER = Path(tables.__file__).parent


def scores(*numbers: int) -> list[Score]:
    """Return the score cells of some tables, in order of print."""
    return [cell for n in numbers for cell in TABLES[n].scores()]


def test_all_tables() -> None:
    """There are eleven, in order, each in the file of its number."""
    assert list(TABLES) == list(range(1, 12))
    assert {f"table{n}" for n in TABLES} == {name for name in table_docs() if name.startswith("table")}


def test_own_tables() -> None:
    """The suite's own tables stand after the paper's, have a name and a file of it, and nothing in print."""
    assert [table.own for table in OWN.values()] == ["control", "costs", "convergence", "fields"]
    assert min(OWN) > max(TABLES)
    assert {table.own for table in OWN.values()} <= set(table_docs())
    assert not any(paper.cells(number) for number in OWN)
    assert not set(paper.numbers()) & set(OWN)


def test_control_shares_table_1() -> None:
    """Its first row is Table 1, training for training; its second is the same networks on other data."""
    control = next(table for table in OWN.values() if table.own == "control")
    printed, outline, texture = (
        [cell.training for cell in row.cells if isinstance(cell, Score)] for row in (*TABLES[1].rows, *control.rows)
    )
    assert outline == printed
    assert [training.model for training in texture] == [training.model for training in printed]
    assert {training.data for training in texture} == {"control"}
    runs = [profiles.get("shapes").resolve(training) for training in (*printed, *texture)]
    assert len({run.key for run in runs if run is not None}) == len(runs)


def test_own_tables_are_chosen_by_name() -> None:
    """By the name alone; the number that orders it is no word of the user's."""
    control = next(table for table in OWN.values() if table.own == "control")
    assert select_tables(["control", "1"]) == [TABLES[1], control]
    assert select_tables(["all"]) == [*TABLES.values(), *OWN.values()]
    with pytest.raises(SpecError, match="choose table1 to table11, control, costs, convergence, fields, or all"):
        select_tables([str(control.number)])


@pytest.mark.parametrize("name", ["costs", "convergence", "fields"])
def test_own_tables_train_nothing_of_their_own(name: str) -> None:
    """What the text says without a table of it is read off networks that the paper's tables train anyway."""
    table = next(table for table in OWN.values() if table.own == name)
    trained = {key(score.training) for score in scores(1, 2)}
    assert all(key(cell.training) in trained for cell in table.scores())
    assert all(isinstance(cell, Score | Cost) for cell in table.cells())


def test_claims_are_quoted() -> None:
    """A claim has the paper's words and its section, unless it is read off a table or is the suite's own."""
    for table in all_tables().values():
        for claim in table.claims:
            assert len(claim.quote.split()) <= 20
            assert claim.quote or claim.where.endswith(("Table 1", "Table 3", "Table 7", "Table 9", "the suite's own"))


@pytest.mark.parametrize("number", TABLES)
def test_labels_join_in_both_directions(number: int) -> None:
    """No printed cell lacks a spec, no cell lacks print."""
    table = TABLES[number]
    held = {
        (row.label, column)
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if cell is not None
    }
    assert held == set(paper.cells(number))


@pytest.mark.parametrize("number", TABLES)
def test_laid_out_as_printed(number: int) -> None:
    """Rows, columns and corner stand in the order of print."""
    table = TABLES[number]
    rows = list(dict.fromkeys(row for row, _ in paper.cells(number)))
    assert [row.label for row in table.rows] == rows
    assert table.columns == paper.columns(number)
    assert table.corner == paper.heading(number)["corner"]


def test_units_go_with_cells() -> None:
    """Parameters stand under counts, MFLOPs under multiply-adds, words under layouts, per cent under the rest."""
    units = {"params": "params", "macs": "MFLOPs"}
    for number, table in TABLES.items():
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                if cell is not None:
                    text = paper.printed(number, row.label, column)
                    expected = units[cell.what] if isinstance(cell, Cost) else "" if isinstance(cell, Layout) else "%"
                    assert text is not None
                    assert text.unit == expected


def test_nineteen_trainings() -> None:
    """Tables 1-5 print 33 scores of mIoU from 19 trainings."""
    found = scores(1, 2, 3, 4, 5)
    assert sum(score.metric == "miou" for score in found) == 33
    assert len({key(score.training) for score in found}) == 19


def test_one_experiment_one_number() -> None:
    """Cells of one key carry one printed number, wherever they stand."""
    printed: dict[str, set[str]] = {}
    for number, table in TABLES.items():
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                text = paper.printed(number, row.label, column)
                if isinstance(cell, Score | Cost) and text is not None:
                    printed.setdefault(key(cell), set()).add(text.text)
    assert {name: texts for name, texts in printed.items() if len(texts) > 1} == {}


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ((1, "Score", "7"), (2, "Score (GCN)", "7")),
        ((1, "Score", "11"), (3, "Score (GCN)", "11")),
        ((1, "Score", "7"), (4, "Score", "2048 (GCN)")),
        ((1, "Score", "base"), (5, "Baseline", "Overall (IoU)")),
        ((1, "Score", "15"), (5, "GCN", "Overall (IoU)")),
        ((2, "Score (Conv)", "3"), (3, "Score (Stack)", "3")),
        ((3, "Score (Stack)", "7"), (4, "Score", "2048")),
        ((2, "# of Params (GCN)", "7"), (4, "# of Params", "2048 (GCN)")),
    ],
)
def test_shared_experiments(here: tuple[int, str, str], there: tuple[int, str, str]) -> None:
    """The same experiment has the same key in two tables."""
    a, b = (TABLES[number].cell(row, column) for number, row, column in (here, there))
    assert a is not None
    assert key(a) == key(b)


def test_distinct_experiments() -> None:
    """BR, a pretrained start and an earlier stage each make another training."""
    trainings = [
        TABLES[1].cell("Score", "15"),
        TABLES[5].cell("GCN + BR", "Overall (IoU)"),
        TABLES[6].cell("Seg. Score (GCN + BR)", "ResNet50"),
        TABLES[7].cell("Stage-2(%)", "GCN"),
        TABLES[7].cell("Stage-2(%)", "GCN + BR"),
    ]
    assert len({key(cell.training) for cell in trainings if isinstance(cell, Score)}) == 5


def test_stages_chain() -> None:
    """In Tables 7 and 9 each stage starts from the one before, on other data."""
    for number, stages in ((7, 3), (9, 2)):
        table = TABLES[number]
        for column in table.columns:
            chain = [table.cell(f"Stage-{i}(%)", column) for i in range(1, stages + 1)]
            trainings = [cell.training for cell in chain if isinstance(cell, Score)]
            assert [training.init for training in trainings] == [None, *trainings[:-1]]
            assert len({training.data for training in trainings}) == stages


def test_protocols_share_the_weights() -> None:
    """Multi-scale and CRF rows evaluate the last stage again; they train nothing."""
    for number, rows in (
        (7, ("Stage-3(%)", "Stage-3-MS(%)", "Stage-3-MS-CRF(%)")),
        (9, ("Stage-2(%)", "Stage-2-MS(%)", "Stage-2-MS-CRF(%)")),
    ):
        cells = [TABLES[number].cell(row, "GCN + BR") for row in rows]
        found = [cell for cell in cells if isinstance(cell, Score)]
        assert len({key(cell.training) for cell in found}) == 1
        assert [(len(cell.evaluation.scales) > 1, cell.evaluation.crf is not None) for cell in found] == [
            (False, False),
            (True, False),
            (True, True),
        ]


@pytest.mark.parametrize(("test", "val", "stage"), [(8, 7, "Stage-3-MS-CRF(%)"), (10, 9, "Stage-2-MS-CRF(%)")])
def test_what_is_submitted(test: int, val: int, stage: str) -> None:
    """Our row of a test set is the last row on validation, on other images."""
    ours, best = TABLES[test].cell("Our approach", "mean-IoU(%)"), TABLES[val].cell(stage, "GCN + BR")
    assert isinstance(ours, Submitted)
    assert isinstance(best, Score)
    assert ours.training == best.training
    assert ours.evaluation.data != best.evaluation.data
    assert ours.evaluation.crf == best.evaluation.crf
    assert ours.evaluation.crops == best.evaluation.crops
    others = [cell for row in TABLES[test].rows for cell in row.cells if cell is not ours]
    assert all(isinstance(cell, Cited) for cell in others)


def test_segmentation_starts_from_its_classifier() -> None:
    """In Table 6 each segmenter starts from the classifier of its own column."""
    for column in TABLES[6].columns:
        first, *rest = (TABLES[6].cell(row.label, column) for row in TABLES[6].rows)
        assert isinstance(first, Score)
        assert isinstance(first.training.model, Classifier)
        assert all(isinstance(cell, Score) and cell.training.init == first.training for cell in rest)


@pytest.mark.parametrize(("number", "claim"), CLAIMS, ids=[claim.name for _, claim in CLAIMS])
def test_claim_in_print(number: int, claim: Claim) -> None:
    """A claim holds on the printed numbers exactly where it is not said to be refuted by them."""
    assert paper.verdict(claim, number) is not bool(claim.refuted_in_print)


def test_claims_are_many_and_named_once() -> None:
    """At least 25 claims, each with its own name, place and predicate."""
    assert len(CLAIMS) >= 25
    assert max(Counter(claim.name for _, claim in CLAIMS).values()) == 1
    assert all(claim.says and claim.where and claim.contrasts for _, claim in CLAIMS)
    assert {number for number, _ in CLAIMS} == set(TABLES)


@pytest.mark.parametrize(
    ("name", "lead", "printed"),
    [
        ("k-benefit", "margin_k15", None),
        ("k-margin", "margin_k15", None),
        ("resnet-gcn-better-segmenter", "margin_resnet_gcn", None),
        ("voc-lead", "voc_test", "voc_test_previous"),
        ("cityscapes-lead", "cityscapes_test", "cityscapes_test_previous"),
    ],
)
def test_bound_is_the_margin_of_the_text(name: str, lead: str, printed: str | None) -> None:
    """A stated margin is asked for to half its last place."""
    (contrast,) = next(claim for _, claim in CLAIMS if claim.name == name).contrasts
    margin = paper.text_number(lead).value - (paper.text_number(printed).value if printed else 0)
    assert contrast.above == pytest.approx(margin - paper.text_number(lead).printed.step / 2)


def test_spec_holds_no_score() -> None:
    """No file of a table writes down a score or a count that the paper prints."""
    printed = {cell.value for number in TABLES for cell in paper.cells(number).values() if cell.value is not None}
    scored = {value for value in printed if value != int(value) or value > 2048}
    for path in FOLDER.glob("table*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        numbers = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not {value for value in numbers if isinstance(value, int | float)} & scored, path.name
        texts = [value for value in numbers if isinstance(value, str)]
        assert not [text for text in texts if re.search(r"\b\d\d\.\d\b|\d{3,}K", text)], path.name


def test_figures() -> None:
    """The paper's six figures come first, then those it lacks; each names its drawing once."""
    found = all_figures()
    assert list(found)[:6] == [f"figure{n}" for n in range(1, 7)]
    beside = {"boundary_profile", "class_gains", "cost_curve", "field_area", "kernel_curve", "size_profile"}
    assert {*beside, "training_curves"} <= set(found)
    assert all(isinstance(figure, Figure) and figure.name == name for name, figure in found.items())


def test_figures_need_no_training_of_their_own() -> None:
    """Every network that a figure shows is trained for a table."""
    trained = {key(score.training) for score in scores(*range(1, 10))}
    shown = {key(training) for figure in all_figures().values() for training in figure.trainings}
    assert shown <= trained


def test_every_role_is_played_in_the_paper_profile() -> None:
    """The `paper` and `shapes` profiles know every data role that a table names."""
    for name in ("paper", "shapes"):
        assert all(fills(profiles.get(name), table) for table in TABLES.values()), name
    assert all(fills(profiles.get("shapes"), table) for table in OWN.values())
    assert [table.own for table in OWN.values() if not fills(profiles.get("paper"), table)] == ["control"]


def test_docs_are_first_lines() -> None:
    """The listing shows one sentence a file, read without importing it."""
    docs = table_docs()
    assert docs["table3"] == "Table 3: GCN against stacks of 3 x 3 convolutions of the same reach."
    assert all(line.endswith((".", ")")) and len(line) < 120 for line in docs.values())
    assert list(docs).index("table2") < list(docs).index("table10")


def test_new_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table is added by adding one file; a file without a table, or of a number in use, is refused by name."""
    package = tmp_path / "repro_specs_copy"
    package.mkdir()
    source = (FOLDER / "__init__.py").read_text(encoding="utf-8")
    (package / "__init__.py").write_text(source, encoding="utf-8")
    line = 'from repro.paper.schema import Table\nTABLE = Table({}, "mine", "k", (), ())\n'
    (package / "table12.py").write_text('"""Table 12: mine."""\n' + line.format(12), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import repro_specs_copy as mine

    assert mine.all_tables() == {12: Table(12, "mine", "k", (), ())}
    assert mine.table_docs() == {"table12": "Table 12: mine."}
    (package / "table13.py").write_text(line.format(12), encoding="utf-8")
    mine.all_tables.cache_clear()
    with pytest.raises(SpecError, match=r"table13\.py: number 12 belongs to another table"):
        mine.all_tables()
    (package / "table13.py").write_text('"""Nothing."""\n', encoding="utf-8")
    sys.modules.pop("repro_specs_copy.table13")
    with pytest.raises(SpecError, match=r"table13\.py: holds no TABLE"):
        mine.all_tables()


def test_nothing_heavy_is_imported() -> None:
    """All tables and figures load without torch, numpy or matplotlib (fresh process)."""
    code = (
        "import sys, repro.paper.tables as t, repro.figures as f; t.all_tables(); f.all_figures(); "
        "print({'torch', 'numpy', 'matplotlib', 'lightning_fabric'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_default_evaluation_is_left_out_of_the_key() -> None:
    """A score's key is that of its training where nothing else is asked for."""
    training = Training(Classifier())
    assert key(Score(training, Evaluation())) == key(Score(training))

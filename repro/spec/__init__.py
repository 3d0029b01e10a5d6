"""The nouns of the suite: frozen values that name a head, a model, a training, a cell, a table."""

from repro.spec.cells import Cell, Cited, Cost, Layout, Metric, Score, Submitted
from repro.spec.claims import Claim, Contrast, Ref, equivalent, exceeds, falls, gains_more, ratio, rises
from repro.spec.errors import SpecError
from repro.spec.experiments import CRF, MULTI_SCALE, Evaluation, Training
from repro.spec.networks import GCN, PAPER_CHANNELS, Classifier, Conv, Conv1x1, Head, Model, Stack
from repro.spec.tables import Counting, Figure, Row, Table, params_row, score_row, table_label, table_name

__all__ = [
    "CRF",
    "GCN",
    "MULTI_SCALE",
    "PAPER_CHANNELS",
    "Cell",
    "Cited",
    "Claim",
    "Classifier",
    "Contrast",
    "Conv",
    "Conv1x1",
    "Cost",
    "Counting",
    "Evaluation",
    "Figure",
    "Head",
    "Layout",
    "Metric",
    "Model",
    "Ref",
    "Row",
    "Score",
    "SpecError",
    "Stack",
    "Submitted",
    "Table",
    "Training",
    "equivalent",
    "exceeds",
    "falls",
    "gains_more",
    "params_row",
    "ratio",
    "rises",
    "score_row",
    "table_label",
    "table_name",
]

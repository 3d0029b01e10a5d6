"""Masks of COCO drawn by pycocotools, for comparison."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO

from repro.data import coco


def pycocotools_labels(path: Path, image_id: int) -> NDArray[np.uint8]:
    """Draw one image with pycocotools' own reader: sum of its masks, one after the other."""
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO(str(path))
        wanted = api.getCatIds(catNms=list(coco.NAMES))
    info = api.loadImgs([image_id])[0]
    layers, values = [], []
    for annotation in api.loadAnns(api.getAnnIds(imgIds=[image_id], catIds=wanted)):
        layers.append(api.annToMask(annotation))
        name = api.loadCats([annotation["category_id"]])[0]["name"]
        values.append(255 if annotation["iscrowd"] else coco.NAMES[name])
    labels = np.zeros((info["height"], info["width"]), np.uint8)
    depth = np.sum(layers, axis=0)
    for layer, value in zip(layers, values, strict=True):
        labels[(layer > 0) & (depth == 1)] = value
    labels[depth > 1] = 255
    return labels

"""Incremental forward pass: recompute only cells that an occluder changes and that one score depends on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from repro.evaluation.receptive_field.ops import Box, Span, Step

NOTHING: Span = (0, 0)
Fresh = dict[int, tuple[Box, Tensor]]
"""Per step the recomputed box, and its values (n, c, rows, columns)."""


class Partial:
    """A recorded network, its features of the clean image, and the cells that the score at one position depends on.

    Each step is computed in the intersection of the cells that the change reaches and those that the score depends on.
    Inputs outside the recomputed boxes come from the clean image. Rows and columns are treated independently.
    """

    def __init__(self, steps: Sequence[Step], image: Tensor, at: tuple[int, int]) -> None:
        """Evaluate the clean image (1, 3, h, w), and trace the score at ``at`` (x, y) back to it."""
        self.steps = steps
        self.clean: list[Tensor] = [image.contiguous(memory_format=torch.channels_last)]
        for step in steps[1:]:
            whole = (0, step.size[0]), (0, step.size[1])
            self.clean.append(step([self._window(i, step, whole, {}) for i in step.inputs], whole))
        self._needs = [self._needed(axis, at[1 - axis]) for axis in (0, 1)]

    def _needed(self, axis: int, position: int) -> list[Span]:
        """Return per step the cells that the score at a position depends on."""
        spans = [NOTHING] * len(self.steps)
        spans[-1] = (position, position + 1)
        for number in range(len(self.steps) - 1, 0, -1):
            if spans[number] != NOTHING:
                for i in self.steps[number].inputs:
                    read = _meet(self.steps[number].reads(axis, spans[number]), (0, self.steps[i].size[axis]))
                    spans[i] = _hull([spans[i], read])
        return spans

    def reached(self, axis: int, span: Span) -> list[Span]:
        """Return per step the cells to recompute, along one axis, when the image changes in ``span``."""
        spans = [_meet(span, self._needs[axis][0])]
        for step, need in zip(self.steps[1:], self._needs[axis][1:], strict=True):
            spans.append(_meet(_hull([step.reaches(axis, spans[i]) for i in step.inputs if spans[i] != NOTHING]), need))
        return spans

    def scores(self, patch: Tensor, rows: Span, columns: Span, spans: tuple[list[Span], list[Span]]) -> Tensor | None:
        """Return the scores (n, c) at the position for n images that differ from the clean one inside a box.

        Args:
            patch: (n, 3, rows, columns), the images in that box.
            rows: the box's rows.
            columns: the box's columns.
            spans: ``reached`` of rows and columns.

        Returns:
            The scores; ``None`` where the change does not reach the position.
        """
        boxes = list(zip(*spans, strict=True))
        (top, bottom), (left, right) = boxes[0]
        fresh: Fresh = {}
        if NOTHING not in boxes[0]:
            cut = patch[:, :, top - rows[0] : bottom - rows[0], left - columns[0] : right - columns[0]]
            fresh[0] = boxes[0], cut
        for number, step in enumerate(self.steps[1:], 1):
            if NOTHING not in boxes[number]:
                windows = [self._window(i, step, boxes[number], fresh) for i in step.inputs]
                fresh[number] = boxes[number], step(windows, boxes[number])
        last = fresh.get(len(self.steps) - 1)
        return None if last is None else last[1][:, :, 0, 0]

    def _window(self, number: int, step: Step, box: Box, fresh: Fresh) -> Tensor:
        """Return the window of map ``number`` that ``step`` reads for its outputs in ``box``, padding included."""
        clean, new = self.clean[number], fresh.get(number)
        asked = step.reads(0, box[0]), step.reads(1, box[1])
        inside = tuple(_meet(span, (0, size)) for span, size in zip(asked, clean.shape[2:], strict=True))
        if (
            new is not None
            and asked == inside
            and all(_meet(*pair) == pair[0] for pair in zip(asked, new[0], strict=True))
        ):
            return _cut(new[1], new[0], asked)
        if new is None and asked == inside:
            return _cut(clean, ((0, clean.shape[2]), (0, clean.shape[3])), asked)
        return self._assembled(number, asked, step.fill, new)

    def _assembled(self, number: int, asked: Box, fill: float, new: tuple[Box, Tensor] | None) -> Tensor:
        """Assemble a window from padding, clean cells and recomputed cells."""
        clean = self.clean[number]
        whole = (0, clean.shape[2]), (0, clean.shape[3])
        count = 1 if new is None else len(new[1])
        shape = (count, clean.shape[1], asked[0][1] - asked[0][0], asked[1][1] - asked[1][0])
        out = torch.empty(shape, memory_format=torch.channels_last, dtype=clean.dtype, device=clean.device)
        inside = tuple(_meet(span, limit) for span, limit in zip(asked, whole, strict=True))
        if inside != asked:
            out.fill_(fill)
        for box, values in ((whole, clean), *([new] if new is not None else [])):
            common = _meet(asked[0], box[0]), _meet(asked[1], box[1])
            if NOTHING not in common:
                _cut(out, asked, common).copy_(_cut(values, box, common))
        return out


def _cut(values: Tensor, box: Box, part: Box) -> Tensor:
    """Return the ``part`` of values that cover ``box``."""
    (top, left), ((a, b), (c, d)) = (box[0][0], box[1][0]), part
    return values[:, :, a - top : b - top, c - left : d - left]


def _meet(one: Span, other: Span) -> Span:
    """Return the intersection of two spans."""
    lo, hi = max(one[0], other[0]), min(one[1], other[1])
    return (lo, hi) if lo < hi else NOTHING


def _hull(spans: Sequence[Span]) -> Span:
    """Return the smallest span that contains all non-empty spans."""
    full = [span for span in spans if span != NOTHING]
    return (min(lo for lo, _ in full), max(hi for _, hi in full)) if full else NOTHING

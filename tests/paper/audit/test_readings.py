"""Tests of repro.paper.audit.readings."""

from __future__ import annotations

from repro.paper.audit import Reading, readings


def option(question: str, name: str) -> Reading:
    """Return one reading."""
    return next(r for r in readings() if r.question.startswith(question) and r.option == name)


def test_readings_of_counts() -> None:
    """Without biases, of the res-5 head and 21 classes every count comes out; each other reading breaks some."""
    for question, taken, other, broken in (
        ("biases", "none", "one a channel", 2),
        ("heads", "the one after res-5", "all four, res-2 to res-5", 12),
        ("classes", "20 and background", "20", 12),
        ("where a stack", "in its last 3 x 3 (figure 4 D)", "in a 1 x 1 after it", 3),
    ):
        assert option(question, taken).breaks == ()
        assert len(option(question, taken).reproduces) == 12
        assert len(option(question, other).breaks) == broken


def test_reading_of_rounding() -> None:
    """Rounding to nearest breaks 260K alone; cutting breaks two; rounding up ten."""
    broken = {name: len(option("rounding", name).breaks) for name in ("to nearest", "down", "up")}
    assert broken == {"to nearest": 1, "down": 2, "up": 10}
    assert option("rounding", "to nearest").breaks[0].printed == "260K"


def test_reading_of_branches() -> None:
    """Concatenated branches reproduce 85, 128 and 3700; summed ones none of them."""
    concat, summed = (option("branches", name) for name in ("concat", "sum"))
    assert (len(concat.reproduces), len(concat.breaks)) == (3, 0)
    assert (len(summed.reproduces), len(summed.breaks)) == (0, 3)


def test_one_default_a_question() -> None:
    """Each question has several options, of which exactly one is taken."""
    questions = {reading.question for reading in readings()}
    assert len(questions) == 12
    for question in questions:
        options = [reading for reading in readings() if reading.question == question]
        assert len(options) > 1
        assert sum(reading.taken for reading in options) == 1
        assert all(reading.reproduces or reading.breaks for reading in options)

"""Tests of repro.figures."""

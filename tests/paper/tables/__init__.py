"""Tests of repro.paper.tables."""

"""Tests of repro.cli."""

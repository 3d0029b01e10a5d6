"""Tests of repro.results."""

"""Tests of repro.report."""

"""Tests of repro.evaluation."""

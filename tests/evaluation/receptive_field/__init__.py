"""Tests of repro.evaluation.receptive_field."""

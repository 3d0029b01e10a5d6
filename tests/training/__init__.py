"""Tests of repro.training."""

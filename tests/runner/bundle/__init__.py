"""Tests of repro.runner.bundle."""

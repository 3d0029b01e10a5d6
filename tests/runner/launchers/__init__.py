"""Tests of repro.runner.launchers."""

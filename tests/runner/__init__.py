"""Tests of repro.runner."""

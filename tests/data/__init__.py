"""Tests of repro.data."""

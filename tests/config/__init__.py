"""Tests of repro.config."""

"""Tests of repro.config.profiles."""

"""Tests of repro.paper."""

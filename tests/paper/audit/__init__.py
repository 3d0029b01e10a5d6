"""Tests of repro.paper.audit."""

"""Tests of repro.models."""

"""Reproduce, cell by cell, the tables and figures of the Global Convolutional Network paper."""

from __future__ import annotations

__version__ = "0.1.0"

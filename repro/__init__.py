"""Reproduce, cell by cell, the tables and figures of the Global Convolutional Network paper."""

__version__ = "0.1.0"

"""Tests of faults: full disks, damaged files, killed processes."""

"""Tests of the suite: a folder a package, a file a module; docs/testing.md lists the exceptions."""

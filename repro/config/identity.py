"""The identity of an outcome beside its key: the data and weights it comes from, and the arithmetic it was made with.

A key says which experiment a record answers. Two records of one key may still belong to other data (another copy of a
data set under the same name) or other start weights: their scores are never pooled, paired or compared. Records of the
same sources may differ in arithmetic (precision, device, threads, version of the numerics): they are comparable, but
not the same bits.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

NUMERICS = 2
"""Version of what the code computes. Raise it in every change after which the same run no longer gives the same bits.

1: records of schema 1, which do not say it. 2: threads belong to the run.
"""

Sources = Mapping[str, str]
"""Where the numbers come from: ``dataset/split`` -> fingerprint, ``weights of <backbone>`` -> sha256 of the file."""
SHORT = 8
"""Digits of a fingerprint that a sentence shows."""
GPU_NAMES = ("NVIDIA", "GEFORCE", "TESLA", "QUADRO", "AMD INSTINCT", "AMD RADEON")
"""Parts of the names of GPUs; torch calls those of AMD cuda too."""
ARITHMETIC = ("precision", "layout", "device_type", "threads", "world_size", "compile", "numerics")
"""What moves the bits of an outcome without changing the experiment, under the names of ``record.json``."""
_DEFAULTS = {"layout": "channels_last", "world_size": 1, "compile": False, "numerics": 1}
"""What records of schema 1 leave out."""


@dataclass(frozen=True)
class Identity:
    """Sources and arithmetic of one outcome, as ``record.json`` and every checkpoint hold them."""

    sources: Sources
    """Of the run and of every training that it builds on."""
    arithmetic: Mapping[str, Any]
    """The values of ``ARITHMETIC``."""
    parent: str = ""
    """sha256 of the ``record.json`` that the run starts from or evaluates; empty where there is none."""

    def as_tree(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"sources": dict(self.sources), "arithmetic": dict(self.arithmetic), "parent": self.parent}


def read(meta: Mapping[str, Any]) -> Identity:
    """Return the identity that a ``record.json`` holds; of schema 1, what its other fields tell."""
    tree = meta.get("identity")
    if isinstance(tree, Mapping):
        return from_tree(tree)
    data, weights = meta.get("data"), meta.get("weights_file")
    sources = {str(k): str(v) for k, v in data.items()} if isinstance(data, Mapping) else {}
    if isinstance(weights, str) and "sha256:" in weights:
        sources[weights_of(_backbone(meta))] = weights.rpartition("sha256:")[2]
    arithmetic = {name: meta.get(name, _DEFAULTS.get(name)) for name in ARITHMETIC}
    arithmetic["device_type"] = meta.get("device_type") or _device_type(str(meta.get("device", "")))
    return Identity(sources, arithmetic)


def from_tree(tree: Mapping[str, Any]) -> Identity:
    """Return what ``as_tree`` wrote; what is missing or of another kind counts as unknown."""
    sources, arithmetic = tree.get("sources"), tree.get("arithmetic")
    return Identity(
        {str(k): str(v) for k, v in sources.items()} if isinstance(sources, Mapping) else {},
        dict(arithmetic) if isinstance(arithmetic, Mapping) else {},
        str(tree.get("parent") or ""),
    )


def weights_of(backbone: str) -> str:
    """Return the name of a backbone's start weights among the sources."""
    return f"weights of {backbone}" if backbone else "weights"


def _backbone(meta: Mapping[str, Any]) -> str:
    spec = meta.get("spec")
    model = spec.get("model") if isinstance(spec, Mapping) else None
    return str(model.get("backbone", "")) if isinstance(model, Mapping) else ""


def _device_type(name: str) -> str:
    """Return the kind of a device by the name that schema 1 recorded."""
    return "cuda" if any(word in name.upper() for word in GPU_NAMES) else "cpu"


def conflicts(a: Sources, b: Sources) -> tuple[str, ...]:
    """Return the names under which both hold something, and not the same."""
    return tuple(sorted(name for name in a.keys() & b.keys() if a[name] != b[name]))


def changes(a: Identity, b: Identity) -> list[str]:
    """Return in words what makes two identities differ, ``a`` first; nothing for the same."""
    found = [
        f"{name} {a.sources[name][:SHORT]} there, {b.sources[name][:SHORT]} here"
        for name in conflicts(a.sources, b.sources)
    ]
    found += [f"{name} there, not here" for name in sorted(a.sources.keys() - b.sources.keys())]
    found += [f"{name} here, not there" for name in sorted(b.sources.keys() - a.sources.keys())]
    for name in ARITHMETIC:
        theirs, ours = a.arithmetic.get(name), b.arithmetic.get(name)
        if theirs != ours:
            found.append(f"{name.replace('_', ' ')} {theirs} there, {ours} here")
    if a.parent != b.parent:
        found.append("another record to start from")
    return found


def shown(sources: Sources, names: Iterable[str] = ()) -> str:
    """Return sources as a sentence names them, all or some of them: ``camvid/train 34e31d55, ...``."""
    return ", ".join(f"{name} {sources[name][:SHORT]}" for name in sorted(names or sources))


def suffix(sources: Sources) -> str:
    """Return the short name that tells the folders of two outcomes of one key and seed apart."""
    text = json.dumps(dict(sources), sort_keys=True)
    return "d" + hashlib.sha256(text.encode()).hexdigest()[:SHORT]


def majority(found: Iterable[Sources], wished: Sources | None = None) -> Sources:
    """Return one set of sources without a contradiction, which as many as possible of those found agree with.

    Args:
        found: the sources of each record, repeats included.
        wished: what the user has named now; it comes first whatever the records hold.
    """
    whole = dict(wished or {})
    counted = Counter(tuple(sorted(sources.items())) for sources in found)
    for items, _ in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])):
        if not conflicts(whole, dict(items)):
            whole |= dict(items)
    return whole

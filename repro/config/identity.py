"""Identity of a record beyond its key: fingerprints of its data and initial weights, and its arithmetic.

The key identifies the experiment. Two records of one key may still differ in data (another copy of a data set under the
same name) or initial weights: their scores are never pooled, paired or compared. Records of the same sources may differ
in arithmetic (precision, device, threads, version of the numerics): their scores are comparable, their bits are not
equal.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

NUMERICS = 2
"""Version of the numerics. Raise it with every change after which the same run gives other bits.

1: records of schema 1, which do not hold it. 2: the number of threads belongs to the run.
"""

Sources = Mapping[str, str]
"""``dataset/split`` -> fingerprint, ``weights of <backbone>`` -> sha256 of the file."""
SHORT = 8
"""Digits of a fingerprint in messages."""
GPU_NAMES = ("NVIDIA", "GEFORCE", "TESLA", "QUADRO", "AMD INSTINCT", "AMD RADEON")
"""Parts of the names of GPUs, AMD's included, which torch calls cuda too."""
ARITHMETIC = ("precision", "layout", "device_type", "threads", "world_size", "compile", "numerics")
"""Fields of ``record.json`` that change the bits of a result, not the experiment."""
_DEFAULTS = {"layout": "channels_last", "world_size": 1, "compile": False, "numerics": 1}
"""Values of the fields that records of schema 1 lack."""


@dataclass(frozen=True)
class Identity:
    """Sources and arithmetic of one result, as held by ``record.json`` and every checkpoint."""

    sources: Sources
    """Of the run and of every training it starts from."""
    arithmetic: Mapping[str, Any]
    """The values of ``ARITHMETIC``."""
    parent: str = ""
    """sha256 of the ``record.json`` of the run whose weights it starts from or evaluates; empty without one."""

    def as_tree(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"sources": dict(self.sources), "arithmetic": dict(self.arithmetic), "parent": self.parent}


def read(meta: Mapping[str, Any]) -> Identity:
    """Return the identity in a ``record.json``; for schema 1, from its other fields."""
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
    """Return the identity of a tree of ``as_tree``; missing or malformed parts count as unknown."""
    sources, arithmetic = tree.get("sources"), tree.get("arithmetic")
    return Identity(
        {str(k): str(v) for k, v in sources.items()} if isinstance(sources, Mapping) else {},
        dict(arithmetic) if isinstance(arithmetic, Mapping) else {},
        str(tree.get("parent") or ""),
    )


def weights_of(backbone: str) -> str:
    """Return the name of a backbone's initial weights among the sources."""
    return f"weights of {backbone}" if backbone else "weights"


def _backbone(meta: Mapping[str, Any]) -> str:
    spec = meta.get("spec")
    model = spec.get("model") if isinstance(spec, Mapping) else None
    return str(model.get("backbone", "")) if isinstance(model, Mapping) else ""


def _device_type(name: str) -> str:
    """Return the type of a device by its name in a record of schema 1."""
    return "cuda" if any(word in name.upper() for word in GPU_NAMES) else "cpu"


def conflicts(a: Sources, b: Sources) -> tuple[str, ...]:
    """Return the names whose fingerprints differ between two sets of sources."""
    return tuple(sorted(name for name in a.keys() & b.keys() if a[name] != b[name]))


def changes(a: Identity, b: Identity) -> list[str]:
    """Describe the differences between two identities, ``a`` first; empty for equal ones."""
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
    """Format sources, all or the given names, for a message: ``camvid/train 34e31d55, ...``."""
    return ", ".join(f"{name} {sources[name][:SHORT]}" for name in sorted(names or sources))


def suffix(sources: Sources) -> str:
    """Return the suffix that distinguishes the folders of two records of one key and seed."""
    text = json.dumps(dict(sources), sort_keys=True)
    return "d" + hashlib.sha256(text.encode()).hexdigest()[:SHORT]


def majority(found: Iterable[Sources], wished: Sources | None = None) -> Sources:
    """Return the consistent set of sources that most records share (greedily, the most frequent first).

    Args:
        found: the sources of each record, repeats included.
        wished: sources that the user has given; they take precedence.
    """
    whole = dict(wished or {})
    counted = Counter(tuple(sorted(sources.items())) for sources in found)
    for items, _ in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])):
        if not conflicts(whole, dict(items)):
            whole |= dict(items)
    return whole

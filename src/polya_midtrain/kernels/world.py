"""The embedded world's kernel: how a trace works, whatever the numbers in it.

A trace is read part by part. Of each part two things count: the plan that it names, and its *shape*, the operators of
its operations in order (``3+5=8 8+2=0`` is ``+ +``), digits and results left out. A trace's vector holds the shares of
its parts' shapes, and in the first kernel also the shares of the plans that it names; the similarity of two traces is
the cosine of their vectors. So:

- the same plans on other questions are alike (cosine 1), however many parts there are and in whichever order;
- single-part traces of two plans are orthogonal if their shapes differ, and in the first kernel half alike if their
  shapes agree (the sixteen plans have thirteen shapes);
- a right and a wrong trace that work alike are alike.

A Vendi score of v therefore reads as "as diverse as v equally frequent ways of working with nothing in common". The
second kernel leaves the names out: what is diverse in names alone shows as the difference between the two.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from polya_midtrain.science.vendi import Array
from polya_midtrain.world.families import PLANS, TYPES

NAMES_AND_SHAPES = "plan names and operations"
SHAPES = "operations"
_PIECE = re.compile(r"(?P<word>[a-z]+)|\d(?P<op>[-+*])\d=\d")


def read(response: str) -> tuple[list[str], list[str]]:
    """The plans that a trace names, and the shape of each of its parts ("" for a part without an operation).

    A part begins with the word of a part; a response without one, or without any operation, has a single shape "".
    """
    plans: list[str] = []
    shapes: list[list[str]] = []
    for piece in _PIECE.finditer(response):
        word, op = piece["word"], piece["op"]
        if word in TYPES or (op and not shapes):
            shapes.append([])
        if word in PLANS:
            plans.append(word)
        elif op:
            shapes[-1].append(op)
    return plans, [" ".join(shape) for shape in shapes] or [""]


def embed(responses: Sequence[str]) -> dict[str, Array]:
    """Both kernels' vectors by the kernel's name: (responses, features) each, no row of zeros."""
    from sklearn.feature_extraction import DictVectorizer

    found = [read(response) for response in responses]
    with_names = [_shares("plan", plans) | _shares("shape", shapes) for plans, shapes in found]
    without = [_shares("shape", shapes) for _, shapes in found]
    return {
        name: DictVectorizer(sparse=False).fit_transform(features)
        for name, features in ((NAMES_AND_SHAPES, with_names), (SHAPES, without))
    }


def _shares(kind: str, items: Sequence[str]) -> dict[str, float]:
    return {f"{kind} {item}": count / len(items) for item, count in Counter(items).items()}

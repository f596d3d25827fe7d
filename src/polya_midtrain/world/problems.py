"""Problems of the embedded world: several parts in a row, the answer being all parts' digits in order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from polya_midtrain.errors import UserError
from polya_midtrain.world import families
from polya_midtrain.world.families import TYPES

# Pairs of types that no training set and no corpus ever shows side by side in one problem: a fifth of the pairs of
# types from different families, fixed here so that "unseen" means the same in every run.
UNSEEN_PAIRS = frozenset(
    frozenset(pair)
    for index, pair in enumerate(
        pair for pair in itertools.combinations(TYPES, 2) if TYPES[pair[0]].family != TYPES[pair[1]].family
    )
    if index % 5 == 2
)


PATIENCE = 2000  # draws in search of one more problem
REJECTED = 50_000  # draws in search of one that is of a pool


@dataclass(frozen=True, slots=True)
class Part:
    """One part: a type word and its digits."""

    word: str
    digits: tuple[int, int, int]

    @property
    def family(self) -> str:
        """The family that is right for it."""
        return families.family_of(self.word, self.digits)

    @property
    def text(self) -> str:
        """The part as a problem shows it."""
        return f"{self.word} {self.digits[0]} {self.digits[1]} {self.digits[2]}"


Problem = tuple[Part, ...]
Item = TypeVar("Item")


def text(problem: Problem) -> str:
    """The question as the policy reads it: ``jar 3 5 2; rod 1 4 6``."""
    return "; ".join(part.text for part in problem)


def parse(question: str) -> Problem:
    """The inverse of `text`; raises ValueError on anything else."""
    parts = []
    for item in question.split("; "):
        word, *digits = item.split(" ")
        if word not in TYPES or len(digits) != 3 or not all(len(d) == 1 and d in "0123456789" for d in digits):
            raise ValueError(f"not a part of the embedded world: {item!r}")
        parts.append(Part(word, (int(digits[0]), int(digits[1]), int(digits[2]))))
    return tuple(parts)


def answer(problem: Problem) -> str:
    """All parts' answers in order: 2 digits a part."""
    return "".join(families.answer(part.word, part.digits) for part in problem)


def is_unseen(problem: Problem) -> bool:
    """Whether the problem holds a pair of types that training never combines."""
    words = {part.word for part in problem}
    return any(frozenset(pair) in UNSEEN_PAIRS for pair in itertools.combinations(words, 2))


def in_pool(problem: Problem, pool: str) -> bool:
    """Whether a problem belongs to a pool of benchmarks or training problems.

    seen: combinations that training shows; unseen: at least one it never shows; pure: seen, all parts of one family;
    composite: seen, every part of another family than its neighbours; exception: seen, at least half the parts follow
    their type's exception.
    """
    if pool == "unseen":
        return is_unseen(problem)
    if is_unseen(problem):
        return False
    if pool == "pure":
        return len({part.family for part in problem}) == 1
    if pool == "composite":
        return all(left.family != right.family for left, right in itertools.pairwise(problem))
    if pool == "exception":
        return 2 * sum(families.is_exception(part.digits) for part in problem) >= len(problem)
    return True


def sample_part(rng: random.Random) -> Part:
    """A part with uniform type and digits 1 to 9, whose families all give different answers.

    Without the last condition a wrong approach would be right by luck (b = 5 makes a+b and a-b equal modulo 10).
    """
    while True:
        part = Part(rng.choice(list(TYPES)), (rng.randint(1, 9), rng.randint(1, 9), rng.randint(1, 9)))
        if families.telling(part.digits):
            return part


def sample(rng: random.Random, parts: int, pool: str = "seen") -> Problem:
    """A random problem of a pool, by rejection; `UserError` where the pool has next to none."""
    return one_of(lambda: tuple(sample_part(rng) for _ in range(parts)), lambda problem: in_pool(problem, pool), parts)


def one_of(make: Callable[[], Item], fits: Callable[[Item], bool], parts: int) -> Item:
    """The first of some random items that fits."""
    for _ in range(REJECTED):
        if fits(item := make()):
            return item
    raise UserError(f"params.yaml: questions: a pool has next to no problems of {parts} parts; give fewer parts")


def distinct(
    rng: random.Random,
    lengths: Sequence[int],
    pool: str,
    count: int,
    taken: set[Item],
    draw: Callable[[random.Random, int, str], Item],
) -> Iterator[Item]:
    """``count`` problems that differ from each other and from ``taken`` (which grows), lengths in turn.

    ``draw`` makes one of a length and a pool: `sample`, or that of another task.

    Raises `UserError` where so many cannot be found.
    """
    for index in range(count):
        parts = lengths[index % len(lengths)]
        drawn = (draw(rng, parts, pool) for _ in range(PATIENCE))
        problem = next((problem for problem in drawn if problem not in taken), None)
        if problem is None:
            raise UserError(
                f"params.yaml: questions: there are not {count} more problems of {parts} parts in pool {pool!r}; "
                "lower count or give them more parts"
            )
        taken.add(problem)
        yield problem

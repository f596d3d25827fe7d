"""What is measured of the policies and their training sets, a block per stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from polya_midtrain.params.block import Block, Name, Url
from polya_midtrain.params.models import Commit


class Endpoint(Block):
    """A language model behind an OpenAI-compatible address, such as vLLM's server at http://localhost:8000/v1.

    A key that it wants stands in the environment, never in a profile. The reply's limit is sent as ``max_tokens``, or
    to a model that refuses this name as ``max_completion_tokens``, which counts its reasoning too. ``timeout``: seconds
    of one request in all; ``tries``: of one request, with growing pauses; ``parallel``: requests on their way at a
    time, from each of the machine's workers.
    """

    url: Url
    model: str = Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
    temperature: float = Field(ge=0)
    max_tokens: int | None = Field(None, ge=16)
    max_completion_tokens: int | None = Field(None, ge=16)
    timeout: float = Field(gt=0)
    tries: int = Field(ge=1)
    parallel: int = Field(ge=1)

    @model_validator(mode="after")
    def _limited(self) -> Endpoint:
        if (self.max_tokens is None) == (self.max_completion_tokens is None):
            raise ValueError("give max_tokens or, where the model wants that, max_completion_tokens; one of the two")
        return self


class Compose(Block):
    """Stage compose: which heuristics each chain of ``benchmarks`` uses, by a ``judge``.

    The judge itself is measured on ``labelled`` chains whose heuristics are known.
    """

    judge: Literal["world", "cues", "endpoint"]
    endpoint: Endpoint | None = None
    benchmarks: list[str] = Field(min_length=1)
    labelled: int = Field(ge=1)
    seed: int

    @model_validator(mode="after")
    def _reachable(self) -> Compose:
        if (self.judge == "endpoint") != (self.endpoint is not None):
            raise ValueError("judge endpoint and block endpoint (url, model) go together; give both or neither")
        return self


class WorldEmbedding(Block):
    """What a trace of the embedded world looks like: shares of its operations' shapes and plans (docs/world.md)."""

    kind: Literal["world"]


class HubEmbedding(Block):
    """Mean-pooled sentence embeddings of a model of the hub, at a pinned revision."""

    kind: Literal["hub"]
    id: str
    revision: Commit


class WordEmbedding(Block):
    """Term frequencies of words and word pairs: no model needed."""

    kind: Literal["words"]


Embedding = Annotated[WorldEmbedding | HubEmbedding | WordEmbedding, Field(discriminator="kind")]


class Diversity(Block):
    """Stage diversity: Vendi score of ``size`` traces of each training set, over ``resamples`` draws."""

    embedding: Embedding
    size: int = Field(ge=2)
    resamples: int = Field(ge=10)
    seed: int


class Modes(Block):
    """Stage modes: next-token distributions at branch points of ``questions`` of the RL set.

    ``branch``: world (after the word of a part) or start (where the response begins). A mode is a token whose
    probability is above ``threshold``. The policy-gradient step has ``learning_rate``; its expectation is taken over
    groups of ``generations`` samples.
    """

    branch: Literal["world", "start"]
    questions: int = Field(ge=1)
    threshold: float = Field(gt=0, lt=1)
    learning_rate: float = Field(gt=0)
    generations: int = Field(ge=2)
    seed: int


class Tables(Block):
    """Stage tables. ``ks``: the k of pass@k, all below ``evaluate.samples``; ``resamples``: bootstrap draws.

    ``means``: by name some benchmarks whose mean tables main and midtrain show beside that over all of them. One that
    is named "mean" takes its place, in every table, and so in the ledger.
    """

    ks: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)
    resamples: int = Field(ge=100)
    confidence: float = Field(gt=0.5, lt=1)
    means: dict[Name, Annotated[list[str], Field(min_length=1)]]
    seed: int

    def averaged(self, sets: Iterable[str]) -> list[str]:
        """Those of ``sets`` that "mean" takes: all, but for benchmarks of which ``means`` says otherwise."""
        return [name for name in sets if name in self.means.get("mean", ())] or list(sets)

    @property
    def beside(self) -> dict[str, list[str]]:
        """The means beside "mean"."""
        return {name: members for name, members in self.means.items() if name != "mean"}

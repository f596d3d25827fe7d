"""Models of Llama's layout as shapes: parameters, and bytes of memory to sample, read and train them.

Pure functions: `polya plan` shows what they say of a GPU before a run, and a training chooses its batches by them
(`training.fits`). What a GPU takes was checked against an H100, where a random model of Llama-3.2-3B's shape took 53.8
and 57.4 GiB in mid-training (2 x 512 and 2 x 5,120 tokens at a time) and 70.2 in GRPO: 53.5, 56.4 and 70.2 here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

WEIGHT = 4  # bytes of float32: everything on a CPU, and weights that are trained
HALF = 2  # bytes of bfloat16
# Training holds the weights, their gradients and Adam's two averages, all in float32.
TRAINING = 4 * WEIGHT
# Values that a layer keeps for its backward pass, per token and hidden unit, in float32 (Korthikanti et al. 2022,
# "Reducing activation recomputation", with fused attention: 34 bytes of half precision).
KEPT = 17
LOGITS = 3  # float32 copies of the logits at once: the model's, the loss's or the sampler's, and a gradient or a sum
USABLE = 0.92  # of a GPU: the rest is CUDA's own, and lost between blocks
ASLEEP = 3e9  # bytes that vLLM keeps of a GPU while it sleeps: its graphs, and what CUDA keeps for it
CONTEXT = 0.6e9  # bytes that CUDA takes of a GPU for a process; if there is one, of what is not `USABLE`
MOST = 8  # processes of a GPU: every one takes a core of the host, and the GPU works for one after the other
CPU_ROOM = 1e9  # bytes of activations that a training on a CPU takes by itself
ENOUGH = 4  # rows at a time with all activations kept are better than more rows with layers worked twice


@dataclass(frozen=True, slots=True)
class Model:
    """A model of Llama's layout. ``head``: output weights of its own, tied to the embedding, or one score.

    ``stored``: bytes of a weight in its checkpoint.
    """

    name: str
    hidden: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    head_size: int
    vocabulary: int
    head: Literal["own", "tied", "score"] = "tied"
    biased: bool = False
    stored: int = 2

    @property
    def parameters(self) -> int:
        """The number of weights."""
        queries, keys = self.heads * self.head_size, self.key_heads * self.head_size
        attention = 2 * self.hidden * (queries + keys) + self.biased * (queries + 2 * keys)
        layer = attention + 3 * self.hidden * self.inner + 2 * self.hidden
        head = {"own": self.vocabulary * self.hidden, "tied": 0, "score": self.hidden}[self.head]
        return self.layers * layer + self.hidden + self.vocabulary * self.hidden + head

    @property
    def checkpoint(self) -> int:
        """Bytes on disk."""
        return self.parameters * self.stored

    @property
    def weights(self) -> int:
        """Bytes in memory."""
        return self.parameters * WEIGHT

    @property
    def key_values(self) -> int:
        """Bytes of the cache for one token."""
        return 2 * self.layers * self.key_heads * self.head_size * WEIGHT

    def sampled_row(self, length: float, size: int = WEIGHT) -> float:
        """Bytes to decode a sequence of ``length`` tokens beside others, in numbers of ``size`` bytes."""
        return length * self.key_values * size / WEIGHT + LOGITS * WEIGHT * self.vocabulary

    def read_row(self, length: float, size: int = WEIGHT) -> float:
        """Bytes of one sequence that is read to be scored: a layer's values at a time."""
        return length * size * (KEPT * self.hidden + self.inner)

    def trained_row(self, length: float) -> float:
        """Bytes of one sequence of a training on a CPU."""
        outputs = 0 if self.head == "score" else LOGITS * self.vocabulary
        return length * WEIGHT * (self.layers * KEPT * self.hidden + outputs)

    def update(self, rows: int, length: float, checkpointed: bool, shards: int = 1) -> float:
        """Bytes of a GPU beside the state (`TRAINING`) to train on ``rows`` sequences at a time under autocast.

        Autocast holds a bfloat16 copy of every layer's weights until a pass ends (``shards``: FSDP's, a share of them).
        ``checkpointed``: only layers' inputs are kept (the residual stream, in float32), and one layer worked again.
        The logits never exist as a whole (trl's fused head).
        """
        tokens, table = rows * length, self.vocabulary * self.hidden
        keys = self.key_heads * self.head_size
        layer = 30 * self.hidden + 4 * keys + 8 * self.inner  # bytes a token: 4 float32, 7 bfloat16 of this width, ...
        kept = tokens * self.layers * (WEIGHT * self.hidden if checkpointed else layer)
        casts = HALF * (self.parameters - table) / shards
        backward = 2 * tokens * layer + WEIGHT * table  # of the layer that is worked on, and of the head
        return kept + (max(casts, backward) if checkpointed else casts + backward)

    def batch(self, share: int, length: float, room: float, wanted: Wanted, shards: int = 1) -> tuple[int, bool]:
        """Sequences of a backward pass, and whether it is checkpointed, for ``room`` bytes of a GPU beside the state.

        A process has ``share`` sequences an optimiser step. Checkpointed where it has to be: it costs a third more.
        """
        parts = (
            [rows for rows in range(1, share + 1) if share % rows == 0] if wanted == "auto" else [min(share, wanted)]
        )
        fitting = {
            checkpointed: [rows for rows in parts if self.update(rows, length, checkpointed, shards) <= room]
            for checkpointed in (False, True)
        }
        most = max(fitting[False], default=0)
        if most >= min(ENOUGH, parts[-1]):
            return most, False
        return max(fitting[True], default=parts[0]), True

    def sampled(self, rows: int, length: float, size: int) -> float:
        """Bytes to decode so many sequences side by side."""
        return size * self.parameters + rows * self.sampled_row(length, size)

    def learning(self, share: int, length: float, wanted: Wanted, beside: float = 0.0) -> float:
        """Bytes of a GPU for a training that works no layer twice, and on `ENOUGH` rows at a time or those wanted."""
        rows = min(share, ENOUGH if wanted == "auto" else wanted)
        return TRAINING * self.parameters + beside + self.update(rows, length, False)

    def rollouts(self, rows: int, length: float) -> float:
        """Bytes of a GPU to sample a bfloat16 copy beside a trainer's weights and Adam's averages."""
        return (TRAINING - WEIGHT) * self.parameters + self.sampled(rows, length, HALF)

    def stepped(self, length: float) -> float:
        """Bytes of gradient steps of one sequence: weights, gradients and moved weights, in float32."""
        return 3 * self.weights + self.trained_row(length)

    def beside(self, vllm: bool) -> float:
        """Bytes that GRPO's rollouts keep of a GPU during an update: a copy in bfloat16, or vLLM asleep."""
        return ASLEEP if vllm else float(HALF * self.parameters)

    def alone(self, share: int, length: float, wanted: Wanted) -> int:
        """Sequences of a backward pass on a CPU; ``auto`` asks no machine, so that the same settings round alike."""
        if wanted != "auto":
            return min(share, wanted)
        parts = [rows for rows in range(1, share + 1) if share % rows == 0]
        return max((rows for rows in parts if rows * self.trained_row(length) <= CPU_ROOM), default=1)

    def rollout_memory(self, memory: float, shards: int = 1) -> float:
        """The share of a GPU that vLLM may take beside a trainer's weights and Adam's averages (gradients are gone)."""
        free = USABLE * memory - (TRAINING - WEIGHT) * self.parameters / shards
        return min(0.85, max(0.05, int(20 * free / memory) / 20))


Wanted = int | Literal["auto"]


def part(memory: float, processes: int) -> float:
    """Bytes of a GPU for each of its processes."""
    return memory / processes - (CONTEXT if processes > 1 else 0.0)


def together(need: float, memory: float) -> int:
    """How many processes that want so many bytes each may share a GPU; one where not even that one fits."""
    return max((count for count in range(1, MOST + 1) if need <= USABLE * part(memory, count)), default=1)


def of_config(name: str, config: Mapping[str, Any], score: bool = False) -> Model:
    """The model that a config.json describes; KeyError or TypeError where it is none of Llama's layout."""
    heads = config["num_attention_heads"]
    return Model(
        name,
        config["hidden_size"],
        config["intermediate_size"],
        config["num_hidden_layers"],
        heads,
        config.get("num_key_value_heads") or heads,
        config.get("head_dim") or config["hidden_size"] // heads,
        config["vocab_size"],
        head="score" if score else "tied" if config.get("tie_word_embeddings") else "own",
        biased=bool(config.get("attention_bias")),
        stored=WEIGHT if (config.get("dtype") or config.get("torch_dtype")) == "float32" else HALF,
    )

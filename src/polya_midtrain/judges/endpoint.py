"""A judge behind an OpenAI-compatible endpoint: a language model reads the catalogue and a chain (paper, 10).

Every reply is kept under a hash of all that it depends on, so that a run that was stopped goes on where it was and a
second run asks nothing. The paper's judge was GPT-4o-mini; its prompt is not public, this one is ours.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import diskcache
import httpx

from polya_midtrain.common.heuristics import Catalogue
from polya_midtrain.errors import UserError
from polya_midtrain.judges.contract import Chain
from polya_midtrain.params import Endpoint

KEY = "OPENAI_API_KEY"  # the environment's variable for a key, where the endpoint wants one
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds before a second try, and before any
BUSY = (408, 409, 429)  # statuses that another try may cure, as all from 500 on
UNREADABLE = 0.01  # share of chains, beyond which replies that are not the JSON asked for stop the run
TASK = """\
You say which problem-solving heuristics a solution uses. A heuristic is used if the solution works by it, whether or \
not it is named, and whether or not the answer is right; naming a heuristic without working by it is no use. A \
solution may use several, one or none.

The heuristics, by id:
{heuristics}

Reply with JSON alone: {{"heuristics": [the ids of those used]}}"""


class EndpointJudge:
    """The heuristics that a model at ``settings.url`` finds in a chain. ``cache`` is the folder of kept replies."""

    def __init__(self, settings: Endpoint, catalogue: Catalogue, cache: Path) -> None:
        self._settings, self._cache = settings, cache
        self._names = frozenset(entry.id for entry in catalogue.heuristics)
        listed = "\n".join(f"- {entry.id}: {entry.name}. {entry.idea}" for entry in catalogue.heuristics)
        self._system = TASK.format(heuristics=listed)
        self._form = _form(sorted(self._names))
        self._fixed = [settings.model, settings.temperature, settings.max_tokens, self._system, self._form]

    def __str__(self) -> str:
        """What the results record of it: model, temperature, and a hash of the prompt and the form of its reply."""
        prompt = hashlib.sha256(json.dumps([self._system, self._form]).encode()).hexdigest()[:12]
        return f"{self._settings.model} (temperature {self._settings.temperature:g}, prompt {prompt})"

    def labels(self, chains: Sequence[Chain]) -> list[frozenset[str]]:
        """As `contract.Judge` says.

        Raises `UserError` where the endpoint refuses or cannot be had after all tries, or where more than one chain of
        a hundred has no readable reply. Fewer such chains count as using nothing, and are asked again by the next run.
        """
        texts = [f"Question:\n{chain.question}\n\nSolution:\n{chain.response}" for chain in chains]
        keys = [hashlib.sha256(json.dumps([*self._fixed, text]).encode()).hexdigest() for text in texts]
        found: dict[str, frozenset[str] | None] = {}
        with diskcache.Cache(str(self._cache), eviction_policy="none") as kept:
            for key in dict.fromkeys(keys):
                if (known := kept.get(key)) is not None:
                    found[key] = frozenset(known)
            wanted = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
            with self._client() as client, ThreadPoolExecutor(self._settings.parallel) as pool:
                asked = {pool.submit(self._ask, client, text): key for key, text in wanted.items()}
                try:
                    for future in as_completed(asked):
                        found[asked[future]] = labels = future.result()
                        if labels is not None:
                            kept[asked[future]] = sorted(labels)
                finally:
                    pool.shutdown(cancel_futures=True)
        unreadable = sum(found[key] is None for key in set(keys))
        if unreadable > UNREADABLE * len(found):
            raise UserError(
                f"params.yaml: compose.endpoint: {unreadable} of {len(found)} replies of {self._settings.model} are "
                "not the JSON asked for; raise compose.endpoint.max_tokens, or take a model that keeps to a JSON schema"
            )
        return [found[key] or frozenset() for key in keys]

    def _client(self) -> httpx.Client:
        token = os.environ.get(KEY)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = self._settings.url.rstrip("/") + "/"
        return httpx.Client(base_url=url, headers=headers, timeout=self._settings.timeout)

    def _ask(self, client: httpx.Client, text: str) -> frozenset[str] | None:
        """The labels of one chain; None where no reply was readable."""
        body = {
            "model": self._settings.model,
            "temperature": self._settings.temperature,
            "max_tokens": self._settings.max_tokens,
            "response_format": self._form,
            "messages": [{"role": "system", "content": self._system}, {"role": "user", "content": text}],
        }
        fault, readable, wait = "", True, 0.0
        for attempt in range(self._settings.tries):
            time.sleep(wait)
            wait = random.uniform(0.5, 1.0) * min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)
            try:
                reply = client.post("chat/completions", json=body)
            except httpx.TransportError as error:
                fault, readable = f"no reply ({type(error).__name__})", True
                continue
            if reply.status_code in BUSY or reply.status_code >= 500:
                fault, readable = f"status {reply.status_code}", True
                wait = max(wait, _told(reply))
            elif reply.is_error:
                raise self._refusal(f"status {reply.status_code}: {' '.join(reply.text.split())[:200]}")
            else:
                try:
                    return self._read(reply)
                except (ValueError, LookupError, TypeError):
                    readable = False
        if readable:
            raise self._refusal(
                f"{fault}, {self._settings.tries} times; what it judged is kept: run the same command again"
            )
        return None

    def _refusal(self, fault: str) -> UserError:
        return UserError(f"params.yaml: compose.endpoint: {self._settings.url}: {fault} (its key is read from {KEY})")

    def _read(self, reply: httpx.Response) -> frozenset[str]:
        used = json.loads(reply.json()["choices"][0]["message"]["content"])["heuristics"]
        if not isinstance(used, list) or not self._names.issuperset(used):
            raise ValueError(used)
        return frozenset(used)


def _form(names: Sequence[str]) -> dict[str, Any]:
    """The reply's JSON schema, which endpoints with structured output hold the model to."""
    ids = {"type": "array", "items": {"type": "string", "enum": names}}
    schema = {
        "type": "object",
        "properties": {"heuristics": ids},
        "required": ["heuristics"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "heuristics", "strict": True, "schema": schema}}


def _told(reply: httpx.Response) -> float:
    """Seconds that the endpoint asks to wait; 0 where it asks for none, or by a date."""
    try:
        return min(LONGEST_WAIT, max(0.0, float(reply.headers.get("Retry-After", "0"))))
    except ValueError:
        return 0.0

"""A judge behind an OpenAI-compatible endpoint: a language model reads the catalogue and a chain (paper, 10).

Every reply is kept under a hash of all that it depends on, so that a run that was stopped goes on where it was and a
second run asks nothing. The paper's judge was GPT-4o-mini; its prompt is not public, this one is ours.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from polya_midtrain.errors import UserError
from polya_midtrain.labellers.contract import Chain
from polya_midtrain.labellers.kept import Kept
from polya_midtrain.params import Endpoint
from polya_midtrain.prompting.heuristics import Catalogue

KEY = "OPENAI_API_KEY"  # the environment's variable for a key, where the endpoint wants one
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds before a second try, and before any
BUSY = (408, 409, 429)  # statuses that another try may cure, as all from 500 on
UNREADABLE = 0.01  # share of chains, beyond which replies that are not the JSON asked for stop the run
LARGEST = 1_000_000  # bytes of a reply that are read
OBJECTS = 50  # places of a reply at which its JSON is looked for, from the end
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
        name = "max_completion_tokens" if settings.max_tokens is None else "max_tokens"
        self._limit = name, getattr(settings, name)
        self._fixed = [settings.model, settings.temperature, self._limit[1], self._system, self._form]

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
        kept = Kept(self._cache, self._names)
        wanted = {key: text for key, text in zip(keys, texts, strict=True) if key not in kept.known}
        if wanted:
            asyncio.run(self._ask_all(wanted, kept, len(set(keys))))
        return [kept.known.get(key, frozenset()) for key in keys]

    async def _ask_all(self, wanted: Mapping[str, str], kept: Kept, chains: int) -> None:
        """Ask for every chain that is ``wanted``, by key, and keep what is readable; after a fault ask no more."""
        room = asyncio.Semaphore(self._settings.parallel)
        unreadable = 0
        faults: list[UserError] = []

        async def one(client: httpx.AsyncClient, key: str, text: str) -> None:
            nonlocal unreadable
            async with room:
                if faults:
                    return
                try:
                    labels = await self._ask(client, text)
                    if labels is not None:
                        kept.add(key, labels)
                        return
                    unreadable += 1
                    if unreadable > UNREADABLE * chains:
                        raise self._too_many(unreadable, chains)
                except UserError as error:
                    faults.append(error)

        async with self._client() as client:
            await asyncio.gather(*(one(client, key, text) for key, text in wanted.items()))
        if faults:
            raise faults[0]

    def _too_many(self, unreadable: int, chains: int) -> UserError:
        return UserError(
            f"params.yaml: compose.endpoint: {unreadable} of {chains} replies of {self._settings.model} are not the "
            f"JSON asked for; raise compose.endpoint.{self._limit[0]}, or take a model that keeps to a JSON schema"
        )

    def _client(self) -> httpx.AsyncClient:
        token = os.environ.get(KEY)
        if token and not (token.isascii() and token.isprintable()):
            raise UserError(f"{KEY}: it holds characters that no key has; set it again")
        # Not compressed: a reply's size is what arrives, and cannot grow here.
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})
        url = self._settings.url.rstrip("/") + "/"
        return httpx.AsyncClient(base_url=url, headers=headers, timeout=self._settings.timeout)

    async def _ask(self, client: httpx.AsyncClient, text: str) -> frozenset[str] | None:
        """The labels of one chain; None where no reply was readable."""
        body = {
            "model": self._settings.model,
            "temperature": self._settings.temperature,
            self._limit[0]: self._limit[1],
            "response_format": self._form,
            "messages": [{"role": "system", "content": self._system}, {"role": "user", "content": text}],
        }
        fault, readable, wait = "", True, 0.0
        for attempt in range(self._settings.tries):
            await asyncio.sleep(wait)
            wait = random.uniform(0.5, 1.0) * min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)
            try:
                async with asyncio.timeout(self._settings.timeout):  # httpx's own is of each read
                    reply, content = await _post(client, body)
            except (httpx.TransportError, TimeoutError) as error:
                fault, readable = f"no reply ({type(error).__name__})", True
                continue
            said = content.decode(errors="replace")
            if reply.status_code in BUSY or reply.status_code >= 500:
                fault, readable = f"status {reply.status_code}", True
                wait = max(wait, _told(reply))
            elif reply.has_redirect_location:  # not followed: the key is for the address that the settings name
                raise self._refusal(
                    f"it redirects to {reply.headers['Location'][:200]!r}; if you trust that, set url to it"
                )
            elif not reply.is_success:
                raise self._refusal(f"status {reply.status_code}: {' '.join(said.split())[:200]}")
            else:
                try:
                    return self._read(said)
                except (ValueError, LookupError, TypeError, RecursionError):
                    readable = False
        if readable:
            raise self._refusal(
                f"{fault}, {self._settings.tries} times; what it judged is kept: run the same command again"
            )
        return None

    def _refusal(self, fault: str) -> UserError:
        return UserError(f"params.yaml: compose.endpoint: {self._settings.url}: {fault} (its key is read from {KEY})")

    def _read(self, reply: str) -> frozenset[str]:
        used = _last(json.loads(reply)["choices"][0]["message"]["content"])
        if not isinstance(used, list) or not self._names.issuperset(used):
            raise ValueError(used)
        return frozenset(used)


async def _post(client: httpx.AsyncClient, body: Mapping[str, Any]) -> tuple[httpx.Response, bytes]:
    """A reply and its content as it came, cut after `LARGEST` bytes."""
    content = b""
    async with client.stream("POST", "chat/completions", json=body) as reply:
        async for part in reply.aiter_raw():
            content += part
            if len(content) > LARGEST:
                break
    return reply, content[:LARGEST]


def _last(text: str) -> Any:
    """The heuristics of the last JSON object that has some: models put it in fences, or behind their reasoning."""
    place = len(text)
    for _ in range(OBJECTS):
        place = text.rindex("{", 0, place)
        try:
            found, _ = json.JSONDecoder().raw_decode(text, place)
            return found["heuristics"]
        except (ValueError, LookupError):
            continue
    raise ValueError(text)


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

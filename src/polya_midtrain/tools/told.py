"""What one who runs the study reads: a line as each stage starts, with what is left of all, and the end."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.figures.claims import LEDGER
from polya_midtrain.ledger.lines import Ledger
from polya_midtrain.params import yamlfile
from polya_midtrain.runtime import guard
from polya_midtrain.runtime.progress import duration

# DVC's own lines. What is no line of DVC, such as a program's output, goes through as it is.
STARTS = re.compile(r"Running stage '(?:[^']*:)?([^':]+)':$")
STANDS = re.compile(r"Stage '(?:[^']*:)?([^':]+)' (didn't change, skipping|is cached - skipping run)")
DROPPED = re.compile(
    r"> |Updating lock file |Generating lock file |To track the changes with git|\tgit add |To enable auto staging"
    r"|\tdvc config core\.autostage|Use `dvc push` to send|Data and pipelines are up to date|Importing |\s*$"
)
ENOUGH = 5.0  # seconds that stages should have taken before the speed of this machine is known
WIDTH = 100


class Told:
    """Hears the lines of `dvc repro`. ``expected``: seconds by stage, as far as they are known."""

    def __init__(
        self,
        say: Callable[[str], None],
        expected: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.say, self.clock = say, clock
        self.expected = expected
        self.begun = clock()
        self.labels = labels()
        self.ran: list[str] = []
        self.stood: set[str] = set()

    def hear(self, line: str) -> None:
        """One line of DVC's."""
        place = f"{len(self.ran) + len(self.stood) + 1}/{len(self.labels)}"
        if found := STARTS.match(line):
            self.say(f"[{place}{self._left()}] {found[1]}")
            self.ran.append(found[1])
        elif found := STANDS.match(line):
            self.stood.add(found[1])
            if "cached" in found[2]:
                self.say(f"[{place}] {found[1]}: taken from an earlier run")
        elif not DROPPED.match(line):
            self.say(line)

    def _left(self) -> str:
        """An upper bound in words: of the stages to come some may turn out to be as they were."""
        known = self.expected
        to_come = [label for label in self.labels if label not in self.stood and label not in self.ran]
        if not all(label in known for label in to_come):
            return ""
        done = sum(known.get(label, 0.0) for label in self.ran)
        pace = (self.clock() - self.begun) / done if done >= ENOUGH else 1.0
        return f", at most {duration(pace * sum(known[label] for label in to_come))} left"

    def end(self, status: int) -> None:
        """The last lines: what was run, what the claims came to, and where to look; or where it stopped."""
        took = duration(self.clock() - self.begun)
        if status:
            if self.ran:
                self.say(f"Stopped at stage {self.ran[-1]} after {took}; `make repro` goes on there.")
            return
        count = len(self.labels)
        self.say(f"\n{count} stages: {len(self.ran)} run, {count - len(self.ran)} as they were, in {took}.")
        if not paths.PAGE.exists():
            return
        for line in verdicts():
            self.say(line)
        self.say(
            f"Every table and figure, and how it was made: {paths.PAGE}, for a browser. Next: `make compare` holds"
        )
        self.say("this run against itself and the committed one; `make ui` shows its trainings.")


def labels() -> list[str]:
    """The stages of dvc.yaml, expanded: STAGE, or STAGE@ITEM."""
    pipeline = yamlfile.content(guard.PIPELINE)["stages"] if guard.PIPELINE.exists() else {}
    found = []
    for name, entry in pipeline.items():
        each = entry.get("foreach")
        arms = yamlfile.content(settings.PARAMS_FILE).get("arms", {}) if isinstance(each, str) else each
        found += [f"{name}@{item}" for item in arms] if each else [name]
    return found


def expected() -> dict[str, float]:
    """Seconds of each stage: those of the run here if it is of this profile, else as `polya plan` has them."""
    from polya_midtrain.tools.plan import runs, work

    with suppress(UserError):
        params = settings.load()
        if run := runs.reference(None, params):
            if run.folder == Path() and run.params.model_dump() == params.model_dump():
                return dict(run.seconds)
            rates = runs.rates(run, params)
            works = [one for one in work.works(params, runs.facts(params, run)[0]) if one.stage in rates]
            return {f"{one.stage}@{one.arm}".rstrip("@"): rates[one.stage] * one.units for one in works}
    return {}


def verdicts() -> list[str]:
    """The ledger, a line a claim."""
    claims = Ledger.read(LEDGER).claims
    wide = max((len(one.verdict) for one in claims), default=0)
    room = WIDTH - wide - max((len(one.claim) for one in claims), default=0) - 3
    return [
        f"{one.claim} {one.verdict:<{wide}}  {textwrap.shorten(one.statement, room, placeholder=' ...')}"
        for one in claims
    ]

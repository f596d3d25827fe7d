"""Public sets as questions, from a local folder or from the hub."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polya_midtrain.errors import UserError
from polya_midtrain.question_sets.adapters import ADAPTERS, Adapter, Split
from polya_midtrain.question_sets.rows import Row
from polya_midtrain.records import Question

UNPACKED = 1 << 28  # bytes of a .gz file
ROWS = 1 << 22  # of a parquet file, whose repeats take next to no place in it


def load(name: str, split: str, folder: Path | None) -> list[Question]:
    """The questions of one split, in the set's order, as published: nothing is filtered here.

    ``folder`` holds the local files at the paths that the adapter names; None reads the hub. Ids are
    ``name/split/own id`` or ``name/split/index``. A missing file, an unreachable hub and a row that does not parse
    are a `UserError` of one line.
    """
    adapter, chosen = _find(name, split)
    rows = _published(adapter, chosen) if folder is None else _local_rows(chosen, folder)
    questions = []
    for index, (place, row) in enumerate(rows):
        try:
            parsed = adapter.parse(row)
        except ValueError as error:
            raise UserError(f"{place}: {error}; restore the published set") from error
        own = parsed.own_id or str(index)
        questions.append(Question(f"{name}/{split}/{own}", parsed.question, parsed.answer, adapter.kind, name))
    return questions


def provenance(name: str, split: str, folder: Path | None) -> list[dict[str, Any]]:
    """What `load` reads: per local file its sha256 and whether that is the published one (None: not known), or the
    hub's address and commit."""
    adapter, chosen = _find(name, split)
    if folder is None:
        return [
            {"hub": adapter.hub_id, "config": adapter.hub_config, "split": chosen.hub, "revision": adapter.revision}
        ]
    found = []
    for file in chosen.files:
        digest = hashlib.sha256(_existing(folder / file.path).read_bytes()).hexdigest()
        published = None if file.sha256 is None else digest == file.sha256
        found.append({"file": file.path, "sha256": digest, "published": published})
    return found


def _find(name: str, split: str) -> tuple[Adapter, Split]:
    if name not in ADAPTERS:
        raise UserError(f"unknown source {name!r}; the sources are {', '.join(ADAPTERS)}")
    adapter = ADAPTERS[name]
    if split not in adapter.splits:
        raise UserError(f"source {name} has no split {split!r}; choose {' or '.join(adapter.splits)}")
    return adapter, adapter.splits[split]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path}: no such file; point POLYA_DATA at the folder of the public sets, or unset it")
    return path


def _local_rows(split: Split, folder: Path) -> Iterator[tuple[str, Row]]:
    for file in split.files:
        yield from file_rows(_existing(folder / file.path), "restore the published file")


def file_rows(path: Path, remedy: str) -> Iterator[tuple[str, Row]]:
    """The rows of a file by its ending, each with its place; a fault of form is a `UserError` with ``remedy``."""
    readers = {".jsonl": _jsonl_rows, ".gz": _jsonl_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}
    return readers[path.suffix](path, remedy)


def _jsonl_rows(path: Path, remedy: str) -> Iterator[tuple[str, Row]]:
    content = _unmarked(path, _unpacked(path, remedy) if path.suffix == ".gz" else path.read_bytes())
    # split at \n only: str.splitlines would cut questions that hold a Unicode line separator
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
                if b"\\u" in line:  # half of a pair is valid JSON, and no text that can be stored
                    json.dumps(row, ensure_ascii=False).encode()
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}:{number}: not valid JSON ({error}); {remedy}") from error
            if not isinstance(row, dict):
                raise UserError(f"{path}:{number}: expected a JSON object; {remedy}")
            yield f"{path}:{number}", row


def _unpacked(path: Path, remedy: str) -> bytes:
    """The content of a gzip file, of which no more is unpacked than memory is sure to hold."""
    try:
        with gzip.open(path) as stream:
            content = stream.read(UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: not a gzip file ({error}); {remedy}") from error
    if len(content) > UNPACKED:
        raise UserError(f"{path}: more than {UNPACKED >> 20} MiB when unpacked; take a part of it")
    return content


def _unmarked(path: Path, content: bytes) -> bytes:
    """The content of a text file; a mark at its start would be taken for a part of the first column's name."""
    if content.startswith(codecs.BOM_UTF8):
        raise UserError(f"{path}:1: begins with a byte order mark; save it as UTF-8 without one")
    return content


def _csv_rows(path: Path, remedy: str) -> Iterator[tuple[str, Row]]:
    content = _unmarked(path, path.read_bytes())
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not a CSV file ({error.reason} in UTF-8); {remedy}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)  # quoted fields hold line breaks of their own
    names: list[str] = []
    begun = 1
    try:
        for fields in reader:
            if fields and not names:
                names = fields
                if twice := next((name for name in names if names.count(name) > 1), None):
                    raise csv.Error(f"column {twice!r} is there twice")
            elif fields:
                if len(fields) != len(names):
                    raise csv.Error(f"{len(fields)} fields and {len(names)} columns")
                yield f"{path}:{begun}", dict(zip(names, fields, strict=True))
            begun = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}:{begun}: not a row of CSV ({error}); {remedy}") from error


def _parquet_rows(path: Path, remedy: str) -> Iterator[tuple[str, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        if file.metadata.num_rows > ROWS:
            raise UserError(f"{path}: {file.metadata.num_rows} rows; take {ROWS} of them at most")
        rows = file.read().to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not a parquet file ({reason}); {remedy}") from error
    for number, row in enumerate(rows, start=1):
        yield f"{path}:{number}", row


def _published(adapter: Adapter, split: Split) -> Iterator[tuple[str, Row]]:
    remedy = "set POLYA_DATA to a folder with local copies of the public sets"
    return hub_rows(adapter.hub_id, adapter.hub_config, split.hub, adapter.revision, remedy)


def hub_rows(name: str, config: str | None, split: str, revision: str, remedy: str) -> Iterator[tuple[str, Row]]:
    """The rows of a split of a data set of the hub, each with its place."""
    import logging

    import datasets

    datasets.disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it reports every retry on standard error
    try:
        rows = datasets.load_dataset(name, config, split=split, revision=revision)
    except Exception as error:  # the hub's client raises a dozen types; all mean that the set cannot be had from here
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{name}: the hub cannot be read ({reason}); {remedy}") from error
    for number, row in enumerate(rows, start=1):
        yield f"{name}/{split}:{number}", row

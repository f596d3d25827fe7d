"""Work that survives a crash, and outputs that are never half written.

DVC deletes a stage's outputs before it runs the stage, so a long stage must not keep its progress there. It works in
``.scratch/STAGE/HASH``, where HASH is made of everything that the result depends on: the same inputs find the same
folder again and go on from its last checkpoint, other inputs never see it. When the result is whole, `publish` moves
it to its place in one step and `discard` removes the folder (`runtime.finished` says when).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polya_midtrain.errors import UserError
from polya_midtrain.runtime.clutter import is_clutter

ROOT = Path(".scratch")
_AT_FDCWD = -100  # renameat2: paths are relative to the working directory
_EXCHANGE = 2  # renameat2: swap the two names
_NO_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.ENOTSUP}


def hash_inputs(paths: Sequence[Path], settings: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the bytes and names of ``paths`` (files or folders) and of ``settings`` (plain JSON values).

    The order of ``paths`` and of the keys does not matter. Raises `UserError` for a path that is not there.
    """
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(_framed(path.as_posix().encode()))
        for file in _files(path):
            digest.update(_framed(file.as_posix().encode()))
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    digest.update(_framed(text.encode()))
    return digest.hexdigest()


def workdir(stage: str, key_hash: str) -> Path:
    """The folder ``.scratch/STAGE/HASH``, made if need be; what a crashed run of the same inputs left is in it."""
    path = ROOT / stage / key_hash[:16]
    path.mkdir(parents=True, exist_ok=True)
    return path


def discard(work: Path) -> None:
    """Remove a `workdir` once everything in it is published."""
    shutil.rmtree(work, ignore_errors=True)


@contextmanager
def locked(name: str, wait: bool) -> Iterator[bool]:
    """A lock between processes; yields whether it is ours.

    It ends with this process and with those that were forked from it meanwhile, however they end.
    """
    ROOT.mkdir(exist_ok=True)
    with (ROOT / f"{name}.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def write(path: Path, text: str) -> None:
    """Write a file that is whole after a crash at any point, or the one that was there."""
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def twin(src: Path, dst: Path) -> None:
    """Give a file or folder a second place, in place of what is there: by links where the file system has them."""
    remove(dst)
    if src.is_dir():
        shutil.copytree(src, dst, symlinks=True, copy_function=_link)
    else:
        _link(src, dst)


def _link(src: str | Path, dst: str | Path) -> None:
    try:
        os.link(src, dst, follow_symlinks=False)
    except OSError:
        shutil.copy2(src, dst)


def publish(src: Path, dst: Path) -> None:
    """Move the finished file or folder ``src`` to ``dst``, replacing what is there; its folder is made.

    After a crash at any point ``dst`` is the old one or the new one, whole. (Where the file system cannot swap two
    names, a replaced folder is absent for the moment between two renames, and never a mixture.)
    """
    dst.parent.mkdir(parents=True, exist_ok=True)
    beside = dst.with_name(f".{dst.name}.new")
    remove(beside)  # left there by a crash
    if src.stat().st_dev != dst.parent.stat().st_dev:
        # A move between file systems is a copy, which can stop half way: so copy to the name beside.
        if src.is_dir():
            shutil.copytree(src, beside, symlinks=True)
        else:
            shutil.copy2(src, beside)
    elif _is_folder(dst) or (src.is_dir() and dst.exists()):
        # The swap leaves the old content under the other name. That must not be src: a resumed stage would use it.
        src.rename(beside)
    else:
        src.replace(dst)
        return
    if dst.exists():
        _swap(beside, dst)
    else:
        beside.rename(dst)
    remove(beside)
    remove(src)


def _swap(new: Path, old: Path) -> None:
    """Exchange two names in one step (Linux), or by two renames where that is not to be had."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None:
        if rename(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
        if code not in _NO_EXCHANGE:
            raise OSError(code, os.strerror(code), str(old))
    aside = old.with_name(f".{old.name}.old")
    remove(aside)
    old.rename(aside)
    new.rename(old)
    aside.rename(new)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _files(path: Path) -> Iterator[Path]:
    """The files of ``path`` in a fixed order: itself, or all below it but clutter."""
    if path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.is_file() and not is_clutter(file.relative_to(path)))
    elif path.exists():
        yield path
    else:
        raise UserError(f"{path}: missing; run `dvc repro` (it makes every input of a stage before the stage)")


def _framed(data: bytes) -> bytes:
    """Prefixed by its length, so that no two sequences of parts run together into the same bytes."""
    return len(data).to_bytes(8, "big") + data

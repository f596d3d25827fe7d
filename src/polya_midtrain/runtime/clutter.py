"""Files that nobody wrote on purpose: of editors, file managers, compilers. They make no stage stale (.dvcignore)."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

NAMES = (
    *("*~", "*.sw[a-p]", "*.un~", "*.kate-swp", "4913", ".#*", "[#]*[#]", "*.orig", "*.rej", "*___jb_tmp___"),
    *(".DS_Store", "._*", ".directory", "Thumbs.db", "desktop.ini", ".nfs*", "*.pyc"),
    *("__pycache__", ".ipynb_checkpoints", ".idea", ".vscode", ".mypy_cache", ".ruff_cache", ".pytest_cache"),
)


def is_clutter(path: Path) -> bool:
    """Whether a path below a folder of the project is such a file, or lies in such a folder."""
    return any(fnmatchcase(part, name) for part in path.parts for name in NAMES)

"""Tests that need vLLM: `make test-vllm` runs them in an environment of its own; elsewhere they are not collected."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("vllm") else ["test_*.py"]

"""Tests that need vLLM: `make test-vllm` runs them in an environment of its own; elsewhere they are not collected, but
for those that `make test-gpu` runs on vLLM for CUDA."""

from __future__ import annotations

from devices import has_vllm

collect_ignore_glob = [] if has_vllm("cpu") else ["test_s*.py"] if has_vllm("cuda") else ["test_*.py"]

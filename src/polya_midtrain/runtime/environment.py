"""Settings of the libraries, for this process and those that it starts; to be made before any of them is loaded."""

from __future__ import annotations

import os

_DEFAULTS = {
    # One thread a process: the stages run one process a core.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DVC_NO_ANALYTICS": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # one warning of ours instead of tracebacks
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",  # an open SQLite connection must not be inherited by a fork
    "MLFLOW_ASYNC_LOGGING_THREADPOOL_SIZE": "1",  # SQLite has one writer anyway
    "MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS": "2",  # the trainer's curves, a transaction every two seconds
    "MLFLOW_TRUNCATE_LONG_VALUES": "false",  # `mlflow_store.post` splits what is too long for one setting
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a server that is down must not stop a study for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def set_defaults() -> None:
    """Set what the user's environment does not."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)

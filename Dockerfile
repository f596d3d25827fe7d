# The image for CPU hosts and, by build arguments, for CUDA hosts; REPRODUCE.md has the commands (Container).
# Both bases are pinned by digest. The CUDA one, with nvcc and a compiler for vLLM's kernels:
#   --build-arg BASE_IMAGE=nvidia/cuda:13.0.3-devel-ubuntu24.04@sha256:b7ae301dea2c162444795462ce17a05f6a516e5a75944b57af5b88540a1a2266
#   --build-arg LOCKS=cuda
ARG BASE_IMAGE=python:3.11.16-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84

FROM ${BASE_IMAGE} AS system
# A base without Python is one of NVIDIA's; Triton and vLLM compile against Python's headers at run time.
# DL3008: a distribution serves one version of a package only, so that pinning it breaks the build within weeks.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git make \
    && if ! command -v python3 >/dev/null; then \
        apt-get install -y --no-install-recommends python3-dev python3-venv gcc g++; fi \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -m 1777 /cache /study /study/out

FROM system AS dependencies
ARG LOCKS=cpu
# Where CPU builds of torch are, in a form that pip takes as an index; without it, those of the pip configuration below.
ARG TORCH_INDEX=
COPY constraints/*.lock /locks/
# Two secrets, both optional: `pip`, a configuration of pip (a mirror, which may want a token), and `ca`, the certificates
# of a proxy. The sdists among the packages are built with the locked setuptools, not with one from outside of the lock.
RUN --mount=type=cache,target=/var/cache/pip \
    --mount=type=secret,id=pip \
    --mount=type=secret,id=ca \
    if [ -e /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi; \
    if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca; fi; \
    if [ -n "$TORCH_INDEX" ]; then export PIP_EXTRA_INDEX_URL="$TORCH_INDEX"; fi; \
    export PIP_CACHE_DIR=/var/cache/pip PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore; \
    set -- ; for lock in $LOCKS; do set -- "$@" -r "/locks/$lock.lock"; done; \
    python3 -m venv /venv \
    && /venv/bin/pip install -q --no-deps --require-hashes -r /locks/build.lock \
    && /venv/bin/pip install -q --no-deps --require-hashes --no-build-isolation --use-pep517 "$@" \
    && touch /venv/.installed

# From the dependencies, not a copy of them: pip's cache and the secrets were mounts, so that nothing is to be left behind.
FROM dependencies AS study
RUN touch /venv/.locked
# HOME is the one folder of all caches, to be mounted. USER and LOGNAME stand in for the name that an id given by --user
# lacks. safe.directory: a mounted checkout has an owner of its own.
# DL3064: GIT_CONFIG_KEY_0 is the name of a setting, no key.
# hadolint ignore=DL3064
ENV PATH=/venv/bin:$PATH \
    VENV=/venv \
    HOME=/cache \
    USER=study \
    LOGNAME=study \
    TORCHINDUCTOR_CACHE_DIR=/cache/torchinductor \
    DVC_SITE_CACHE_DIR=/cache/dvc \
    GIT_CONFIG_COUNT=1 \
    GIT_CONFIG_KEY_0=safe.directory \
    GIT_CONFIG_VALUE_0=* \
    OMP_NUM_THREADS=1 \
    TOKENIZERS_PARALLELISM=false \
    MLFLOW_DISABLE_TELEMETRY=true \
    DVC_NO_ANALYTICS=true \
    HF_HUB_DISABLE_TELEMETRY=1 \
    UI_HOST=0.0.0.0 \
    PYTHONUNBUFFERED=1
COPY --chmod=755 docker/polya docker/entrypoint.sh /usr/local/bin/
COPY . /usr/local/src/polya-midtrain
ARG REVISION=unknown
ENV POLYA_REVISION=$REVISION
LABEL org.opencontainers.image.title="polya-midtrain" \
      org.opencontainers.image.description="A reproduction package of arXiv 2605.08472: self-generated mid-training, then GRPO, then pass@k" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.documentation="README.md" \
      org.opencontainers.image.revision=$REVISION
WORKDIR /study
USER 1000:1000
EXPOSE 5000
# Of the MLflow pages, where the container serves them; any other command counts as healthy while it runs.
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "/usr/local/src/polya-midtrain/docker/health.py"]
ENTRYPOINT ["entrypoint.sh"]
CMD ["help"]

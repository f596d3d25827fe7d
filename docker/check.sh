#!/usr/bin/env bash
# `make docker-check`: builds the CPU image with Docker and with buildah, runs profile smoke in both without a network, and
# compares tables and counts with those of this machine. Arguments: the builders, by default both. It takes the time of two
# builds and three smoke studies, and 12 GB below TMPDIR until it ends. From the environment:
#   BASE_IMAGE, TORCH_INDEX   handed on to the builds (REPRODUCE.md, Container)
#   CA                        certificates of a proxy, as a build secret
#   HOST_RUN                  a finished run of smoke on this machine and of this commit; without it one is made
#   BASE_TAR                  where no engine answers: the base image's files, from an earlier local.sh; otherwise made
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
servers=()
DOCKER=${DOCKER:-docker}
CA=${CA:-${PIP_CERT:-}}
STORE=(--root "$scratch/containers" --runroot "$scratch/containers-run" --storage-driver overlay)
IMAGE=polya-midtrain:check
OTHER=12345:12345

fail() { echo "docker-check: $1" >&2; exit 1; }
say() { printf '== %5d s  %s\n' "$SECONDS" "$*"; }
timed() { local start=$SECONDS; "$@"; say "took $((SECONDS - start)) s"; }
logged() { "$@" >"$scratch/log" 2>&1 || fail "$(tail -n 5 "$scratch/log")"; }
source docker/local.sh

finish() { # By their ids only: nothing else on this machine is ended.
    [ -z "${ui:-}" ] || "$DOCKER" rm -f "$ui" >/dev/null 2>&1 || true
    [ ! -e "$scratch/docker.pid" ] || { kill "$(cat "$scratch/docker.pid")" && wait "$engine"; } 2>/dev/null || true
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
    awk -v under="$scratch/" 'index($2, under) == 1 {print $2}' /proc/self/mounts | sort -r | xargs -r umount -l || true
    rm -rf --one-file-system "$scratch"
}
trap finish EXIT

# A copy of what git has, or will have with the next commit: the context of a build, and where a run takes place.
copy() { # FOLDER
    mkdir -p "$1"
    git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -xf - -C "$1"
}
copy_to_run() { # FOLDER USER: without the committed results
    copy "$1"
    (cd "$1" && rm -rf dvc.lock results reports/tables reports/figures reports/index.html reports/claims.*)
    git clone -q --bare . "$1/.git"
    git -C "$1" config core.bare false
    chown -R "$2" "$1"
}
same_results() { # FOLDER: it may hold more, the committed run's counts of arms that smoke has not
    (cd "$HOST_RUN" && find reports/tables results/counts -type f -print0) |
        while IFS= read -r -d '' file; do cmp "$HOST_RUN/$file" "$1/$file"; done
    say "tables and counts are this machine's, byte for byte ($(find "$HOST_RUN/reports/tables" -type f | wc -l) files of tables)"
}
owned_by() { # USER FOLDER
    local foreign
    foreign=$(find "$2" ! -uid "${1%:*}" -print -quit)
    [ -z "$foreign" ] || fail "$foreign is not of user $1"
    say "every file of $(basename "$2") belongs to $1"
}

# The arguments of a build are the same for both builders.
docker_build() { DOCKER_BUILDKIT=1 "$DOCKER" build -q "${build[@]}" -t "$IMAGE" "$1" >/dev/null; }
docker_run() { "$DOCKER" run --rm --network none "$@"; }
buildah_build() {
    # The folder of a cache mount is below TMPDIR, and stays there.
    TMPDIR=$scratch buildah "${STORE[@]}" bud -q --isolation chroot --format docker --layers "${build[@]}" -t "$IMAGE" "$1" >/dev/null
}
podman_run() {
    podman "${STORE[@]}" --runtime runc run --rm --network none --no-healthcheck \
        --ulimit nofile=20000:20000 --ulimit nproc=32000:32000 "$@"
}

both_builds() { # BUILD: from nothing, then after a change of the code, then as it was
    copy "$scratch/tree"
    timed "$1" "$scratch/tree"
    echo '# A change of the code.' >>"$scratch/tree/src/polya_midtrain/__init__.py"
    say "... and again, after a change of the code"
    timed "$1" "$scratch/tree"
    rm -rf "$scratch/tree"
    copy "$scratch/tree"
    "$1" "$scratch/tree"
}

check_docker() {
    [ -z "${BASE_TAR:-}" ] || "$DOCKER" import "$BASE_TAR" "$BASE_IMAGE" >/dev/null
    say "Docker $("$DOCKER" version --format '{{.Server.Version}}') builds"
    both_builds docker_build
    "$DOCKER" image inspect "$IMAGE" --format \
        '{{.Size}} bytes, user {{.Config.User}}, revision {{index .Config.Labels "org.opencontainers.image.revision"}}'
    docker_run "$IMAGE" | head -n 2
    docker_run "$IMAGE" sh -c 'pip check && [ -z "$(ls -A /run/secrets 2>/dev/null)" ]'

    say "profile smoke in Docker, as 1000:1000, without a network, into an empty folder"
    mkdir "$scratch/out"
    chown 1000:1000 "$scratch/out"
    timed logged docker_run -v "$scratch/out:/study/out" "$IMAGE" make repro PROFILE=smoke
    same_results "$scratch/out"
    owned_by 1000:1000 "$scratch/out"
    docker_run -v "$scratch/out:/study/out" "$IMAGE" dvc repro 2>&1 | tail -n 1

    say "the pages, until the engine calls them healthy"
    ui=$("$DOCKER" run -d --network host -e PORT=5599 -v "$scratch/out:/study/out" "$IMAGE" make ui)
    timed logged wait_until_healthy
    python3 -c 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:5599/version").read().decode())'
    "$DOCKER" rm -f "$ui" >/dev/null

    say "as $OTHER, whom no passwd names, in a mounted folder"
    mkdir "$scratch/other"
    chown "$OTHER" "$scratch/other"
    docker_run --user "$OTHER" -v "$scratch/other:/study/out" "$IMAGE" \
        sh -c 'polya profile smoke && polya check && dvc repro questions && dvc status questions' 2>&1 | tail -n 1
    owned_by "$OTHER" "$scratch/other"
}

wait_until_healthy() {
    local state=
    for _ in $(seq 180); do
        state=$("$DOCKER" inspect -f '{{.State.Status}} {{.State.Health.Status}}' "$ui")
        [ "$state" = "running starting" ] || break
        sleep 1
    done
    [ "$state" = "running healthy" ] || { "$DOCKER" logs "$ui"; echo "$state"; return 1; }
}

check_buildah() {
    command -v buildah podman >/dev/null || fail "there is no buildah with podman: apt-get install buildah podman runc"
    [ -z "${BASE_TAR:-}" ] || podman "${STORE[@]}" import -q "$BASE_TAR" "$BASE_IMAGE" >/dev/null
    say "$(buildah --version) builds"
    both_builds buildah_build
    say "profile smoke in $(podman --version), as $OTHER, without a network, in a mounted checkout"
    copy_to_run "$scratch/checkout" "$OTHER"
    timed logged podman_run --user "$OTHER" -v "$scratch/checkout:/study" "$IMAGE" make repro PROFILE=smoke
    same_results "$scratch/checkout"
    owned_by "$OTHER" "$scratch/checkout"
}

[ $# -gt 0 ] || set -- docker buildah
if ! "$DOCKER" info >/dev/null 2>&1; then
    BASE_IMAGE=localhost/polya-base:local
    [ -n "${BASE_TAR:-}" ] || make_base
    case " $* " in *" docker "*) start_engine ;; esac
fi
[ -n "${TORCH_INDEX:-}" ] || serve_torch
build=(--network host --build-arg "REVISION=$(git rev-parse HEAD)" --build-arg "TORCH_INDEX=$TORCH_INDEX")
[ -z "${BASE_IMAGE:-}" ] || build+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
[ -z "$CA" ] || build+=(--secret "id=ca,src=$CA")

if [ -z "${HOST_RUN:-}" ]; then
    say "profile smoke on this machine, in its own environment (VENV, by default .venv)"
    HOST_RUN=$scratch/host
    copy_to_run "$HOST_RUN" "$(id -u):$(id -g)"
    PYTHONPATH="$HOST_RUN/src" timed logged make -C "$HOST_RUN" repro PROFILE=smoke VENV="${VENV:-$PWD/.venv}"
fi
for builder in "$@"; do "check_$builder"; done
say "passed: $*"

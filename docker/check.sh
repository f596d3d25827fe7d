#!/usr/bin/env bash
# `make docker-check`: builds the CPU image with Docker and with buildah, runs profile smoke in both without a network, and
# compares the tables with this machine's. BASE_IMAGE, TORCH_INDEX and CA (certificates of a proxy) are handed on; where no
# engine answers, local.sh stands in. HOST: a folder with a finished run of profile smoke of the same commit on this machine;
# without it one is made. Takes the time of three smoke studies, and 12 GB below TMPDIR until it ends.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
servers=()
DOCKER=${DOCKER:-docker}
CA=${CA:-${PIP_CERT:-}}
ROOTS=(--root "$scratch/containers" --runroot "$scratch/containers-run" --storage-driver overlay)
IMAGE=polya-midtrain:check
OTHER=12345:12345

fail() { echo "docker-check: $1" >&2; exit 1; }
say() { printf '== %5d s  %s\n' "$SECONDS" "$*"; }
timed() { local start=$SECONDS; "$@"; say "took $((SECONDS - start)) s"; }
logged() { "$@" >"$scratch/log" 2>&1 || fail "$(tail -n 5 "$scratch/log")"; }

finish() {
    # By their ids only: nothing else on this machine is ended.
    [ -z "${ui:-}" ] || "$DOCKER" rm -f "$ui" >/dev/null 2>&1 || true
    [ ! -e "$scratch/docker.pid" ] || { kill "$(cat "$scratch/docker.pid")"; wait; } 2>/dev/null || true
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
    ! command -v podman >/dev/null || podman "${ROOTS[@]}" rmi --all --force >/dev/null 2>&1 || true
    mount | awk -v under="$scratch/" 'index($3, under) == 1 {print $3}' | sort -r | xargs -r umount -l || true
    rm -rf --one-file-system "$scratch"
}
trap finish EXIT
source docker/local.sh

# A copy of what git has, or will have with the next commit: the builds' context, and where the host's run takes place.
copy() { # FOLDER
    mkdir -p "$1"
    git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -xf - -C "$1"
}
without_results() { # FOLDER
    (cd "$1" && rm -rf dvc.lock results reports/tables reports/figures reports/index.html reports/claims.*)
}
same_tables() { # FOLDER
    diff -r "$HOST/reports/tables" "$1/reports/tables" && diff -r "$HOST/results/counts" "$1/results/counts"
    say "tables and counts are the host's, byte for byte ($(ls "$1/reports/tables" | wc -l) files)"
}
owned_by() { # ID FOLDER
    [ -z "$(find "$2" ! -uid "${1%:*}" -print -quit)" ] || fail "$2: $(find "$2" ! -uid "${1%:*}" -print -quit) is not of user $1"
    say "every file of $(basename "$2") belongs to $1"
}

build=(--build-arg "REVISION=$(git rev-parse HEAD)" --network host)
if ! "$DOCKER" info >/dev/null 2>&1; then
    start_engine
    make_base "$scratch/base.tar"
    BASE_IMAGE=polya-base:local
    "$DOCKER" import -q "$scratch/base.tar" "$BASE_IMAGE" >/dev/null
fi
[ -n "${TORCH_INDEX:-}" ] || serve_torch
[ -z "${BASE_IMAGE:-}" ] || build+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
build+=(--build-arg "TORCH_INDEX=$TORCH_INDEX")
[ -z "$CA" ] || build+=(--secret "id=ca,src=$CA")

docker_build() { DOCKER_BUILDKIT=1 "$DOCKER" build -q "${build[@]}" -t "$IMAGE" "$1" >/dev/null; }
docker_run() { "$DOCKER" run --rm "$@"; }
buildah_build() { buildah "${ROOTS[@]}" bud -q --isolation chroot --format docker --layers "${build[@]}" -t "$IMAGE" "$1" >/dev/null; }
podman_run() {
    podman "${ROOTS[@]}" --runtime runc run --rm --no-healthcheck --ulimit nofile=20000:20000 --ulimit nproc=32000:32000 "$@"
}

copy "$scratch/tree"
say "Docker $("$DOCKER" version --format '{{.Server.Version}}') builds"
timed docker_build "$scratch/tree"
echo '# A change of the code.' >>"$scratch/tree/src/polya_midtrain/__init__.py"
say "... and again, after a change of the code"
timed docker_build "$scratch/tree"
copy "$scratch/tree"
docker_build "$scratch/tree"
"$DOCKER" image inspect "$IMAGE" --format 'size {{.Size}} bytes, user {{.Config.User}}, revision {{index .Config.Labels "org.opencontainers.image.revision"}}'
docker_run "$IMAGE" | head -n 2
docker_run "$IMAGE" pip check
if docker_run --user 0 "$IMAGE" sh -c 'ls /run/secrets/* 2>/dev/null'; then fail "a secret is in the image"; fi

if [ -z "${HOST:-}" ]; then
    say "profile smoke on this machine, in its own environment (VENV, by default .venv)"
    HOST=$scratch/host
    copy "$HOST"
    without_results "$HOST"
    PYTHONPATH="$HOST/src" timed logged make -C "$HOST" repro PROFILE=smoke VENV="${VENV:-$PWD/.venv}"
fi

say "profile smoke in Docker, as 1000:1000, without a network, into an empty folder"
mkdir "$scratch/out"
chown 1000:1000 "$scratch/out"
timed logged docker_run --network none -v "$scratch/out:/study/out" "$IMAGE" make repro PROFILE=smoke
same_tables "$scratch/out"
owned_by 1000:1000 "$scratch/out"
docker_run --network none -v "$scratch/out:/study/out" "$IMAGE" dvc repro 2>&1 | tail -n 1

say "the pages, until the engine calls them healthy"
ui=$("$DOCKER" run -d --network host -e PORT=5599 -v "$scratch/out:/study/out" "$IMAGE" make ui)
for _ in $(seq 120); do
    state=$("$DOCKER" inspect -f '{{.State.Status}} {{.State.Health.Status}}' "$ui")
    [ "$state" = "running starting" ] || break
    sleep 1
done
[ "$state" = "running healthy" ] || fail "the pages are $state: $("$DOCKER" logs "$ui" 2>&1 | tail -n 3)"
python3 -c 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:5599/").status, u.urlopen("http://127.0.0.1:5599/version").read().decode())'
say "$state"
"$DOCKER" rm -f "$ui" >/dev/null

say "as $OTHER, whom no passwd names, in a mounted folder"
mkdir "$scratch/other"
chown "$OTHER" "$scratch/other"
docker_run --network none --user "$OTHER" -v "$scratch/other:/study/out" "$IMAGE" \
    sh -c 'polya profile smoke && polya check && dvc repro questions && dvc status questions' 2>&1 | tail -n 2
owned_by "$OTHER" "$scratch/other"

command -v buildah >/dev/null || fail "there is no buildah: apt-get install buildah podman runc"
say "$(buildah --version) builds"
[ ! -e "$scratch/base.tar" ] || podman "${ROOTS[@]}" import -q "$scratch/base.tar" "$BASE_IMAGE" >/dev/null
timed buildah_build "$scratch/tree"
say "profile smoke in $(podman --version), as $OTHER, without a network, in a mounted checkout"
copy "$scratch/checkout"
without_results "$scratch/checkout"
git clone -q --bare . "$scratch/checkout/.git" && git -C "$scratch/checkout" config core.bare false
chown -R "$OTHER" "$scratch/checkout"
timed logged podman_run --network none --user "$OTHER" -v "$scratch/checkout:/study" "$IMAGE" make repro PROFILE=smoke
same_tables "$scratch/checkout"
owned_by "$OTHER" "$scratch/checkout"
say "all of it passed"

# Sourced by check.sh on a machine without a Docker engine or a registry (root on Debian, with the packages docker.io,
# containerd and mmdebstrap): an engine of its own, a base image from Debian's packages, and an index of one wheel.

start_engine() {
    command -v dockerd >/dev/null || fail "there is no Docker engine, and no dockerd: apt-get install docker.io containerd"
    DOCKER=/usr/bin/docker # the engine's own: a newer one has no builder
    export DOCKER_HOST="unix://$scratch/docker.sock"
    # Bare of bridge and firewall rules, which such a machine may not allow: containers have the host's network, or none.
    dockerd --iptables=false --ip6tables=false --bridge=none --oom-score-adjust 0 --data-root "$scratch/docker" \
        --exec-root "$scratch/exec" --pidfile "$scratch/docker.pid" -H "$DOCKER_HOST" >"$scratch/dockerd.log" 2>&1 &
    engine=$!
    for _ in $(seq 60); do
        "$DOCKER" info >/dev/null 2>&1 && return
        sleep 1
    done
    fail "dockerd does not answer: $(tail -n 1 "$scratch/dockerd.log")"
}

# What python:3.11-slim-bookworm is, as far as the Dockerfile asks: Debian 12 with Python and no git.
make_base() {
    command -v mmdebstrap >/dev/null || fail "there is no mmdebstrap to make a base image with: apt-get install mmdebstrap"
    BASE_TAR=$scratch/base.tar
    mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$BASE_TAR"
}

# pip's own configuration of this machine finds the CPU build of torch; the build sees it as an index on loopback.
serve_torch() {
    local pin
    pin=$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' constraints/cpu.lock)
    mkdir -p "$scratch/index/torch"
    python3 -m pip download -q --no-deps -d "$scratch/index/torch" "$pin" || fail "pip finds no $pin; set TORCH_INDEX"
    python3 -u -m http.server --bind 127.0.0.1 --directory "$scratch/index" 0 >"$scratch/index.log" 2>&1 &
    servers+=($!)
    for _ in $(seq 30); do
        TORCH_INDEX=$(sed -n 's/.*(\(http:[^)]*[0-9]\)\/).*/\1/p' "$scratch/index.log")
        [ -z "$TORCH_INDEX" ] || return 0
        sleep 1
    done
    fail "the index on loopback does not start: $(tail -n 1 "$scratch/index.log")"
}

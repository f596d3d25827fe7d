#!/bin/sh
# What the container does first: it finds or makes the folder of the study, and then runs the command there.
# /study is a mounted checkout, or else /study/out gets a copy of the study that the image carries. All of a study is then
# in one mount: DVC links files between its cache and the workspace, which it cannot do across two.
set -eu
source=/usr/local/src/polya-midtrain

if [ "$1" = help ]; then
    sed "s/@REVISION@/$POLYA_REVISION/" "$source/docker/help.txt"
    exit
fi

fail() {
    echo "polya: $1" >&2
    exit 2
}

work=/study
[ -e /study/dvc.yaml ] || work=/study/out
user=$(id -u):$(id -g)
[ -w "$work" ] ||
    fail "$work: user $user cannot write there; make the folder on the host first, and add --user \"\$(id -u):\$(id -g)\""
mkdir -p "$HOME" 2>/dev/null && [ -w "$HOME" ] ||
    fail "$HOME: user $user cannot write there; mount a folder of this user, or a named volume, for the caches"

if [ ! -e "$work/dvc.yaml" ]; then
    [ -z "$(ls -A "$work")" ] || [ -e "$work/.image" ] ||
        fail "$work: there are files, but no study; mount an empty folder"
    grep -q " $work " /proc/self/mounts ||
        echo "polya: warning: nothing is mounted at $work, so that what is made there ends with this container" >&2
    echo "$POLYA_REVISION" >"$work/.image"
    # dvc.yaml last: without it a copy that was interrupted is made again.
    (cd "$source" && find . -mindepth 1 -maxdepth 1 ! -name dvc.yaml -exec cp -R {} "$work/" \;)
    cp "$source/dvc.yaml" "$work/"
elif [ -e "$work/.image" ] && [ "$(cat "$work/.image")" != "$POLYA_REVISION" ]; then
    echo "polya: warning: $work holds the study of revision $(cat "$work/.image"), which runs as it is;" \
        "this image's is $POLYA_REVISION" >&2
fi

cd "$work"
# A copy without .git is what a downloaded archive is: DVC has to be told.
git rev-parse --git-dir >/dev/null 2>&1 || grep -qs no_scm .dvc/config.local || dvc config --local core.no_scm true
export PYTHONPATH="$work/src"
exec "$@"

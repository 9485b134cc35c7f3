#!/bin/sh
# Lay a commit out as an image holds it: its files alone, its history as a bundle, and what it was built from.
# deploy/Dockerfile runs it, and the test of compose.yaml, so that both stand on the same layout.
#
#   lay_out.sh SOURCE PROJECT IMAGE REPOSITORY
#     SOURCE      a clone (not shallow); the commit is its HEAD, and what is not committed stays out
#     PROJECT     receives the commit's files, and a .git file that leads to the deployment's repository
#     IMAGE       receives image.json and code.bundle (MTAC_IMAGE)
#     REPOSITORY  where the deployment will keep its bare repository (server.repository of the environment)
set -eu
source=$1 project=$2 image=$3 repository=$4

commit=$(git -C "$source" rev-parse HEAD)
mkdir -p "$project" "$image"
git -C "$source" archive --format=tar HEAD | tar -x -C "$project"
lock=$(sha256sum "$project/constraints.txt" | cut -d ' ' -f 1)
git -C "$source" bundle create --quiet "$image/code.bundle" HEAD --branches
printf '{"schema_version": 1, "commit": "%s", "lock": "%s"}\n' "$commit" "$lock" >"$image/image.json"
printf 'gitdir: %s/worktrees/%s\n' "$repository" "code-$(printf %.12s "$commit")" >"$project/.git"
echo "$commit"

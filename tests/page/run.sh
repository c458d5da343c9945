#!/bin/bash
# run.sh FOLDER [--pictures]: the page in real browsers. Installs what it needs into FOLDER and leaves the screenshots there;
# --pictures writes those of the README and the manuals into docs/images/ instead.
set -eu
cd "$(dirname "$0")/../.."
folder=$1
shift
mkdir -p "$folder"
cp tests/page/package.json "$folder/"
[ -d "$folder/node_modules/playwright-core" ] || npm install --prefix "$folder" --no-audit --no-fund --silent
cp tests/page/*.mjs "$folder/"
exec node "$folder/check.mjs" "${CAROUSEL_PROGRAM:-build/carousel}" "$folder" "$@"

#!/bin/bash
# run.sh FOLDER: install what the test of the manifests needs under FOLDER if it is missing, and run it.
set -u
cd "$(dirname "$0")/../.."
folder=$1 here=tests/kubernetes
kserve=kserve==0.21.0 # only its list of types is read, so it comes without the packages that it needs
mkdir -p "$folder"
tests/venv.sh "$folder" $here/requirements.txt || exit
if [ ! -d "$folder/$kserve" ]; then
    echo "  installing $kserve into $folder"
    "$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps --target "$folder/$kserve" "$kserve" || exit
fi
cp $here/package.json $here/custom_resources.mjs "$folder/"
[ -d "$folder/node_modules/typescript" ] || npm install --prefix "$folder" --no-audit --no-fund --silent || exit
"$folder/venv/bin/python" $here/check.py "$folder/run" "$folder/venv/bin/envoy" "$folder/$kserve" "$folder/custom_resources.mjs"

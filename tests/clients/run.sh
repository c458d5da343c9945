#!/bin/bash
# run.sh FOLDER: install OpenAI's, Triton's and KServe's clients and websockets under FOLDER where they are missing,
# and run their tests against the server on the small bundles. Each ends with a line like the one that check prints.
set -u
cd "$(dirname "$0")/../.."
folder=$1 here=tests/clients
mkdir -p "$folder"

tests/venv.sh "$folder" $here/requirements.txt || exit
if ! cmp -s $here/package.json "$folder/package.json" || [ ! -d "$folder/node_modules/openai" ]; then
    echo "  installing the JavaScript client into $folder/node_modules"
    cp $here/package.json "$folder/" &&
        (cd "$folder" && npm install --silent --no-audit --no-fund --no-package-lock) ||
        { rm "$folder/package.json"; exit 1; }
fi

rm -f "$folder/server.log"
. tests/server.sh
server_start --models tests/http/bundles --model tiny-speech=tests/unit/bundles/tiny-speech \
    --model tiny-drawing=tests/unit/bundles/tiny-drawing

failed=0
"$folder/venv/bin/python" $here/test_openai.py "$url/v1" || failed=1
"$folder/venv/bin/python" $here/test_inference.py "$url" || failed=1
"$folder/venv/bin/python" $here/test_websockets.py "$url" || failed=1
test=$PWD/$here/test_openai.mjs
(cd "$folder" && node "$test" "$url/v1") || failed=1

server_stop || failed=1
exit $failed

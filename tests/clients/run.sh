#!/bin/bash
# run.sh FOLDER: install OpenAI's clients under FOLDER where they are missing, and run their tests against the
# server on the small bundles. Each ends with a line like the one that check prints.
set -u
cd "$(dirname "$0")/../.."
folder=$1 here=tests/clients
mkdir -p "$folder"

if ! cmp -s $here/requirements.txt "$folder/requirements.txt"; then
    echo "  installing the Python client into $folder/venv"
    rm -rf "$folder/venv"
    python3 -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install -q --disable-pip-version-check -r $here/requirements.txt &&
        cp $here/requirements.txt "$folder/" || exit
fi
if ! cmp -s $here/package.json "$folder/package.json" || [ ! -d "$folder/node_modules/openai" ]; then
    echo "  installing the JavaScript client into $folder/node_modules"
    cp $here/package.json "$folder/" &&
        (cd "$folder" && npm install --silent --no-audit --no-fund --no-package-lock) || { rm "$folder/package.json"; exit 1; }
fi

rm -f "$folder/server.out"
CAROUSEL_MODELS_FOLDERS=tests/http/bundles "${CAROUSEL_PROGRAM:-build/carousel}" serve --host 127.0.0.1 --port 0 \
    >"$folder/server.out" 2>"$folder/server.log" &
server=$!
trap 'kill $server 2>/dev/null' EXIT
for _ in {1..100}; do
    url=$(sed -n 's/^carousel: listening on //p' "$folder/server.out" 2>/dev/null)
    [ -n "$url" ] && break
    sleep 0.1
done
[ -n "$url" ] || { echo "the server did not start:"; cat "$folder/server.log"; exit 1; }

failed=0
"$folder/venv/bin/python" $here/test_openai.py "$url/v1" || failed=1
test=$PWD/$here/test_openai.mjs
(cd "$folder" && node "$test" "$url/v1") || failed=1

trap - EXIT
kill $server && wait $server || { echo "the server ended badly:"; tail -20 "$folder/server.log"; failed=1; }
exit $failed

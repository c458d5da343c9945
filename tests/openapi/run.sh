#!/bin/bash
# run.sh FOLDER: install schemathesis under FOLDER where it is missing, and let it try the live server against
# docs/openapi.yaml: every route with examples, with every boundary of the schemas and with random bodies, right
# and wrong ones. Ends with a line like the one that check prints.
set -u
cd "$(dirname "$0")/../.."
here=tests/openapi
mkdir -p "$1" && folder=$(cd "$1" && pwd) || exit

if ! cmp -s $here/requirements.txt "$folder/requirements.txt"; then
    echo "  installing schemathesis into $folder/venv"
    rm -rf "$folder/venv"
    python3 -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install -q --disable-pip-version-check -r $here/requirements.txt &&
        cp $here/requirements.txt "$folder/" || exit
fi

rm -f "$folder/server.out"
CAROUSEL_TIMEOUTS_REQUEST_MS=2000 "${CAROUSEL_PROGRAM:-build/carousel}" serve --models zoo --host 127.0.0.1 --port 0 \
    >"$folder/server.out" 2>"$folder/server.log" &
server=$!
trap 'kill $server 2>/dev/null' EXIT
for _ in {1..300}; do
    url=$(sed -n 's/^carousel: listening on //p' "$folder/server.out" 2>/dev/null)
    [ -n "$url" ] && break
    sleep 0.1
done
[ -n "$url" ] || { echo "the server did not start:"; cat "$folder/server.log"; exit 1; }

failures=0
# The document is YAML, and what the server gives is the same.
"$folder/venv/bin/python" - "$url/openapi.json" <<'EOF' || failures=1
import json, sys, urllib.request, yaml
served = json.load(urllib.request.urlopen(sys.argv[1]))
sys.exit("docs/openapi.yaml and /openapi.json differ" if served != yaml.safe_load(open("docs/openapi.yaml")) else 0)
EOF

# Its own folder is what the tool writes to, and where it finds the hooks.
cp $here/schemathesis.toml $here/hooks.py "$folder/"
(cd "$folder" && PYTHONPATH=. venv/bin/schemathesis --no-color --config-file schemathesis.toml run "$url/openapi.json" \
    --checks all --phases examples,coverage,fuzzing --max-examples "${EXAMPLES:-100}" --request-timeout 30 \
    --continue-on-failure --seed "${SEED:-1}" --generation-database none) >"$folder/schemathesis.log" 2>&1
code=$?
read -r cases found < <(sed -n 's/^  \([0-9]*\) generated.*/\1/p;s/^  [0-9]* generated.* found \([0-9]*\) .*/\1/p' \
    "$folder/schemathesis.log" | tr '\n' ' ')
if [ $code != 0 ] || [ -z "${cases:-}" ]; then
    sed -n '/FAILURES\|ERRORS/,$p' "$folder/schemathesis.log"
    failures=$((failures + ${found:-1}))
fi

trap - EXIT
kill $server && wait $server || { echo "the server ended badly:"; tail -20 "$folder/server.log"; failures=$((failures + 1)); }
checks=$((${cases:-0} + 2))
echo "openapi: $(((checks - failures) * 100 / checks))%: Checks: $checks, Failures: $failures, Errors: 0"
[ $failures = 0 ]

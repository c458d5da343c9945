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

failures=0 checks=0 server=0 url=
trap '[ $server = 0 ] || kill $server 2>/dev/null' EXIT

# start SETTING...: a server on the zoo whose deadlines are short.
start() {
    rm -f "$folder/server.out"
    env CAROUSEL_TIMEOUTS_REQUEST_MS=2000 "CAROUSEL_HTTP_CORS_ORIGINS=*" "$@" "${CAROUSEL_PROGRAM:-build/carousel}" serve --models zoo \
        --host 127.0.0.1 --port 0 >"$folder/server.out" 2>>"$folder/server.log" &
    server=$!
    for _ in {1..300}; do
        url=$(sed -n 's/^carousel: listening on //p' "$folder/server.out" 2>/dev/null)
        [ -z "$url" ] || return 0
        sleep 0.1
    done
    echo "the server did not start:"
    cat "$folder/server.log"
    exit 1
}

stop() {
    kill $server && wait $server || { echo "the server ended badly:"; tail -20 "$folder/server.log"; failures=$((failures + 1)); }
    checks=$((checks + 1)) server=0
}

# attempt NAME OPTION...: let the tool try it. Its own folder is what it writes to, and where it finds the hooks.
attempt() {
    local log=$folder/$1.log code cases found
    shift
    (cd "$folder" && PYTHONPATH=. venv/bin/schemathesis --no-color --config-file schemathesis.toml run "$url/openapi.json" \
        --checks all --phases examples,coverage,fuzzing --request-timeout 30 --continue-on-failure --seed "${SEED:-1}" \
        --generation-database none "$@") >"$log" 2>&1
    code=$?
    cases=$(sed -n 's/^  \([0-9]*\) generated.*/\1/p' "$log")
    found=$(sed -n 's/^  [0-9]* generated.* found \([0-9]*\) .*/\1/p' "$log")
    if [ $code != 0 ] || [ -z "$cases" ]; then
        sed -n '/FAILURES\|ERRORS/,$p' "$log"
        failures=$((failures + ${found:-1}))
    fi
    checks=$((checks + ${cases:-1}))
}

rm -f "$folder/server.log"
cp $here/schemathesis.toml $here/hooks.py "$folder/"
start
# The document is YAML, and what the server gives is the same.
checks=$((checks + 1))
"$folder/venv/bin/python" - "$url/openapi.json" <<'EOF' || failures=$((failures + 1))
import json, sys, urllib.request, yaml
served = json.load(urllib.request.urlopen(sys.argv[1]))
sys.exit("docs/openapi.yaml and /openapi.json differ" if served != yaml.safe_load(open("docs/openapi.yaml")) else 0)
EOF
attempt without-keys --max-examples "${EXAMPLES:-100}" --exclude-path-regex 'repository|reload'
stop
# Where there are keys: with one that may do everything, administration too, which comes last, for it unloads models.
echo "all sha256:$(printf ck_openapi | sha256sum | cut -d' ' -f1) scopes=infer,metrics,admin" >"$folder/keys"
start CAROUSEL_AUTH_KEYS_FILE="$folder/keys"
attempt with-key --max-examples 10 -H "Authorization: Bearer ck_openapi" --exclude-path-regex 'repository|reload'
attempt administration --max-examples 50 -H "Authorization: Bearer ck_openapi" --include-path-regex 'repository|reload'
stop
echo "openapi: $(((checks - failures) * 100 / checks))%: Checks: $checks, Failures: $failures, Errors: 0"
[ $failures = 0 ]

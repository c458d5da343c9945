#!/bin/bash
# run.sh FOLDER: install schemathesis under FOLDER where it is missing, and let it try the live server against
# docs/openapi.yaml: every route with examples, with every boundary of the schemas and with random bodies,
# right and wrong ones. Ends with a line like the one that check prints.
set -u
cd "$(dirname "$0")/../.."
here=tests/openapi
mkdir -p "$1" && folder=$(cd "$1" && pwd) || exit

tests/venv.sh "$folder" $here/requirements.txt || exit
. tests/server.sh
failures=0 checks=0

# start SETTING...: a server on the zoo whose deadlines are short, and that can seal states.
start() {
    server_start --models zoo --set timeouts.request_ms=2000 --set "http.cors_origins=*" \
        --set sessions.seal_keys_file="$folder/seals" "$@"
}
stop() {
    checks=$((checks + 1))
    server_stop || failures=$((failures + 1))
}

# attempt NAME OPTION...: let the tool try it. Its own folder is what it writes to, and where it finds the
# hooks.
attempt() {
    local log=$folder/$1.log code cases found
    shift
    (cd "$folder" && PYTHONPATH=. venv/bin/schemathesis --no-color --config-file schemathesis.toml \
        run "$url/openapi.json" --checks all --phases examples,coverage,fuzzing --request-timeout 30 \
        --continue-on-failure --seed "${SEED:-1}" --generation-database none "$@") >"$log" 2>&1
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
(umask 077 && printf 'k1 %064d\n' 1 >"$folder/seals")
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
# Where there are keys: with one that may do everything, administration too, which comes last, for it unloads
# models.
echo "all sha256:$(printf ck_openapi | sha256sum | cut -d' ' -f1) scopes=infer,metrics,admin" >"$folder/keys"
# A reload at its share of a processor would take seconds, and others wait behind it.
start --set auth.keys_file="$folder/keys" --set models.load_percent=100
attempt with-key --max-examples 10 -H "Authorization: Bearer ck_openapi" --exclude-path-regex 'repository|reload'
attempt administration --max-examples 50 -H "Authorization: Bearer ck_openapi" --include-path-regex 'repository|reload'
stop
echo "openapi: $(((checks - failures) * 100 / checks))%: Checks: $checks, Failures: $failures, Errors: 0"
[ $failures = 0 ]

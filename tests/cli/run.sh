#!/bin/bash
# The command line: subcommands, flags, exit codes, and where settings come from. Ends with a line like the
# one that check prints. CAROUSEL_PROGRAM is the program, CAROUSEL_SCRATCH a folder to write to.
set -u
cd "$(dirname "$0")/../.."
program=${CAROUSEL_PROGRAM:-build/carousel}
scratch=${CAROUSEL_SCRATCH:-build/scratch}/cli
bundles=tests/http/bundles
mkdir -p "$scratch"
out=$scratch/out err=$scratch/err
checks=0 failures=0

# run CODE ARGUMENT...: run carousel on the small bundles; it must end with CODE.
run() {
    local expected=$1 code
    shift
    checks=$((checks + 1)) last="carousel $*"
    timeout 60 "$program" "$@" >"$out" 2>"$err" <"${input:-/dev/null}"
    code=$?
    [ $code = "$expected" ] || bad "ended with $code instead of $expected"
}

bad() {
    failures=$((failures + 1))
    echo "FAILED: $last: $1"
    head -c 600 "$out" "$err"
}

# says PATTERN / complains PATTERN: on stdout, on stderr (an extended regular expression).
says() { checks=$((checks + 1)); grep -Eq -- "$1" "$out" || bad "does not say '$1'"; }
complains() { checks=$((checks + 1)); grep -Eq -- "$1" "$err" || bad "does not complain of '$1'"; }
is_silent() { checks=$((checks + 1)); [ ! -s "$1" ] || bad "writes to $1"; }
# same FILE: stdout is that file's.
same() { checks=$((checks + 1)); cmp "$out" "$1" || bad "differs from $1"; }

# --- asking the program about itself
run 0 --version
says '^carousel [^ ]+$'
run 0 --help
says 'carousel serve'
for flag in --config --port --models --model --set --max-tokens --temperature --horizon --quantiles --top-k \
    --check-config --print-config --version --scopes --keys; do says "$flag"; done
run 2
complains 'carousel serve'
run 2 dance
complains 'no command dance'
run 2 serve --fast
complains 'no option --fast'
run 2 serve extra
complains 'no argument, found extra'
run 2 serve --model x
complains '--model x: serve expects NAME=PATH'
run 2 serve --port
complains '--port needs a value'
run 2 serve --port eighty
complains 'port'
run 2 serve --port 65536
complains '65536'
run 2 forecast --max-tokens 3 1 2
complains '--max-tokens does not go with this command'
run 2 --version=3

# --- the configuration
run 0 --print-config
same config.example.ini
run 0 --check-config --config config.example.ini
is_silent "$out"
run 0 --print-config --config config.example.ini
same config.example.ini
run 2 --check-config --config "$scratch/nowhere.ini"
complains 'nowhere.ini'

printf '[server]\nport = 9001\nhost = 0.0.0.0\n[limits]\nbody_bytes = 2MiB\n' >"$scratch/good.ini"
run 0 --print-config --config "$scratch/good.ini"
says '^port = 9001$'
says '^body_bytes = 2097152$'
cp "$out" "$scratch/printed.ini"
run 0 --print-config --config "$scratch/printed.ini" # what it prints it reads
same "$scratch/printed.ini"
CAROUSEL_SERVER_PORT=9002 run 0 --print-config --config "$scratch/good.ini" # environment over file
says '^port = 9002$'
says '^host = 0.0.0.0$'
CAROUSEL_SERVER_PORT=9002 run 0 --print-config --config "$scratch/good.ini" --port 9003 # flag over both
says '^port = 9003$'
run 0 --print-config --set scheduler.workers=3 --set=limits.json_depth=7
says '^workers = 3$'
says '^json_depth = 7$'

# Each row: what stands in the file | what the complaint names.
while IFS='|' read -r text pattern; do
    # shellcheck disable=SC2059
    printf "$text" >"$scratch/bad.ini"
    run 2 --check-config --config "$scratch/bad.ini"
    complains "$pattern"
done <<'ROWS'
[server]\nport = many\n|bad.ini:2.*port
[server]\nport = -1\n|bad.ini:2.*-1
[server]\nport = 65536\n|bad.ini:2.*65536
[server]\n\nprot = 80\n|bad.ini:3.*prot
[sevrer]\nport = 80\n|bad.ini:.*sevrer
[server]\nport = 80\nport = 81\n|bad.ini:3.*port
[server]\nport\n|bad.ini:2
[server\nport = 80\n|bad.ini:1
port = 80\n|bad.ini:1
[models]\nprecision = float8\n|bad.ini:2.*float8
[http]\nstrict_json = perhaps\n|bad.ini:2.*perhaps
[limits]\nbody_bytes = 4TB\n|bad.ini:2.*4TB
[limits]\nbody_bytes = 1\n|bad.ini:2.*body_bytes
[timeouts]\nbody_s = 99999999999999999999\n|bad.ini:2.*body_s
ROWS
CAROUSEL_SERVER_PROT=1 run 2 --check-config
complains 'CAROUSEL_SERVER_PROT'
CAROUSEL_SERVER_PORT=x run 2 --check-config
complains 'CAROUSEL_SERVER_PORT|server.port'
run 2 --check-config --set scheduler.max_batch=4096
complains 'scheduler.max_rows is 2048.*scheduler.max_batch, which is 4096'
run 2 serve --set scheduler.max_rows=63
complains 'scheduler.max_rows is 63'
run 0 --check-config --set scheduler.max_batch=4096 --set scheduler.max_rows=4096
run 2 --check-config --set server.prot=1
complains "no key 'prot' in section \[server\]; did you mean 'port'\?"
run 2 --check-config --set server.zeal=1
complains 'carousel --print-config lists all'
run 2 --check-config --set server
complains 'section.key=value'

# --- standard streams that are closed do not become sockets
"$program" serve --port 0 --models "$bundles" --set log.access=false >"$out" 2>&- <&- &
pid=$!
for i in {1..300}; do grep -q listening "$out" && break; sleep 0.1; done
last="a server without stdin and stderr" checks=$((checks + 1))
[ "$(readlink /proc/$pid/fd/0 /proc/$pid/fd/2 | sort -u)" = /dev/null ] || bad "has $(readlink /proc/$pid/fd/0 /proc/$pid/fd/2) there"
kill $pid && wait $pid || bad "ended with $?"

# --- keys
rm -f "$scratch/keys"
run 0 keys add website --keys "$scratch/keys" --scopes infer,metrics --requests-per-minute 60 --steps-per-minute 5000 --weight 2 \
    --max-priority -3
says '^ck_[0-9a-f]{64}$'
complains 'only time'
key=$(cat "$out") last="the file of keys"
checks=$((checks + 2))
grep -q "^website sha256:$(printf %s "$key" | sha256sum | cut -d' ' -f1) scopes=infer,metrics requests_per_minute=60 steps_per_minute=5000 weight=2 max_priority=-3\$" \
    "$scratch/keys" || bad "does not hold the hash"
[ "$(stat -c %a "$scratch/keys")" = 600 ] || bad "is not private"
printf '# no newline' >>"$scratch/keys"
run 0 keys add root --set auth.keys_file="$scratch/keys" --scopes=admin
checks=$((checks + 1)); [ "$(cat "$out")" != "$key" ] || bad "gives the same key twice"
run 0 keys list --keys "$scratch/keys"
says '^website.scopes=infer,metrics.requests_per_minute=60.steps_per_minute=5000.weight=2.max_priority=-3$'
says '^root.scopes=admin.requests_per_minute=0.steps_per_minute=0.weight=1.max_priority=default$'
run 2 keys add website --keys "$scratch/keys"
complains "has a key 'website' already"
run 2 keys add we/b --keys "$scratch/keys"
run 2 keys add other --keys "$scratch/keys" --scopes root
complains 'infer, metrics and admin'
run 2 keys add other --keys "$scratch/keys" --weight 0
run 2 keys add other --keys "$scratch/keys" --max-priority 11
complains '--max-priority 11: expected -10 to 10'
run 2 keys add other
complains '--keys FILE'
run 2 keys add --keys "$scratch/keys"
run 2 keys
run 2 keys drop website --keys "$scratch/keys"
printf 'broken\n' >>"$scratch/keys"
run 1 keys list --keys "$scratch/keys"
complains 'keys:4: expected'
run 1 serve --port 0 --models "$bundles" --keys "$scratch/keys"
complains 'keys:4: expected'
run 1 serve --port 0 --models "$bundles" --keys "$scratch/nowhere"
complains 'cannot open keys'

# --- health
run 1 health --port 1
complains 'not healthy: cannot connect to 127.0.0.1 port 1: '
run 1 health --port 0
complains 'by --port'
run 1 health --set server.unix_socket="$scratch/no-socket"
complains 'cannot connect to .*no-socket'
run 2 health now

# --- inspect
for bundle in "$bundles"/tiny-*; do
    run 0 inspect "$bundle"
    is_silent "$err"
done
run 0 inspect "$bundles/tiny-labels"
says 'text-classification'
says 'lstm'
says 'positive'
says 'as float32$'
run 0 inspect "$bundles/tiny-labels/" --set models.precision=auto,tiny-labels=int8
says 'as int8$'
run 1 inspect "$scratch"
complains "'config.json' is missing; a bundle is a folder"
run 2 inspect
run 2 inspect a b
rm -rf "$scratch/broken" && cp -r "$bundles/tiny-series" "$scratch/broken"
truncate -s -8 "$scratch/broken/model.safetensors"
run 1 inspect "$scratch/broken"
complains 'model.safetensors|offset|bytes'
for bundle in zoo/*/; do
    run 0 inspect "$bundle"
    says '^sha256 +[0-9a-f]{64}, as config.json expects$'
done
rm -rf "$scratch/flipped" && mkdir "$scratch/flipped" && cp zoo/digits/*.json zoo/digits/model.safetensors "$scratch/flipped"
printf '\001' | dd of="$scratch/flipped/model.safetensors" bs=1 seek=100000 conv=notrunc 2>"$err"
run 1 inspect "$scratch/flipped"
complains 'model.safetensors: its sha256 is [0-9a-f]{64}, but config.json expects [0-9a-f]{64}: the file is damaged, '
sed -i '/"sha256"/d' "$scratch/flipped/config.json"
run 0 inspect "$scratch/flipped"
says '^sha256 +[0-9a-f]{64}$'

# --- generate
m="--models $bundles"
# shellcheck disable=SC2086
{
    run 0 generate $m --model tiny-characters --max-tokens 20 --seed 1 hello
    is_silent "$err"
    cp "$out" "$scratch/hello"
    checks=$((checks + 1)); [ "$(head -c -1 "$out" | wc -m)" -ge 20 ] || bad "fewer than 20 characters"
    run 0 generate $m --model tiny-characters --max-tokens 20 --seed 1 --prompt hello
    same "$scratch/hello"
    printf hello >"$scratch/prompt"
    input=$scratch/prompt run 0 generate $m --model=tiny-characters --max-tokens=20 --seed=1 -
    same "$scratch/hello"
    run 0 generate --model "tiny-characters=$bundles/tiny-characters" --set models.folders="$bundles" \
        --max-tokens 20 --seed 1 hello
    same "$scratch/hello"
    run 0 generate $m --model tiny-characters --max-tokens 5 --temperature 0 --n 2 a
    says '^----$'
    run 2 generate $m --model tiny-characters two prompts
    complains 'one prompt'
    run 1 generate $m hello
    complains '--model NAME is needed'
    run 1 generate $m --model nobody hello
    complains "no model 'nobody'; name one of: .*tiny-characters"
    run 1 generate $m --model tiny-series hello
    complains 'cannot do this; name one of: .*tiny-characters'
    run 1 forecast --model "tiny-characters=$bundles/tiny-characters" --set models.folders= 1 2
    complains 'cannot do this; name a folder that holds one by --models'
    run 1 generate $m --model tiny-characters HELLO
    complains 'H'
    run 2 generate $m --model tiny-characters --max-tokens lots hello
    complains '--max-tokens lots'
    run 2 generate $m --model tiny-characters --temperature -1 hello
    run 1 generate $m --model tiny-characters --n 0 hello
    run 1 generate --models "$scratch/nowhere" --model tiny-characters hello
    complains 'nowhere'

    # --- forecast
    run 0 forecast $m --horizon 3 2 4 8
    checks=$((checks + 1)); [ "$(grep -Ecx -- '-?[0-9.e+-]+' "$out")" = 3 ] || bad "not three numbers"
    run 0 forecast $m --horizon 2 --quantiles 0.1,0.9 --seed 1 -- -2 null 8.5
    says '^mean.0\.1.0\.9$'
    run 2 forecast $m
    complains 'values of a series'
    run 2 forecast $m 1 two
    complains "'two' is no number"
    run 2 forecast $m --quantiles 0.5,2 1 2
    run 1 forecast $m --horizon 0 1 2
    run 1 forecast $m null null
    complains '.'

    # --- classify
    run 0 classify $m --model tiny-labels --top-k 1 "a good film" "a bad film"
    checks=$((checks + 1)); [ "$(wc -l <"$out")" = 2 ] || bad "not two lines"
    says '^(positive|neutral|negative).[01]\.[0-9]+$'
    run 2 classify $m --model tiny-labels
    printf '1 0 -2\n0.5 1 -1\n' >"$scratch/rows"
    input=$scratch/rows run 0 classify $m --model tiny-gestures
    says '(left|right|up|down)'
    printf '1 0\n' >"$scratch/rows"
    input=$scratch/rows run 2 classify $m --model tiny-gestures
    complains 'steps of 3 numbers'
    printf '1 0 x\n' >"$scratch/rows"
    input=$scratch/rows run 2 classify $m --model tiny-gestures
}

# --- serve
run 1 serve --host 203.0.113.1 --port 0 --models "$bundles" # nobody's address
complains '203.0.113.1'
run 1 serve --port 0 --models "$bundles" --set http.cors_origins=example.org
complains "'example.org' is no origin"
run 1 serve --port 0 --models "$bundles" --set tls.certificate="$scratch/nowhere.pem"
complains 'nowhere.pem'
run 1 serve --port 0 --models "$bundles" --set tls.private_key="$scratch/nowhere.key"
complains 'both tls.certificate and tls.private_key'
: >"$scratch/file"
run 1 serve --models "$bundles" --set server.unix_socket="$scratch/file"
complains 'no socket is in its place'
run 1 serve --models "$bundles" --set server.unix_socket="$scratch/$(printf '%0100d' 0)"
complains 'longer than 100 bytes'
run 1 serve --models "$bundles" --set server.unix_socket="$scratch/s" --set tls.certificate=x
complains 'do not go together'
# Who names bundles needs no folder called zoo.
program=$(realpath "$program") here=$PWD out=$(realpath "$out") err=$(realpath "$err")
cd "$scratch" || exit 1
run 0 generate --model "m=$here/$bundles/tiny-characters" --max-tokens 3 --seed 1 hello
is_silent "$err"
run 1 generate --model m --max-tokens 3 hello
complains "folder 'zoo': .*; name a folder of bundles by --models DIR"
run 1 serve --port 0
complains "folder 'zoo'"
run 1 serve --port 0 --models zoo --model "m=$here/$bundles/tiny-characters" # asked for
complains "folder 'zoo'"
last="carousel serve --model m=PATH" checks=$((checks + 2))
timeout 60 "$program" serve --port 0 --model "m=$here/$bundles/tiny-characters" >"$out" 2>"$err" &
for _ in {1..300}; do
    [ ! -s "$out" ] && kill -0 $! 2>/dev/null || break
    sleep 0.1
done
kill $! 2>/dev/null
wait $! || [ $? = 124 ] || bad "ended badly"
grep -q '^carousel: listening on http' "$out" && grep -q 'model m:1 .* loaded' "$err" || bad "does not serve m"
cd "$here" || exit 1
run 1 serve --port 0 --models "$scratch/nowhere"
complains 'nowhere'
complains '^20'
# Where stderr is the journal's, a line begins with its level.
: >"$err"
JOURNAL_STREAM=$(stat -c %d:%i "$err") run 1 serve --port 0 --models "$scratch/nowhere"
complains '^<3>20.* error '
JOURNAL_STREAM=1:1 run 1 serve --port 0 --models "$scratch/nowhere"
complains '^20'

echo "cli: $(((checks - failures) * 100 / checks))%: Checks: $checks, Failures: $failures, Errors: 0"
[ $failures = 0 ]

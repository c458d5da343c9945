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
# One number for the program, the description of its routes and the package: CHANGELOG.md's first.
release=$(sed -n 's/^## \[\([^]]*\)\].*/\1/p' CHANGELOG.md | head -1)
says "^carousel ${release//./\\.}(\+g[0-9a-f]+(-dirty)?)?$"
grep '^    "version": ' docs/openapi.yaml >"$out"
says "^    \"version\": \"${release//./\\.}\",$"
# The package has the licence of each bundle, in Debian's words; of those that are not named it is Apache-2.0.
for config in zoo/*/config.json; do
    licence=$(sed -n 's/^ *"license": "\(.*\)",$/\1/p' "$config")
    [ "$licence" = Apache-2.0 ] || echo "${config%/*}/* $licence"
done | sed 's/MIT/Expat/; s/ AND / and /' | sort >"$scratch/licences"
awk '/^Files:/ { n = split($0, files, " ") }
     /^License:/ { sub(/^License: /, ""); for (; n > 1; n--) if (files[n] ~ /^zoo/) print files[n], $0 }' docker/debian/copyright | sort >"$out"
last="the licences of docker/debian/copyright"
same "$scratch/licences"
run 0 --help
says 'carousel serve'
says 'carousel models'
for flag in --config --host --port --models --model --set --keys --check-config --print-config --version; do says "^  $flag "; done
cp "$out" "$scratch/help"
for word in help -h; do
    run 0 $word
    same "$scratch/help"
done
run 0 version
says '^carousel [^ ]+$'
CAROUSEL_SERVER_PORT=bad run 0 version # needs no settings
CAROUSEL_SERVER_PORT=bad run 0 help
run 2 version 3
complains 'version takes no argument, found 3'
# Each row: a command | the options that its help lists.
while read -r command flags; do
    run 0 help "$command"
    says "^carousel $command"
    for flag in $flags --config --set; do says "^  $flag "; done
    cp "$out" "$scratch/help"
    run 0 "$command" --help
    same "$scratch/help"
done <<'ROWS'
serve --host --port --models
inspect --set
models --models
generate --max-tokens --temperature --top-k --top-p --min-p --n --stop --seed --prompt
forecast --horizon --quantiles --num-samples --seed
classify --top-k
predict --return --top-k
pronounce --alphabet --n
answer --n
caption --n
ask --models
keys --scopes --requests-per-minute --steps-per-minute --weight --max-priority --keys
health --port
version --version
help --help
completion --help
ROWS
run 0 help classify
checks=$((checks + 1)); ! grep -q -- --horizon "$out" || bad "lists an option of another command"
run 0 serve extra --help
run 2 help dance
complains 'no command dance'
run 2 help serve health
complains 'one COMMAND'

# --- completion. completes WORD... : what bash offers for the last WORD, in $out.
run 2 completion
complains 'carousel completion bash'
run 2 completion fish
run 0 completion bash
cp "$out" "$scratch/completion"
completes() {
    last="completion of carousel $*"
    # shellcheck disable=SC2016
    bash -c 'source "$1" && shift && compopt() { :; } && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && _carousel &&
        printf "%s\n" "${COMPREPLY[@]}"' bash "$scratch/completion" carousel "$@" >"$out" 2>"$err" || bad "fails"
    is_silent "$err"
}
offers() { checks=$((checks + 1)); [ "$(tr '\n' ' ' <"$out")" = "$1 " ] || bad "offers $(tr '\n' ' ' <"$out"), not $1"; }
completes ''
offers 'serve inspect import models generate forecast classify predict pronounce answer caption ask keys health version help completion'
completes he
offers 'health help'
completes --config tests/cli/run.sh help gen
offers generate
completes generate --max
offers --max-tokens
completes forecast --max
offers ''
completes forecast --qu
offers '--quantiles --quantile-levels'
completes serve --set server.po
offers server.port=
completes serve --config tests/cli/r
offers tests/cli/run.sh
completes serve --models tests/fuz
offers tests/fuzz
completes inspect tests/fuz
offers tests/fuzz
completes keys ''
offers 'add list'
completes completion ''
offers bash
completes serve --port --
offers ''
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

# --- little memory: the program says so and ends. Sanitizers need more address space than there is.
little() { (ulimit -v 150000 && timeout 60 "$program" "$@" >"$out" 2>"$err" </dev/null); }
if little --version; then
    checks=$((checks + 1)) last="carousel --version, in 60 MB"
    (ulimit -v 60000 && timeout 60 "$program" --version >"$out" 2>"$err") || bad "ended with $?"
    for kernels in auto openblas; do
        checks=$((checks + 1)) last="carousel classify with kernels=$kernels, in 150 MB"
        little classify --set scheduler.kernels=$kernels --models "$bundles" --model tiny-labels abc
        [ $? -lt 124 ] || bad "did not end"
    done
    complains 'address space|not in this build'
fi

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
PORT=9004 run 0 --print-config # PORT stands for the default alone
says '^port = 9004$'
PORT=9004 run 0 --print-config --config "$scratch/good.ini"
says '^port = 9001$'
AIP_HTTP_PORT=9005 run 0 --print-config # Vertex AI's name of it
says '^port = 9005$'
PORT=9004 AIP_HTTP_PORT=9005 run 0 --print-config
says '^port = 9004$'
PORT=tcp://10.0.0.1:80 run 2 --check-config
complains 'environment: PORT: server.port is .tcp://'
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

# --- import, which is another program
files=tests/import/files
rm -rf "$scratch/imported"
run 0 import --help
says '^usage: carousel import'
run 0 import $files/writer.pt --tokenizer=$files/letters.json -o "$scratch/imported"
says 'hidden_size  *6  *from rnn.weight_hh_l0'
says 'cases met by the server'
run 0 inspect "$scratch/imported"
says 'lstm'
says 'they prove the conversion, not the meaning'
run 1 import $files/writer.pt --tokenizer $files/letters.json -o "$scratch/imported"
complains 'is there already'
run 2 import $files/writer.pt
complains 'by --tokenizer FILE'
run 1 import $files/optimizer.pt
complains 'optimizer'
run 2 import
complains 'FILE is missing'
run 2 import a b
complains 'one FILE'
run 2 import a --pooling
complains 'needs a value'
run 2 import a --poling last
complains 'is not known'
run 0 import $files/writer.pt --tokenizer $files/letters.json --dry-run
checks=$((checks + 1)); [ ! -e writer ] || bad "a dry run writes"

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
    [ -e "$bundle/config.json" ] || continue # a recipe that has not been run
    run 0 inspect "$bundle"
    says '^sha256 +[0-9a-f]{64}, as config.json expects$'
done
rm -rf "$scratch/a b" && cp -r "$bundles/tiny-series" "$scratch/a b"
run 1 inspect "$scratch/a b"
complains "model name 'a b', expected a letter or digit"
rm -rf "$scratch/tiny" && mkdir "$scratch/tiny" && cp -r "$bundles/tiny-series" "$scratch/tiny/3"
run 0 inspect "$scratch/tiny/3"
rm -rf "$scratch/flipped" && mkdir "$scratch/flipped" && cp zoo/digits/*.json zoo/digits/model.safetensors "$scratch/flipped"
printf '\001' | dd of="$scratch/flipped/model.safetensors" bs=1 seek=100000 conv=notrunc 2>"$err"
run 1 inspect "$scratch/flipped"
complains 'model.safetensors: its sha256 is [0-9a-f]{64}, but config.json expects [0-9a-f]{64}: the file is damaged, '
sed -i '/"sha256"/d' "$scratch/flipped/config.json"
run 0 inspect "$scratch/flipped"
says '^sha256 +[0-9a-f]{64}$'

# --- models
run 0 models --models "$bundles"
is_silent "$err"
says "^tiny-labels$(printf '\t')1$(printf '\t')text-classification$(printf '\t')float32$(printf '\t')[1-9][0-9]*$"
checks=$((checks + 1)); [ "$(wc -l <"$out")" = "$(printf '%s\n' "$bundles"/tiny-* | wc -l)" ] || bad "does not list all"
run 0 models --model "b=$bundles/tiny-series" --model "a=$bundles/tiny-labels" --set models.folders= --set models.precision=int8
checks=$((checks + 1)); [ "$(cut -f1,4 "$out" | tr '\t\n' '  ')" = 'a int8 b int8 ' ] || bad "does not list a and b as int8"
run 1 models --model "b=$bundles/tiny-series" --model "broken=$scratch/broken" --set models.folders= # one is refused
says '^b.1.forecasting'
complains 'model broken: '
run 1 models --models "$scratch/nowhere"
complains 'nowhere'
run 2 models extra

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
    complains 'cannot complete a text; name one of: .*tiny-characters'
    run 1 forecast --model "tiny-characters=$bundles/tiny-characters" --set models.folders= 1 2
    complains 'cannot forecast; name a folder that holds one by --models'
    run 1 generate $m --model tiny-characters HELLO
    complains 'H'
    run 1 generate $m --model tiny-characters $'hello \xff'
    complains 'not UTF-8'
    run 2 generate $m --model tiny-characters --max-tokens lots hello
    complains '--max-tokens lots'
    run 2 generate $m --model tiny-characters --temperature -1 hello
    run 1 generate $m --model tiny-characters --n 0 hello
    run 1 generate $m --model tiny-characters --max-tokens 99999 hello # the limits are the route's
    complains "'max_tokens' is 99999; expected an integer from 1 to 16384"
    run 0 ask $m /v1/completions '{"model":"tiny-characters","prompt":"hello","seed":1,"max_tokens":20}'
    checks=$((checks + 1)); grep -qF "\"text\":\"$(cat "$scratch/hello")\"" "$out" || bad "writes another text"
    run 1 generate --models "$scratch/nowhere" --model tiny-characters hello
    complains 'nowhere'

    # --- independent labels: each has a score of its own
    rm -rf "$scratch/independent" && cp -r "$bundles/tiny-gestures" "$scratch/independent"
    sed -i 's/"labels": /"activation": "sigmoid", "labels": /' "$scratch/independent/config.json"
    printf '1 0 -2\n' >"$scratch/row"
    input=$scratch/row run 0 classify --model "independent=$scratch/independent" --set models.folders=
    checks=$((checks + 1))
    awk '{ s = $2 + $4 + $6 + $8; exit (s > 0.99 && s < 1.01) }' "$out" || bad "scores of independent labels sum to 1"
    run 0 inspect "$scratch/independent"
    says 'activation      sigmoid: independent labels'

    # --- forecast
    run 0 forecast $m --horizon 3 2 4 8
    checks=$((checks + 1)); [ "$(grep -Ecx -- '-?[0-9.e+-]+' "$out")" = 3 ] || bad "not three numbers"
    run 0 forecast $m --horizon 2 --quantiles 0.1,0.9 --seed 1 -- -2 null 8.5
    says '^mean.0\.1.0\.9$'
    run 0 forecast $m --h 3 2 4 8
    checks=$((checks + 1)); [ "$(wc -l <"$out")" = 3 ] || bad "not three lines"
    run 0 forecast $m --prediction-length 2 --quantile-levels 0.1 2 4 8
    says '^mean.0\.1$'
    run 0 forecast --models zoo --model numbers --horizon 3 1000000001 1000000002 1000000003 1000000004
    checks=$((checks + 1)); [ "$(tr '\n' ' ' < "$out")" = '1000000005 1000000006 1000000007 ' ] || bad "not 5, 6, 7"
    run 2 forecast $m
    complains 'values of a series'
    run 2 forecast $m 1 2
    complains 'needs --horizon'
    run 2 forecast $m --horizon 1 1 two
    complains "'two' is no number"
    run 2 forecast $m --quantiles 0.5,2 1 2
    run 1 forecast $m --horizon 0 1 2
    run 1 forecast $m --horizon 1 null null
    complains '.'

    # --- classify
    run 0 classify $m --model tiny-labels --top-k 1 "a good film" "a bad film"
    checks=$((checks + 1)); [ "$(wc -l <"$out")" = 2 ] || bad "not two lines"
    says '^(positive|neutral|negative).[01]\.[0-9]+$'
    run 2 classify $m --model tiny-labels
    run 1 classify $m --model tiny-labels good $'bad \xff'
    complains 'text 1 is not UTF-8 at byte 4'
    # Weights of zero and a bias for the last of 1,100 labels: all are shown, the last one first.
    rm -rf "$scratch/many" && mkdir -p "$scratch/many"
    labels=$(seq -s, -f '"l%.0f"' 0 1099)
    printf '{"format_version":1,"task":"sequence-classification","labels":[%s],"network":[' "$labels" >"$scratch/many/config.json"
    printf '%s' '{"type":"lstm","prefix":"rnn","input_size":1,"hidden_size":1},{"type":"pooling","mode":"last"},' \
        '{"type":"linear","prefix":"fc","in_features":1,"out_features":1100}]}' >>"$scratch/many/config.json"
    printf '{"cases":[{"input":[[0]],"features":[[0]],"output":[%s1]}]}' "$(printf '0,%.0s' {1..1099})" >"$scratch/many/golden.json"
    header='{"rnn.weight_ih_l0":{"dtype":"F32","shape":[4,1],"data_offsets":[0,16]},"rnn.weight_hh_l0":{"dtype":"F32",'
    header+='"shape":[4,1],"data_offsets":[16,32]},"rnn.bias_ih_l0":{"dtype":"F32","shape":[4],"data_offsets":[32,48]},'
    header+='"rnn.bias_hh_l0":{"dtype":"F32","shape":[4],"data_offsets":[48,64]},"fc.weight":{"dtype":"F32","shape":[1100,1],'
    header+='"data_offsets":[64,4464]},"fc.bias":{"dtype":"F32","shape":[1100],"data_offsets":[4464,8864]}}'
    {
        # shellcheck disable=SC2059
        printf "\\x$(printf %02x $((${#header} % 256)))\\x$(printf %02x $((${#header} / 256)))\\0\\0\\0\\0\\0\\0"
        printf %s "$header"
        head -c 8862 /dev/zero
        printf '\200\077' # 1.0 ends so
    } >"$scratch/many/model.safetensors"
    printf '0\n' >"$scratch/rows"
    input=$scratch/rows run 0 classify --model "many=$scratch/many" --set models.folders=
    says '^l1099.0\.[0-9]+.l0.0\.[0-9]+.l1.'
    checks=$((checks + 1)); [ "$(wc -w <"$out")" = 2200 ] || bad "shows $(wc -w <"$out") words of 1,100 labels and scores"
    printf '1 0 -2\n0.5 1 -1\n' >"$scratch/rows"
    input=$scratch/rows run 0 classify $m --model tiny-gestures
    says '(left|right|up|down)'
    printf '1 0\n' >"$scratch/rows"
    input=$scratch/rows run 2 classify $m --model tiny-gestures
    complains 'steps of 3 finite numbers'
    printf '1 0 x\n' >"$scratch/rows"
    input=$scratch/rows run 2 classify $m --model tiny-gestures
    printf '1 0 nan\n' >"$scratch/rows"
    input=$scratch/rows run 2 classify $m --model tiny-gestures
}

# --- predict, ask: the routes without a server
p="--models tests/http/predict"
printf '10 -2\n11 -1\n' >"$scratch/rows"
input=$scratch/rows run 0 predict $p --model sensor --return all
says '"results":\[\{"steps":\[\[[^]]+\],\[[^]]+\]\]\}\]'
input=$scratch/rows run 0 predict $p --model sensor
says '"results":\[\{"values":\['
run 0 predict $p --model tags "fly to new york" "rome"
says '"labels":\[\{"label":"O"'
run 0 classify $p --model tags "fly to New York"
says '"label":"city","value":"New York","start":7,"end":15'
printf '1 x\n' >"$scratch/rows"
input=$scratch/rows run 2 predict $p --model sensor
complains 'no number'
run 1 predict $p --model letters xyz
complains 'not in the vocabulary'
run 1 predict --models "$bundles" --model tiny-labels a
complains 'cannot predict'
run 0 pronounce --models tests/unit/bundles --alphabet ipa --n 2 bcd a
says '"alphabet":"ipa","pronunciations":\[\{"input":"bcd","phonemes":"'
run 2 pronounce --models tests/unit/bundles
complains 'needs a WORD'
run 0 answer --models tests/http/answering --model places --n 2 'Ann went to the garden. Bob went to the office.' 'Where is Bob?'
says '^\{"id":"ans-.*"answer":"office","score":0.9.*"supporting":\[1\],"alternatives":\[\{"answer":"'
printf 'Ann went to the office.\nBob went to the garden.\n' >"$scratch/story"
input=$scratch/story run 0 answer --models tests/http/answering --model places - 'Where is Ann?' 'Where is Bob?'
says '"answer":"office".*"answer":"garden"'
run 1 answer --models tests/http/answering --model places 'Ann went home.' 'Where is Ann?'
complains "word 'home'"
run 2 answer --models tests/http/answering --model places 'Ann went to the garden.'
complains 'needs a CONTEXT'
pictures=tests/unit/pictures
run 0 caption --models tests/unit/bundles --model tiny-caption --n 2 $pictures/moving.gif
says '^\{"id":"cap-.*"captions":\[\{"text":".*\{"text":"'
run 1 caption --models tests/unit/bundles --model tiny-caption $pictures/print.jpg
complains 'CMYK'
run 1 caption --models tests/unit/bundles --model tiny-caption $pictures/rows.txt
complains 'expected a PNG, JPEG or GIF file'
run 1 caption --models tests/unit/bundles --model tiny-caption $pictures/none.png
complains 'No such file'
run 2 caption --models tests/unit/bundles --model tiny-caption
complains 'needs one FILE'
run 0 ask $p /v1/predict '{"model":"letters","input":"ab"}'
says '^\{"id":"pred-.*"start":1,"end":2'
printf '{"model":"letters","input":"ab"}' >"$scratch/body"
input=$scratch/body run 0 ask $p /v1/predict -
says '^\{"id":"pred-'
run 0 ask $p /v1/models
says '"id":"sensor"'
run 1 ask $p /v1/predict '{"model":"letters"}'
complains "'input' is missing"
run 1 ask --models "$bundles" /v1/completions '{"prompt":"ab"}'
complains "'model' is missing; expected one of: " # and no model is still being loaded
run 1 ask $p /v1/nothing '{}'
complains 'there is no route /v1/nothing'
run 1 ask $p /v1/predict '{'
run 2 ask $p
complains 'needs a ROUTE'
run 0 ask --models "$bundles" /v1/completions '{"model":"tiny-characters","prompt":"ab","max_tokens":3,"stream":true}'
says '^data: \[DONE\]$'
for body in '{"session":"s"' '{"store":true' '{"return_state":true' '{"state":"cs1.x"'; do
    run 1 ask --models "$bundles" /v1/completions "$body,\"model\":\"tiny-characters\",\"prompt\":\"ab\"}"
    complains 'keeps nothing between requests'
done
for route in sessions sessions/s/steps models/tiny-characters/reload; do
    run 1 ask --models "$bundles" "/v1/$route" '{"model":"tiny-characters"}'
    complains 'keeps nothing between requests'
done
run 1 ask --models "$bundles" /v1/sessions/s
complains 'keeps nothing between requests'

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

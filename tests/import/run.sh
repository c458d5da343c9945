#!/bin/bash
# run.sh FOLDER: install PyTorch, Keras and ONNX under FOLDER where they are missing, make models with them, import
# each, serve all, and compare every answer with the framework's. Ends with a line like the one that check prints.
set -u
cd "$(dirname "$0")/../.."
folder=$1 here=tests/import
mkdir -p "$folder"

tests/venv.sh "$folder" $here/requirements.txt || exit
rm -f "$folder/server.log"
. tests/server.sh
"$folder/venv/bin/python" $here/check.py "$folder" "${CAROUSEL_IMPORT:-build/carousel-import}" make 2>"$folder/make.log" ||
    { tail -20 "$folder/make.log"; exit 1; }
"$folder/venv/bin/python" $here/published.py "$folder" make "${CAROUSEL_IMPORT:-build/carousel-import}" 2>>"$folder/make.log" ||
    { tail -20 "$folder/make.log"; exit 1; }
# ONNX' own vectors of recurrent layers: peepholes, initial states, layouts, lengths.
checks=0 failures=0
for model in /usr/share/libonnx-testdata/data/node/test_*{lstm,gru,rnn}_*; do
    checks=$((checks + 1))
    said=$("${CAROUSEL_IMPORT:-build/carousel-import}" "$model" --task sequence-prediction -o "$folder/bundles/vectors-$checks" 2>&1) &&
        grep -q 'of test_data_set_0 met' <<<"$said" || { failures=$((failures + 1)); echo "FAILED: $model"; }
done
echo "vectors: $(((checks - failures) * 100 / checks))%: Checks: $checks, Failures: $failures, Errors: 0"
server_start --models "$folder/bundles"
failed=$((failures > 0))
"$folder/venv/bin/python" $here/check.py "$folder" "" compare "$url" || failed=1
"$folder/venv/bin/python" $here/published.py "$folder" compare "$url" || failed=1
server_stop || failed=1
exit $failed

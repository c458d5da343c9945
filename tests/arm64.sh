#!/bin/bash
# arm64.sh FOLDER [compile]: compile core/ and the tests of its kernels for arm64, and, unless only that is asked for, run them in an
# emulator of three processors: one with the matrix instructions of int8 (FEAT_I8MM), one with the dot product alone (FEAT_DotProd), one with neither.
# On each, the set that "auto" takes must be the one for it. FOLDER holds what is built, and the C library and check for
# arm64 from Debian's packages. An emulator says what is right, never what is fast. Each suite ends with check's line.
set -u
cd "$(dirname "$0")/.."
. docker/checks.sh
folder=$PWD/$1 root=$PWD/$1/root
export LC_ALL=C.UTF-8 CK_TIMEOUT_MULTIPLIER=${CK_TIMEOUT_MULTIPLIER:-10}

# Processor, kernel set, then suites, or one case of a suite. Floats are computed alike on all three; their sweeps against
# double precision, which take the longest in an emulator, run on the last only.
few="int8: bfloat16: matrix_memory: matrix:all_sets kernel_rows: kernels:selection"
runs="cortex-a53 neon matrix: kernels: kernel_rows: int8: bfloat16: matrix_memory:
max neon_i8mm $few
neoverse-n1 neon_dotprod $few"

# Packages are unpacked, not installed: nothing of another architecture comes into this system.
if [ ! -e "$root/made" ]; then
    rm -rf "$root"
    mkdir -p "$root"
    bootstrap --variant=extract --architectures=arm64 --include=libc6-dev,check,libsubunit-dev \
        "$(this_debian)" "$root" http://deb.debian.org/debian || exit
    [ -e "$root/lib" ] || ln -s usr/lib "$root/lib"
    touch "$root/made"
fi

make BUILD="$folder" CC="aarch64-linux-gnu-gcc --sysroot=$root" PKG_CONFIG=: CFLAGS=-DWITHOUT_OPENBLAS \
    ALL_LIBS="-lcheck -lsubunit -pthread -lm" FLOORS=core \
    SUITE="int8 bfloat16 matrix_memory matrix kernels kernel_rows" "$folder/release/tests/test_unit" || exit
[ "${2:-}" != compile ] || exit 0

run() {
    local folder=$1 processor=$2 case=${4#*:} log=$1/$2-${4%%:*}.log
    export EXPECTED_KERNELS=$3 SUITE=${4%%:*}
    [ -z "$case" ] || export CK_RUN_CASE=${case//_/ }
    timeout 900 qemu-aarch64 -cpu "$processor" -L "$folder/root" "$folder/release/tests/test_unit" >"$log" 2>&1
    local code=$?
    [ $code = 0 ] || grep -q 'Failures: [1-9]\|Errors: [1-9]' "$log" ||
        echo "ended with code $code: 0%: Checks: 1, Failures: 0, Errors: 1" >>"$log"
    sed -e '/^Running suite/d' -e "s/^/$processor $SUITE: /" "$log"
    return $code
}
export -f run
while read -r processor set suites; do
    printf "$folder $processor $set %s\n" $suites
done <<<"$runs" | xargs -P "$(nproc)" -L 1 bash -c 'run "$@"' run

#!/bin/bash
# hardening.sh PROGRAM: the program has what the compiler and the linker can do against a bug that would be an
# attack. Read from the file itself, so that a flag that got lost is noticed. Ends with a line like the one
# that check prints.
set -u
program=$1 checks=0 failures=0
export LC_ALL=C
header=$(readelf -hW "$program") segments=$(readelf -lW "$program") dynamic=$(readelf -dW "$program")
symbols=$(readelf --dyn-syms -W "$program")

# expect TEXT PATTERN WHERE, or refuse: one check.
expect() {
    checks=$((checks + 1))
    grep -qE "$2" <<<"$3" || { failures=$((failures + 1)); echo "FAILED: $program: $1"; }
}
refuse() {
    checks=$((checks + 1))
    ! grep -qE "$2" <<<"$3" || { failures=$((failures + 1)); echo "FAILED: $program: $1"; }
}

expect "it may be loaded at any address (-pie)" 'Type: +DYN' "$header"
expect "it is a program, not a library" 'FLAGS_1.*PIE' "$dynamic"
expect "its relocations are read-only (-z relro)" 'GNU_RELRO' "$segments"
expect "all symbols are bound before it runs (-z now)" 'BIND_NOW|FLAGS_1.*NOW' "$dynamic"
expect "the stack is not executable (-z noexecstack)" 'GNU_STACK.* RW ' "$segments"
refuse "no segment is writable and executable" 'LOAD.* RWE ' "$segments"
refuse "no text relocations" 'TEXTREL' "$dynamic"
refuse "no search path of its own" 'RPATH|RUNPATH' "$dynamic"
expect "frames with arrays are watched (-fstack-protector-strong)" '__stack_chk_fail' "$symbols"
expect "copies know their room (_FORTIFY_SOURCE)" '__(memcpy|snprintf|vsnprintf)_chk' "$symbols"
refuse "no function that cannot be told how much room there is" ' (gets|strcpy|strcat|sprintf|vsprintf|tmpnam|mktemp)@' "$symbols"
# The mark in the notes is lost where the system's start files lack it (Debian 12), so the code itself is
# looked at.
if grep -q 'X86-64' <<<"$header"; then
    expect "indirect calls may land on marks only (-fcf-protection)" '^[0-9]{3,}$' "$(objdump -d "$program" | grep -c endbr64)"
fi
echo "hardening: $((checks ? (checks - failures) * 100 / checks : 0))%: Checks: $checks, Failures: $failures, Errors: 0"
[ $failures = 0 ]

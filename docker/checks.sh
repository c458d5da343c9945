# checks.sh: what docker/check.sh, docker/debian/check.sh and tests/other_debian.sh share. To be sourced; the checks
# want a folder in $work.
checks=0 failures=0

# expect TEXT COMMAND...: one check. Where it fails, the end of what it wrote, and of what the server did.
expect() {
    local text=$1
    shift
    checks=$((checks + 1))
    if "$@" >"$work/output" 2>&1; then
        echo "  ok: $text"
    else
        failures=$((failures + 1))
        echo "  FAILED: $text"
        tail -c 2000 "$work/output" "$work/server" 2>/dev/null
    fi
}

# sum_up NAME: a line like the one that check prints; fails where a check has failed.
sum_up() {
    echo "$1: $((checks ? (checks - failures) * 100 / checks : 0))%: Checks: $checks, Failures: $failures, Errors: 0"
    [ $failures = 0 ]
}

# this_debian: print the name of this machine's Debian, such as trixie.
this_debian() { (. /etc/os-release && echo "$VERSION_CODENAME"); }

# bootstrap ARGUMENT...: Debian's essential packages, with this machine's settings of apt.
bootstrap() {
    local options=() line
    while IFS= read -r line; do options+=(--aptopt="$line"); done \
        < <(apt-config dump | grep -E '^Acquire::(Check-|http|Retries)')
    mmdebstrap --quiet --variant=minbase "${options[@]}" "$@"
}

# inside.sh: what chroot.sh and booted.sh share. To be sourced, as root in a system to be thrown away.
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
ini=/etc/carousel/carousel.ini port=8080

# expect TEXT COMMAND...: one check; prints "ok: ..." or "FAILED: ...".
expect() {
    local text=$1
    shift
    if "$@" >/output 2>&1; then echo "ok: $text"; else echo "FAILED: $text: $(tail -c 600 /output)"; fi
}
install() { apt-get install -y -q --no-install-recommends "$@"; }

# eventually COMMAND...: tried for up to thirty seconds.
eventually() {
    for _ in {1..300}; do
        "$@" && return
        sleep 0.1
    done
    return 1
}

# ask METHOD PATH [BODY]: the answer, by bash alone.
ask() {
    local body=${3-}
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    printf '%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
        "$1" "$2" "${#body}" "$body" >&3
    cat <&3
    exec 3>&-
}
forecasts() { ask POST /v1/forecast '{"model":"numbers","series":[2,4,8,16],"horizon":1}' | grep -qE '"mean":\[(32|31\.99999)'; }
is_ready() { ask GET /readyz | grep -q '^HTTP/1.1 200'; }
is_user() { getent passwd carousel | grep -qE ':/usr/sbin/nologin$|:/sbin/nologin$'; }
keeps_settings() { grep -q '^; mine$' $ini; }
nothing_left() {
    local left
    left=$(find / -xdev -path /proc -prune -o \( -name 'carousel*' -o -path '*/carousel/*' \) -print |
        grep -vE '^/(var/lib/dpkg/info|var/log|var/cache)/')
    [ -z "$left" ] || { echo "$left"; return 1; }
}

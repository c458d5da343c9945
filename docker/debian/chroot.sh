#!/bin/bash
# chroot.sh: runs as root in a system that holds nothing but Debian's essential packages, /1.deb and /2.deb,
# which is the same with a higher version. Installs, serves as the package's user, upgrades, removes, purges.
# Prints one line a check, "ok: ..." or "FAILED: ...".
set -u
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
ini=/etc/carousel/carousel.ini

expect() {
    local text=$1
    shift
    if "$@" >/tmp/output 2>&1; then echo "ok: $text"; else echo "FAILED: $text: $(tail -c 600 /tmp/output)"; fi
}
install() { apt-get install -y -q --no-install-recommends "$@"; }

# ask METHOD PATH [BODY]: the answer's body, by bash alone.
ask() {
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    printf '%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
        "$1" "$2" "${#3}" "$3" >&3
    cat <&3
    exec 3>&-
}
forecasts() { ask POST /v1/forecast '{"model":"numbers","series":[2,4,8,16],"horizon":1}' | grep -q '"mean":\[32'; }
is_ready() { ask GET /readyz '' | grep -q '^HTTP/1.1 200'; }

# serve: as the unit does, but on a free port and without systemd.
serve() {
    rm -f /tmp/said
    setpriv --reuid=carousel --regid=carousel --clear-groups --no-new-privs --bounding-set=-all \
        /usr/bin/carousel serve --config $ini --port 0 >/tmp/said 2>/tmp/log &
    server=$!
    for _ in {1..100}; do
        port=$(sed -n 's,.*listening on http://[^:]*:,,p' /tmp/said)
        [ -n "$port" ] && return
        sleep 0.1
    done
    cat /tmp/log
    return 1
}
ends_well() { kill -TERM $server && wait $server; }
is_user() { getent passwd carousel | grep -qE ':/usr/sbin/nologin$|:/sbin/nologin$'; }
runs_as_user() { [ "$(stat -c %U /proc/$server)" = carousel ]; }
keeps_settings() { grep -q '^; mine$' $ini; }
is_enabled() { [ -L /etc/systemd/system/multi-user.target.wants/carousel.service ]; }
nothing_left() {
    local left
    left=$(find / -xdev -path /proc -prune -o \( -name 'carousel*' -o -path '*/carousel/*' \) -print |
        grep -vE '^/(var/lib/dpkg/info|var/log|var/cache)/')
    [ -z "$left" ] || { echo "$left"; return 1; }
}

touch /tmp/output
expect "it installs" install /1.deb systemd-standalone-sysusers
expect "it makes its user, who cannot log in" is_user
expect "its settings are good" /usr/bin/carousel --check-config --config $ini
expect "the service is enabled" is_enabled
expect "it starts as its user" serve
expect "it is that user's process" runs_as_user
expect "it is ready" is_ready
expect "it answers" forecasts
expect "SIGTERM ends it with 0" ends_well
echo '; mine' >>$ini
expect "it upgrades" install /2.deb
expect "the upgrade keeps the settings" keeps_settings
expect "the new one serves" serve
expect "and answers" forecasts
expect "and ends" ends_well
expect "it is installed again over itself" install --reinstall /2.deb
expect "it is removed" apt-get remove -y -q carousel
expect "the program is gone" eval '! [ -e /usr/bin/carousel ]'
expect "the settings are kept" keeps_settings
expect "it is purged" apt-get purge -y -q carousel
expect "nothing is left" nothing_left

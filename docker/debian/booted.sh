#!/bin/bash
# booted.sh: runs as root in a system that systemd has booted, without a network, with /1.deb and /2.deb as for
# chroot.sh and what they need in apt's cache. Installs, looks whether the unit does what it says, upgrades, removes,
# purges, and switches the system off.
set -u
. /inside.sh

property() { systemctl show -P "$1" carousel; }
is_active() { [ "$(property ActiveState)" = active ]; }
serves() { is_active && is_ready && forecasts; }
status_of() { sed -n "s/^$1:\t//p" "/proc/$(property MainPID)/status"; }
runs_as_user() { [ "$(stat -c %U "/proc/$(property MainPID)")" = carousel ]; }
holds_nothing() {
    [ "$(status_of CapBnd)" = 0000000000000000 ] && [ "$(status_of NoNewPrivs)" = 1 ] && [ "$(status_of Seccomp)" = 2 ]
}

# The unit, but for what it runs.
probe_unit() {
    sed -e '/^ExecStartPre=/d; /^ExecReload=/d; /^Restart=/d; /^RuntimeDirectory/d' -e 's/^Type=.*/Type=oneshot/' \
        -e 's,^ExecStart=.*,ExecStart=/bin/bash /probe.sh,' -e '/^\[Service\]/a StandardOutput=file:/probe.out' \
        /lib/systemd/system/carousel.service >/run/systemd/system/probe.service
    systemctl daemon-reload
}
is_refused_everything() {
    systemctl start probe.service && [ -f /probe.out ] && [ ! -s /probe.out ] || { cat /probe.out; return 1; }
}
could_do_everything() {
    setpriv --reuid=carousel --regid=carousel --clear-groups bash /probe.sh >/probe.out
    [ "$(wc -l </probe.out)" = "$(grep -c '^can ' /probe.sh)" ] || { cat /probe.out; return 1; }
}

reloads() {
    local pid
    pid=$(property MainPID)
    cp -r /usr/share/carousel/models/numbers /var/lib/carousel/models/mine
    systemctl reload carousel && eventually serves_mine && [ "$(property MainPID)" = "$pid" ]
}
serves_mine() { ask GET /v1/models/mine | grep -q '^HTTP/1.1 200'; }
journal() { journalctl -u carousel -o cat --no-pager; }
logs_requests() { journal | grep -q '^{.*"route":"/v1/forecast","status":200,'; }
logs_no_error() { journal | grep -q ' info ' && ! journal | grep -E ' (error|warning) '; }
levels() { journalctl -u carousel -o cat --no-pager -p "$1"; }
# Each line has its level in the journal, and not in its text.
logs_levels() {
    mkdir /var/lib/carousel/models/broken && echo '{' >/var/lib/carousel/models/broken/config.json
    [ -z "$(levels warning)" ] && systemctl reload carousel && eventually tells_broken && ! journal | grep '^<'
    local code=$?
    rm -r /var/lib/carousel/models/broken
    return $code
}
tells_broken() { levels err | grep -q ' error .* model broken is not served: '; }

# A stop while a stream runs: the stream ends as it should have.
drains() {
    ask POST /v1/completions '{"model":"shakespeare","prompt":"a","max_tokens":5000,"stream":true}' >/stream &
    eventually grep -q '^data: ' /stream && systemctl stop carousel && wait $! &&
        grep -q '"finish_reason":"length"' /stream && grep -q '^data: \[DONE\]' /stream
}
ended_well() {
    [ "$(property ActiveState)/$(property Result)/$(property ExecMainStatus)" = inactive/success/0 ] &&
        journal | grep -q ' draining: 1 requests in flight, 0 WebSockets open$'
}
is_another() { [ "$(property MainPID)" != 0 ] && [ "$(property MainPID)" != "$1" ]; }
comes_back() {
    local pid
    pid=$(property MainPID)
    systemctl kill --signal=KILL carousel && eventually is_another "$pid" && eventually serves
}
refuses_bad_settings() {
    sed -i 's/^max_batch = .*/max_batch = many/' $ini
    ! systemctl start carousel && journal | grep -q "carousel.ini:[0-9]*: scheduler.max_batch is 'many'"
    local code=$?
    sed -i 's/^max_batch = .*/max_batch = 64/' $ini
    systemctl reset-failed carousel
    return $code
}
on_a_socket() {
    sed -i 's,^unix_socket =.*,unix_socket = /run/carousel/http.sock,' $ini
    systemctl start carousel && eventually carousel health --config $ini && [ -S /run/carousel/http.sock ]
    local code=$?
    sed -i 's,^unix_socket =.*,unix_socket =,' $ini
    systemctl stop carousel && [ ! -e /run/carousel ] && return $code
}
upgrades() {
    local pid
    pid=$(property MainPID)
    install /2.deb && eventually serves && is_another "$pid"
}
is_stopped() { ! pgrep -x carousel && [ "$(property LoadState)/$(property ActiveState)" = not-found/inactive ]; }
nothing_failed() { [ -z "$(systemctl --failed --no-legend)" ]; }

mkdir -m 1777 /open && chmod 755 /home && touch /home/probe /tmp/probe /dev/probe
expect "systemd runs the system" [ "$(cat /proc/1/comm)" = systemd ]
expect "the package installs" install /1.deb
expect "and starts the service, which serves" eventually serves
expect "as its user" runs_as_user
expect "without a capability, filtered" holds_nothing
expect "the exposure is at most 1.5 of 10" systemd-analyze security --threshold=15 --no-pager carousel.service
expect "the unit around a probe" probe_unit
expect "the sandbox refuses all that the probe tries" is_refused_everything
expect "which the user could do without it" could_do_everything
expect "a reload takes up a new model in the same process" reloads
expect "the journal has the requests" logs_requests
expect "and neither error nor warning" logs_no_error
expect "it knows the level of a line" logs_levels
expect "who is killed comes back" comes_back
expect "a stop drains a stream" drains
expect "and ends with 0" ended_well
expect "wrong settings are refused with their line" refuses_bad_settings
expect "it serves on a Unix socket in /run/carousel" on_a_socket
expect "it starts again" systemctl start carousel
expect "and serves" eventually serves
echo '; mine' >>$ini
expect "an upgrade starts the new one" upgrades
expect "and keeps the settings" keeps_settings
expect "it is removed" apt-get remove -y -q carousel
expect "and stopped" is_stopped
rm -rf /var/lib/carousel/models/mine
expect "it is purged" apt-get purge -y -q carousel
expect "nothing is left" nothing_left
expect "no unit has failed" nothing_failed

#!/bin/bash
# chroot.sh: runs as root in a system that holds nothing but Debian's essential packages, /1.deb and /2.deb,
# which is the same with a higher version. Installs, serves as the package's user, upgrades, removes, purges.
set -u
. /inside.sh

# serve: as the unit does, but on a free port and without systemd.
serve() {
    rm -f /tmp/said
    setpriv --reuid=carousel --regid=carousel --clear-groups --no-new-privs --bounding-set=-all \
        /usr/bin/carousel serve --config $ini --port 0 >/tmp/said 2>/tmp/log &
    server=$!
    eventually listens || { cat /tmp/log; return 1; }
}
listens() {
    port=$(sed -n 's,.*listening on http://[^:]*:,,p' /tmp/said)
    [ -n "$port" ]
}
ends_well() { kill -TERM $server && wait $server; }
runs_as_user() { [ "$(stat -c %U /proc/$server)" = carousel ]; }
is_enabled() { [ -L /etc/systemd/system/multi-user.target.wants/carousel.service ]; }

expect "it installs" install /1.deb systemd-standalone-sysusers
expect "it makes its user, who cannot log in" is_user
expect "its settings are good" /usr/bin/carousel --check-config --config $ini
expect "bash completes its command lines" grep -q '^complete -F' /usr/share/bash-completion/completions/carousel
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

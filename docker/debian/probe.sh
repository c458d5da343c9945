#!/bin/bash
# probe.sh: prints a word for each thing that it was allowed to do. booted.sh runs it as the service's user within the
# unit's sandbox, where it must print none, and without, where it must print all.
work=$(mktemp -d)
# can WORD COMMAND...
can() {
    local word=$1
    shift
    "$@" >/dev/null 2>&1 && echo "$word"
}
# call NUMBER... : a system call by its number on x86-64 and on ARM64, then its arguments; succeeds where it does.
call() {
    local number=$1
    [ "$(uname -m)" != aarch64 ] || number=$2
    shift 2
    perl -e '$n = shift; exit(syscall($n + 0, map { $_ + 0 } @ARGV) == -1)' "$number" "$@"
}
touch "$work/file"
can write-files touch "/open/$$"
can read-homes cat /home/probe
can see-processes ls /proc/1
can read-proc cat /proc/meminfo
can see-devices ls /dev/probe
can see-others-tmp cat /tmp/probe
can own-files chown "$(id -u)" "$work/file"
can set-setuid chmod u+s "$work/file"
can make-namespaces unshare --user true
can personality setarch --addr-no-randomize true
can netlink perl -MSocket -e 'exit !socket(S, 16, SOCK_RAW, 0)'
can ptrace call 101 117 0 0 0 0
can write-and-execute call 9 222 0 4096 7 34 -1 0
rm -rf "$work"
exit 0

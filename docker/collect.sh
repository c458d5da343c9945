#!/bin/sh
# collect.sh FOLDER: complete FOLDER, which holds usr/bin/carousel, to the root of a file system that runs
# it: the shared libraries, a user, and the folder where models are mounted.
set -eu
root=$1

# The library of the loader under the name by which it is looked for, whatever it links to.
ldd "$root/usr/bin/carousel" | grep -o '/[^ ]*' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done

mkdir -p "$root/etc" "$root/models" "$root/tmp"
echo 'carousel:x:10001:10001::/:/nonexistent' >"$root/etc/passwd"
echo 'carousel:x:10001:' >"$root/etc/group"
rm -rf "$root/usr/share/carousel/zoo"

#!/bin/sh
# toolchain.sh ARCH: install what builds Carousel for amd64 or arm64 on this Debian. The Makefile says which
# packages that are. The libraries are those of ARCH; compiler and tools run here.
set -eu
arch=$1
compiler=gcc
if [ "$arch" != "$(dpkg --print-architecture)" ]; then
    dpkg --add-architecture "$arch"
    case $arch in
        arm64) compiler=gcc-aarch64-linux-gnu ;;
        amd64) compiler=gcc-x86-64-linux-gnu ;;
        *) echo "toolchain.sh: no compiler for '$arch'; expected amd64 or arm64" >&2; exit 1 ;;
    esac
fi
packages=make
for package in $(sed -n '/^define NEEDS_BUILD/,/^endef/p' Makefile | sed '1d;$d;s/ .*//'); do
    case $package in
        curl) ;; # the examples that `make run` prints
        gcc) packages="$packages $compiler" ;;
        pkg-config | libjs-*) packages="$packages $package" ;;
        *) packages="$packages $package:$arch" ;;
    esac
done
apt-get update
# shellcheck disable=SC2086
apt-get install -y --no-install-recommends $packages

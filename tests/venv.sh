#!/bin/bash
# venv.sh FOLDER REQUIREMENTS: FOLDER/venv is a Python with these packages (pip). Made anew where they have
# changed.
set -u
folder=$1 requirements=$2
mkdir -p "$folder"
! cmp -s "$requirements" "$folder/requirements.txt" || exit 0
echo "  installing the packages of $requirements into $folder/venv" >&2
rm -rf "$folder/venv"
python3 -m venv "$folder/venv" &&
    "$folder/venv/bin/pip" install -q --disable-pip-version-check -r "$requirements" &&
    cp "$requirements" "$folder/requirements.txt"

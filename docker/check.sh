#!/bin/bash
# check.sh: build the image, POST to the server in it, weigh it; import a file with the importer's image. With Docker where an engine runs, else with
# buildah as root, which needs none. Where no registry answers, the base image is made from Debian's
# packages and tagged as the Dockerfile names it. With buildah the image is built twice, to compare the digests, and
# for arm64, which an emulator of the processor runs. Ends with a line like the one that check prints.
set -u
cd "$(dirname "$0")/.."
LIMIT_MB=80
base=$(sed -n 's/^FROM .*\(debian:[^ ]*\).*/\1/p' docker/Dockerfile)
reader=spdx-tools==0.8.3
suite=${base#debian:} suite=${suite%-slim}
work=$(mktemp -d)
server=0 container=
trap 'finish' EXIT

. docker/checks.sh

finish() {
    if [ "$engine" = docker ]; then
        [ -z "$container" ] || docker rm -f "$container" >/dev/null 2>&1
    else
        [ "$server" = 0 ] || kill "$server" 2>/dev/null
        [ -z "$container" ] || buildah rm "$container" >/dev/null 2>&1
    fi
    rm -rf "$work"
}

version=$(make -s version) revision=$(git rev-parse HEAD 2>/dev/null)
# The time of the commit: two builds of it are the same.
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
facts=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "SOURCE_DATE_EPOCH=$epoch")

# --- The two engines: build TAG OPTION..., assemble TAG OPTION... of what is compiled already, run TAG, stop_and_wait,
# inside COMMAND..., import_in FOLDER ARGUMENT..., megabytes TAG, megabytes_bare, label TAG NAME, copy_out PATH FILE

if docker info >/dev/null 2>&1; then
    engine=docker
    build() {
        local tag=$1
        shift
        docker build -q -f docker/Dockerfile "${facts[@]}" "$@" -t "$tag" .
    }
    compile() { :; }
    assemble() { build "$@"; } # its cache holds what is compiled
    import_in() {
        local folder=$1
        shift
        docker run --rm --network none --read-only --cap-drop ALL --security-opt no-new-privileges \
            -v "$folder:/work" carousel:import "$@"
    }
    user() { docker image inspect -f '{{.Config.User}}' "$1"; }
    label() { docker image inspect -f "{{index .Config.Labels \"$2\"}}" "$1"; }
    run() {
        container=$(docker run -d --read-only --cap-drop ALL --security-opt no-new-privileges \
            -v "$PWD/tests/http/bundles:/models:ro" -p 127.0.0.1::8080 "$1") || return
        address=$(docker port "$container" 8080/tcp | head -1)
    }
    inside() { docker exec "$container" "$@"; }
    copy_out() { docker cp -q "$container:$1" "$2"; }
    inner_port() { echo 8080; }
    stop_and_wait() { docker stop -t 30 "$container" && [ "$(docker wait "$container")" = 0 ]; }
    megabytes_bare() { build carousel:bare --target bare >/dev/null && megabytes carousel:bare; }
    megabytes() { docker image inspect -f '{{.Size}}' "$1" | awk '{ printf "%.1f", $1 / 1e6 }'; }
else
    engine=buildah
    [ "$(id -u)" = 0 ] || { echo "No Docker engine runs here; buildah then needs root." >&2; exit 1; }
    make -s deps-docker || exit
    export BUILDAH_ISOLATION=chroot
    # A folder of its own: nothing of the machine's other images is touched.
    export STORAGE_DRIVER=${STORAGE_DRIVER:-overlay}
    # This buildah knows no BUILDPLATFORM in FROM. It keeps no layers here: it would give those of a cache other times.
    # Docker's format holds the name of the container that built it, and has another digest each time; OCI's does not.
    build() {
        local tag=$1
        shift
        sed "s,\$BUILDPLATFORM,linux/$(dpkg --print-architecture)," docker/Dockerfile >"$work/Dockerfile"
        bud "$tag" "$@"
    }
    bud() {
        local tag=$1
        shift
        buildah bud -q --format oci --no-cache --timestamp "$epoch" --ignorefile docker/Dockerfile.dockerignore \
            -f "$work/Dockerfile" "${facts[@]}" "$@" -t "$tag" .
    }
    # What is compiled is an image of its own, which the others copy from: without layers it would be compiled for each.
    compile() { build carousel:compiled --target build; }
    assemble() {
        sed '/^FROM.* AS build$/,/^RUN docker.collect/d; s,--from=build,--from=localhost/carousel:compiled,' \
            docker/Dockerfile >"$work/Dockerfile"
        bud "$@"
    }
    import_in() {
        local folder=$1 from code
        shift
        from=$(buildah from --pull-never carousel:import) || return
        buildah run --user 10001:10001 -v "$folder:/work" "$from" -- /usr/bin/carousel-import "$@"
        code=$?
        buildah rm "$from" >/dev/null
        return $code
    }
    user() { buildah inspect --type image --format '{{.Docker.Config.User}}' "$1"; }
    label() { buildah inspect --type image --format "{{index .Docker.Config.Labels \"$2\"}}" "$1"; }
    digest() { buildah images --format '{{.Digest}}' "$1"; }
    run() {
        container=$(buildah from --pull-never "$1") || return
        local command
        # The command of the image, but on a port that is free: the network is this machine's.
        command=$(buildah inspect --type image --format \
            '{{range .Docker.Config.Entrypoint}}{{.}} {{end}}{{range .Docker.Config.Cmd}}{{.}} {{end}}' "$1") || return
        # shellcheck disable=SC2086
        buildah run --env CAROUSEL_SERVER_PORT=0 -v "$PWD/tests/http/bundles:/models:ro" "$container" -- \
            $command >"$work/server" 2>&1 &
        server=$!
        for _ in {1..100}; do
            address=$(sed -n 's,.*listening on http://[^:]*:\([0-9]*\).*,127.0.0.1:\1,p' "$work/server" 2>/dev/null)
            [ -n "$address" ] && return
            sleep 0.1
        done
        return 1
    }
    inside() { buildah run "$container" -- "$@"; }
    copy_out() { cp "$(buildah mount "$container")$1" "$2"; }
    inner_port() { echo "${address##*:}"; }
    # buildah hands the signal on to nobody, so it goes to the program itself: our child's youngest.
    stop_and_wait() {
        local pid=$server child
        while child=$(pgrep -P "$pid" | head -1) && [ -n "$child" ]; do pid=$child; done
        kill -TERM "$pid" && wait "$server"
        local code=$?
        server=0
        return $code
    }
    megabytes() {
        local from folder
        from=$(buildah from --pull-never "$1") && folder=$(buildah mount "$from")
        shift
        du -s --apparent-size -B1 "$@" "$folder" | awk '{ printf "%.1f", $1 / 1e6 }'
        buildah rm "$from" >/dev/null
    }
    # The zoo is the last layer.
    megabytes_bare() { megabytes carousel:latest --exclude=share/carousel; }
    has_base() { buildah inspect --type image "$base" >/dev/null 2>&1 || timeout 120 buildah pull -q "$base"; }
    # Debian's packages as the slim image has them: the essential ones, without manuals.
    make_base() {
        local options=() path from
        for path in doc man info locale; do options+=(--dpkgopt="path-exclude=/usr/share/$path/*"); done
        options+=(--dpkgopt='path-include=/usr/share/doc/*/copyright')
        bootstrap "${options[@]}" "$suite" "$work/base.tar" &&
            from=$(buildah from scratch) && buildah add -q "$from" "$work/base.tar" / &&
            buildah config --cmd /bin/bash "$from" &&
            buildah commit -q "$from" "docker.io/library/$base" && buildah rm "$from"
        local code=$?
        rm -f "$work/base.tar"
        return $code
    }
    if ! has_base >/dev/null 2>&1; then
        echo "  no registry answers: making $base from Debian's packages"
        expect "the base image is made" make_base
    fi
fi

began=$SECONDS
echo "  building with $engine"
expect "Carousel is compiled" compile
expect "the image builds" assemble carousel:latest
[ $failures = 0 ] || { cat "$work/output"; }

post() { # post PATH BODY PATTERN
    curl -sS --max-time 20 "http://$address$1" -H 'Content-Type: application/json' -d "$2" | tee "$work/answer" |
        grep -q "$3" || { cat "$work/answer"; return 1; }
}
is_ready() { curl -fsS --retry 20 --retry-connrefused --retry-delay 1 "http://$address/readyz"; }
is_not_root() { [ "$(user "$1")" = 10001:10001 ]; }
is_small() { awk -v mb="$1" -v limit=$LIMIT_MB 'BEGIN { exit !(mb > 0 && mb <= limit) }'; }
has_labels() {
    [ "$(label carousel:latest org.opencontainers.image.version)" = "$version" ] &&
        [ "$(label carousel:latest org.opencontainers.image.revision)" = "$revision" ] &&
        [ -n "$(label carousel:latest org.opencontainers.image.licenses)" ]
}
# SPDX' own reader finds nothing wrong; each library in the image belongs to a package of the list.
has_sbom() {
    local file=$work/sbom.spdx.json
    copy_out /usr/share/doc/carousel/sbom.spdx.json "$file" &&
        echo "$reader" >"$work/reader.txt" && tests/venv.sh build/docker "$work/reader.txt" &&
        build/docker/venv/bin/pyspdxtools -i "$file" &&
        grep -c pkg:deb/debian/ "$file" && grep -q '"libmicrohttpd' "$file" && grep -q '"libc6"' "$file"
}
# A checkpoint in a folder that is mounted becomes a bundle beside it; a file that is no model is refused.
imports() {
    mkdir -m 777 "$work/mine" && cp tests/import/files/gru.pt tests/import/files/letters.json "$work/mine" &&
        import_in "$work/mine" gru.pt --pooling max --labels a,b,c -o gru &&
        grep '"sha256"' "$work/mine/gru/config.json" && ! import_in "$work/mine" letters.json
}
has_no_shell() { ! inside /bin/sh -c true; }

[ $failures != 0 ] || expect "the server in it starts" run carousel:latest
if [ $failures = 0 ]; then
    expect "it is ready" is_ready
    expect "the health check agrees" inside /usr/bin/carousel health --port "$(inner_port)"
    expect "the health check notices a dead port" eval '! inside /usr/bin/carousel health --port 9'
    expect "POST /v1/completions answers" post /v1/completions \
        '{"model":"shakespeare","prompt":"ROMEO:","max_tokens":16,"seed":1}' '"text_completion"'
    expect "POST /v1/forecast answers" post /v1/forecast \
        '{"model":"numbers","series":[2,4,8],"horizon":1}' '"forecasts"'
    expect "a bundle under /models is served" post /v1/completions \
        '{"model":"tiny-characters","prompt":"ab","max_tokens":4,"seed":1}' '"text_completion"'
    expect "it does not run as root" is_not_root carousel:latest
    expect "there is no shell in it" has_no_shell
    expect "SIGTERM ends it with 0" stop_and_wait
    expect "its labels say version and commit" has_labels
    expect "it lists what is in it, as SPDX" has_sbom
    expect "the importer's image builds" assemble carousel:import --target import
    expect "it does not run as root" is_not_root carousel:import
    expect "it imports a file" imports
    expect "at most $LIMIT_MB MB" is_small "$(megabytes carousel:import)"
    bare=$(megabytes_bare) whole=$(megabytes carousel:latest)
    expect "at most $LIMIT_MB MB without the zoo" is_small "$bare"
    echo "docker: $bare MB without the zoo, $whole MB with it, in $((SECONDS - began)) s"
fi

# --- Another machine, and the same bytes twice; Docker's own store keeps no manifest to compare

arm_forecast() {
    local from folder
    from=$(buildah from --pull-never --platform linux/arm64 carousel:arm64) && folder=$(buildah mount "$from") || return
    qemu-aarch64 -L "$folder" "$folder/usr/bin/carousel" forecast --models "$folder/usr/share/carousel/zoo" \
        --model numbers --horizon 1 3 6 9 | grep -E '^1(2|1[.]99)'
    local code=$?
    buildah rm "$from" >/dev/null
    return $code
}
is_arm() { [ "$(buildah inspect --type image --format '{{.Docker.Architecture}}' carousel:arm64)" = arm64 ]; }
# The image of a bundle, mounted as a folder of bundles.
bundle_is_whole() {
    local from folder
    buildah bud -q --format oci --timestamp "$epoch" --build-arg NAME=numbers -f docker/bundle.Dockerfile \
        -t bundle:numbers zoo/numbers &&
        from=$(buildah from --pull-never bundle:numbers) && folder=$(buildah mount "$from") || return
    buildah run -v "$folder:/models:ro" "$container" -- /usr/bin/carousel inspect /models/numbers
    local code=$?
    buildah rm "$from" >/dev/null
    return $code
}
are_the_same() {
    digest carousel:latest
    digest carousel:again
    [ "$(digest carousel:latest)" = "$(digest carousel:again)" ]
}

if [ $failures = 0 ] && [ "$engine" = buildah ]; then
    expect "a bundle is an image" bundle_is_whole
    expect "the image builds again, from nothing" build carousel:again
    expect "both builds have one digest" are_the_same
    if [ "$(dpkg --print-architecture)" = amd64 ]; then
        expect "the image builds for arm64" build carousel:arm64 --platform linux/arm64
        expect "it is one for arm64" is_arm
        expect "it forecasts, in an emulator" arm_forecast
    fi
    echo "docker: $(digest carousel:latest), $version, in $((SECONDS - began)) s"
fi
sum_up docker

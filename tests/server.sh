# server.sh: a server for a script of tests. To be sourced; wants a folder in $folder, whose server.log it
# adds to.
server=0 url=
trap '[ $server = 0 ] || kill $server 2>/dev/null' EXIT

# server_start OPTION...: `carousel serve` on a free port, whose URL is then $url. Ends the script where it
# does not start.
server_start() {
    rm -f "$folder/server.out"
    "${CAROUSEL_PROGRAM:-build/carousel}" serve --host 127.0.0.1 --port 0 "$@" \
        >"$folder/server.out" 2>>"$folder/server.log" &
    server=$!
    for _ in {1..300}; do
        url=$(sed -n 's/^carousel: listening on //p' "$folder/server.out" 2>/dev/null)
        [ -z "$url" ] || return 0
        sleep 0.1
    done
    echo "the server did not start:"
    cat "$folder/server.log"
    exit 1
}

# server_stop: fails, and says so, where it does not end well.
server_stop() {
    local pid=$server
    server=0
    kill "$pid" && wait "$pid" || { echo "the server ended badly:"; tail -20 "$folder/server.log"; return 1; }
}

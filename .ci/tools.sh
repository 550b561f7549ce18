# Sourced by the checks that need a tool which does not come with Rust.

export PATH="$PWD/target/tools/bin:$PATH"

# cargo_tool NAME VERSION: installs a cargo tool under target/tools, and finds it there the next time.
cargo_tool() {
    [ "$(cargo "${1#cargo-}" --version 2>/dev/null)" = "$1 $2" ] && return
    echo "installing $1 $2"
    # Without optimisation: these tools compile in half of the time, and run for a second.
    cargo install --quiet --locked --debug --force --root target/tools "$1@$2"
}

# debian_package NAME: installs a Debian package, if the user may.
debian_package() {
    local prefix=()
    if [ "$(id -u)" != 0 ]; then
        [ -n "${CI:-}" ] || return 1
        prefix=(sudo --non-interactive)
    fi
    echo "installing $1"
    {
        "${prefix[@]}" apt-get install -qq --yes "$1" ||
            { "${prefix[@]}" apt-get update -qq && "${prefix[@]}" apt-get install -qq --yes "$1"; }
    } >/dev/null 2>&1
}

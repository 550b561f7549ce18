# Sourced by the checks that need another compiler than the installed one.
#
# Where rustup has it, it is used. Else it comes from Debian, whose rustc-web packages follow newer
# releases than rustc does: they are unpacked under the target folder, not installed, and found
# there the next time.

compilers=${CARGO_TARGET_DIR:-target}/compilers

# Prints the releases of Rust that this system's package lists offer, as 1.85.0+dfsg3-1~deb12u3.
debian_releases() {
    apt-cache madison rustc-web 2>/dev/null | awk '{ print $3 }'
}

# Asks for newer package lists, once, if the user may.
refresh_package_lists() {
    [ "$(id -u)" = 0 ] && [ -z "${refreshed-}" ] && apt-get update -qq >/dev/null 2>&1 || return 1
    refreshed=yes
}

# debian_version RELEASE: the Debian version of a release such as 1.85, or of the newest if empty.
debian_version() {
    debian_releases | grep "^$1" | sort -rV | head -n 1
}

# unpack FOLDER PACKAGE...: downloads Debian packages and unpacks them into a new FOLDER.
unpack() {
    folder=$1
    shift
    rm -rf "$folder.part"
    mkdir -p "$folder.part"
    (
        cd "$folder.part"
        # As root, apt would rather drop to a user who cannot write here.
        apt-get download -qq -o APT::Sandbox::User="$(id -un)" "$@" || exit
        for package in *.deb; do
            dpkg-deb --extract "$package" . && rm "$package" || exit
        done
    ) >"$folder.log" 2>&1 || return 1
    mv "$folder.part" "$folder"
}

# debian_rustc VERSION [PACKAGE...]: sets RUSTC to Debian's compiler of that version, with further
# packages of the same version beside it.
debian_rustc() {
    version=$1
    shift
    release=$(echo "$version" | cut -d. -f1,2)
    folder=$(realpath -m "$compilers/$release")
    if [ ! -d "$folder" ]; then
        std=libstd-rust-web-$release=$version
        llvm=$(apt-cache show "$std" | grep -o 'libllvm[0-9]*' | head -n 1)
        mkdir -p "$compilers"
        set -- "rustc-web=$version" "$std" "libstd-rust-web-dev=$version" "$llvm" "$@"
        unpack "$folder" "$@" || return 1
    fi
    cat >"$folder/rustc" <<SCRIPT
#!/bin/sh
export LD_LIBRARY_PATH=\$(echo "$folder"/usr/lib/*-linux-gnu):$folder/usr/lib
exec "$folder/usr/bin/rustc" "\$@"
SCRIPT
    chmod +x "$folder/rustc"
    RUSTC=$folder/rustc
}

# from_debian RELEASE [PACKAGE...]: the same for a release such as 1.85, or the newest if empty.
from_debian() {
    version=$(debian_version "$1")
    [ -n "$version" ] || return 1
    shift
    for package; do
        shift
        set -- "$@" "$package=$version"
    done
    debian_rustc "$version" "$@"
}

# find_rustc RELEASE: sets RUSTC to a compiler of that release.
find_rustc() {
    RUSTC=$(rustup which --toolchain "$1" rustc 2>/dev/null) && return
    from_debian "$1." || { refresh_package_lists && from_debian "$1."; }
}

# newest_sources: sets RUSTC to Debian's newest compiler with the sources of its standard library beside it,
# unless it is older than the tests for other processors need. Package lists that were never refreshed offer old
# ones only.
newest_sources() {
    oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' tests/targets/Cargo.toml)
    newest=$(debian_version "")
    [ "$(printf '%s\n' "$oldest" "$newest" | sort -V | head -n 1)" = "$oldest" ] && from_debian "" rust-web-src
}

# find_sources: the same, with newer package lists if the user may ask for them.
find_sources() {
    newest_sources || { refresh_package_lists && newest_sources; }
}

# Whether RUSTC runs and is of a release, such as 1.85.
check_release() {
    found=$("$RUSTC" --version) || return 1
    echo "$found"
    case $found in "rustc $1."*) ;; *) return 1 ;; esac
}

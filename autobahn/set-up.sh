# Sets up the Autobahn test suite and the Python 2.7 that it needs. Sourced by `run`, which defines the folders.
# shellcheck shell=bash
# Its functions are called by name, through `step`.
# shellcheck disable=SC2317

readonly SUITE=$WORK/suite # removed and made anew as a whole
readonly LIBRARIES=$SUITE/root/usr/lib/x86_64-linux-gnu

# The suite runs on Python 2.7 alone, which Debian had last in bullseye. Nothing of either is installed on the machine.
set_up_suite() {
    if suite_is_ready; then return; fi
    if ! has apt-get || ! has dpkg; then
        give_up "apt-get or dpkg is missing: this runs on Debian alone, whose archive has the suite's Python 2.7"
    fi
    [[ $(dpkg --print-architecture) == amd64 ]] ||
        give_up "the packages of debs.sha256 are for amd64, and this is $(dpkg --print-architecture)"
    install_missing_packages

    echo "autobahn: setting up the suite in ${SUITE#"$ROOT/"}"
    # The stamp goes first and comes last, so that a set-up that was cut short never looks whole.
    rm -f "$SUITE/stamp"
    rm -rf "$SUITE"
    mkdir -p "$SUITE/debs" "$SUITE/root"
    step "fetch Python 2.7 from Debian's archive" fetch_debs
    step "unpack Python 2.7" unpack_debs
    step "make an environment of Python 2.7" make_environment
    step "install the suite" install_suite
    step "start the suite" wstest --autobahnversion
    rm -rf "$SUITE/apt" "$SUITE/no-lists" "$SUITE/debs"
    stamp >"$SUITE/stamp.new"
    mv "$SUITE/stamp.new" "$SUITE/stamp"
}

suite_is_ready() {
    [[ -f $SUITE/stamp && $(<"$SUITE/stamp") == "$(stamp)" ]]
}

# What the suite was made from, and where: its Python has the folder's path written into it.
stamp() {
    echo "$SUITE"
    sha256sum <"$HERE/set-up.sh"
    sha256sum <"$HERE/debs.sha256"
    sha256sum <"$HERE/requirements.txt"
}

install_missing_packages() {
    local log=$WORK/logs/packages.log packages
    mapfile -t packages < <(missing_packages)
    if ((${#packages[@]} == 0)); then return; fi
    if ((EUID == 0)); then
        echo "autobahn: installing ${packages[*]}"
        apt-get update >"$log" 2>&1 </dev/null || true
        DEBIAN_FRONTEND=noninteractive \
            apt-get install --yes --no-install-recommends "${packages[@]}" >>"$log" 2>&1 </dev/null ||
            tail -n 20 "$log" >&2
        mapfile -t packages < <(missing_packages)
        if ((${#packages[@]} == 0)); then return; fi
    fi
    give_up "missing here, and needed to set up the suite: apt-get install ${packages[*]}"
}

# Names the Debian package of each tool that is not there.
missing_packages() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || printf '%s\n' python3 python3-venv
    echo '#include <stdio.h>' | gcc -E - >/dev/null 2>&1 || printf '%s\n' gcc libc6-dev
    debian_keyring >/dev/null || echo debian-archive-keyring
}

# step WHAT COMMAND...: runs it, and gives up with the end of its output when it fails.
step() {
    local log=$WORK/logs/set-up.log
    if ! ("${@:2}") >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        give_up "could not $1; all that was said is in ${log#"$ROOT/"}"
    fi
}

# As the steps run in a condition, where bash does not stop at the first failure, each says itself that it failed.

fetch_debs() {
    local mirror
    while read -r mirror; do
        if fetch_debs_from "$mirror"; then return 0; fi
    done < <(debian_mirrors)
    echo "None of apt's sources has what debs.sha256 names of Debian's bullseye."
    return 1
}

# The addresses of Debian's archive. apt reads its own configuration, in whichever form: asked with empty lists, it
# names every index that it would fetch. Another archive may have a suite and a component of the same name; nothing is
# taken from it, since its bullseye is not signed with Debian's key.
debian_mirrors() {
    local suites
    # shellcheck source=/dev/null
    suites=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
    suites+="|oldoldstable|oldstable|stable|testing|unstable|sid"
    mkdir -p "$SUITE/no-lists/partial"
    apt-get -o Dir::State::lists="$SUITE/no-lists" update --print-uris |
        sed -nE "s#^'(.+)/dists/($suites)/main/binary-[^/]+/Packages.*#\1#p" |
        sort -u
}

# fetch_debs_from MIRROR: with an apt of its own, which knows bullseye and has no package installed.
fetch_debs_from() {
    local apt=$SUITE/apt file name version packages=() options
    rm -rf "$apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" || return 1
    : >"$apt/status"
    echo "deb [signed-by=$(debian_keyring) target=Packages] $1 bullseye main" >"$apt/sources.list"
    options=(
        -o Dir::Etc::sourcelist="$apt/sources.list"
        -o Dir::Etc::sourceparts=/dev/null
        -o Dir::Etc::preferences=/dev/null
        -o Dir::Etc::preferencesparts=/dev/null
        -o Dir::State="$apt"
        -o Dir::State::lists="$apt/lists"
        -o Dir::State::status="$apt/status"
        -o Dir::Cache="$apt/cache"
        -o APT::Default-Release=
        -o APT::Sandbox::User=root
        -o Acquire::Languages=none
        -o Acquire::Retries=3
    )
    # A file is named after the package, its version and its architecture.
    while read -r _ file; do
        IFS=_ read -r name version _ <<<"$file"
        packages+=("$name=$version")
    done <"$HERE/debs.sha256"
    apt-get "${options[@]}" update && cd "$SUITE/debs" &&
        apt-get "${options[@]}" download "${packages[@]}" &&
        sha256sum --check --strict "$HERE/debs.sha256"
}

debian_keyring() {
    local keyring
    for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        if [[ -r $keyring ]]; then
            echo "$keyring"
            return
        fi
    done
    return 1
}

unpack_debs() {
    local deb
    for deb in "$SUITE"/debs/*.deb; do
        dpkg --extract "$deb" "$SUITE/root" || return 1
    done
}

# virtualenv 20.21.1 is the last that makes environments of Python 2.7.
make_environment() {
    python3 -m venv "$SUITE/virtualenv" &&
        "$SUITE/virtualenv/bin/python" -m pip install virtualenv==20.21.1 &&
        LD_LIBRARY_PATH=$LIBRARIES "$SUITE/virtualenv/bin/python" -m virtualenv \
            --app-data "$SUITE/app-data" --no-periodic-update --no-download \
            --pip 20.3.4 --setuptools 44.1.1 --wheel 0.37.1 \
            --python "$SUITE/root/usr/bin/python2.7" "$SUITE/python2"
}

# wsaccel is compiled, and looks for Python.h. The list is whole, so that nothing is left to resolve.
install_suite() {
    local headers=$SUITE/root/usr/include
    CPATH=$headers:$headers/python2.7 python2 -m pip install --no-deps --requirement "$HERE/requirements.txt" &&
        python2 -m pip check
}

wstest() {
    python2 "$SUITE/python2/bin/wstest" "$@"
}

python2() {
    LD_LIBRARY_PATH=$LIBRARIES "$SUITE/python2/bin/python" "$@"
}

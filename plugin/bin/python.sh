# Finds the plugin's Python environment, and makes it when it is not there yet. Sourced by the other scripts of this
# folder, which set $here to the folder's path. Completion runs this at every press of a key: the usual way starts no
# process but cmp.

fail() {
    echo "helm llmkube: $1" >&2
    exit 1
}

# Prints the path of an interpreter's program when it is recent enough. A command on PATH may be a version manager's slow
# stand-in for it.
recent() {
    "$1" -I -S -c 'import sys; print(sys.executable); sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

find_python() {
    if [ -n "${LLMKUBE_PYTHON:-}" ]; then
        recent "$LLMKUBE_PYTHON" || fail "LLMKUBE_PYTHON=$LLMKUBE_PYTHON is no Python 3.10 or newer."
        return
    fi
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if found=$(recent "$candidate"); then
            echo "$found"
            return
        fi
    done
    fail "no Python 3.10 or newer found on PATH. Install one, or name it in the environment variable LLMKUBE_PYTHON."
}

# Whether environment.py has left a note of the environment for this folder, and nothing has changed since: not the lock
# file, not LLMKUBE_PYTHON, and the interpreter is still there. Sets $environment.
noted() {
    note=${XDG_CACHE_HOME:-${HOME:-}/.cache}/llmkube/plugin-venv/at$here/note
    [ -f "$note" ] || return 1
    { IFS= read -r environment && IFS= read -r chosen; } <"$note" || return 1
    [ "$chosen" = "${LLMKUBE_PYTHON:-}" ] && [ -x "$environment/bin/python" ] || return 1
    cmp -s "$here/../requirements.txt" "$environment/requirements.txt"
}

# Sets $environment to the folder of the environment, which is there afterwards.
find_environment() {
    noted && return
    base=$(find_python) || exit 1
    environment=$("$base" -I -S "$here/../src/llmkube_plugin/environment.py" "$here") || exit 1
}

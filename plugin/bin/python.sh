# Finds Python and makes the plugin's virtual environment. Sourced by the other scripts of this folder, which set $here
# to the folder's path.

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

# Prints the path of the environment's interpreter; makes the environment when it is not there yet.
environment_python() {
    base=$(find_python) || exit 1
    environment=$("$base" -I -S "$here/../src/llmkube_plugin/environment.py" "$here/../requirements.txt") || exit 1
    echo "$environment/bin/python"
}

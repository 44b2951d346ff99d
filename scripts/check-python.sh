#!/usr/bin/env bash
# Compares what the functions of the Python package return with what the command prints, to the bit, from tables of pandas, polars
# and pyarrow. Then it runs the notebook examples/analysis.ipynb.
#
# Usage: check-python.sh
#   RUNNER   a program that is built already: the package is taken from python/ as it stands
#   WHEEL    a wheel that is built already; without either one is built, without training. It is installed into a new environment
#   PYTHON   a Python with pandas, polars, pyarrow, matplotlib, nbclient and ipykernel, whose packages the new environment sees
#            [default: one under ~/.cache, into which they are installed]
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
packages="pandas polars pyarrow matplotlib nbclient ipykernel maturin"
if [ -z "${PYTHON:-}" ]; then
    venv="$HOME/.cache/runner/venv-python"
    PYTHON="$venv/bin/python"
    [ -x "$PYTHON" ] || python3 -m venv "$venv"
    "$PYTHON" -c "import pandas, polars, pyarrow, matplotlib, nbclient, ipykernel, maturin" 2> /dev/null \
        || "$venv/bin/pip" install -q $packages
fi
export PATH="$scratch/bin:$PATH"
mkdir "$scratch/bin"
if [ -n "${RUNNER:-}" ]; then
    # The package as it stands here, with a program that is built already.
    export PYTHONPATH="$PWD/python" ISOFLOP_RUNNER="$RUNNER"
    ln -s "$(realpath "$RUNNER")" "$scratch/bin/runner"
    python=$PYTHON
else
    [ -n "${WHEEL:-}" ] || OUT="$scratch/dist" PYTHON="$PYTHON" scripts/wheel.sh --no-default-features
    "$PYTHON" -m venv "$scratch/venv"
    others=$("$PYTHON" -c "import sys; print(*(path for path in sys.path if path.endswith('site-packages')), sep='\n')")
    echo "$others" > "$("$scratch/venv/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")/others.pth"
    "$scratch/venv/bin/pip" install -q --no-deps --no-index "${WHEEL:-$(echo "$scratch"/dist/*.whl)}"
    export PATH="$scratch/venv/bin:$PATH"
    python="$scratch/venv/bin/python"
    # Package and program are those of the wheel.
    "$python" -c "import isoflop, sys; assert isoflop.__file__.startswith(sys.prefix), isoflop.__file__"
    [ "$(command -v runner)" = "$scratch/venv/bin/runner" ]
fi
runner --version
"$python" scripts/check-python.py "$scratch"
"$python" scripts/run-notebook.py examples/analysis.ipynb "$scratch/analysis.ipynb"
echo "python: all good"

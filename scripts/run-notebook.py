"""Runs a notebook from beginning to end, in the folder of the repository, and keeps what it printed in OUTPUT.

usage: run-notebook.py NOTEBOOK OUTPUT. Needs: pip install nbclient ipykernel"""

import sys

import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
committed = [cell for cell in notebook.cells if cell.get("outputs")]
assert not committed, "outputs are not committed: clear them"
NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
nbformat.write(notebook, sys.argv[2])
print(f"{sys.argv[1]}: {sum(cell.cell_type == 'code' for cell in notebook.cells)} cells ran")

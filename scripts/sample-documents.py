#!/usr/bin/env python3
"""Takes documents of a text by the hash of their content until they have so many megabytes: a sample of the whole, always the same.

usage: sample-documents.py INPUT MEGABYTES OUTPUT

Documents are separated by blank lines, here and there, and stay in their order.
"""

import hashlib
import pathlib
import sys


def documents(path):
    """Each document as bytes."""
    lines = []
    with path.open("rb") as text:
        for line in text:
            if line.strip():
                lines.append(line)
            elif lines:
                yield b"".join(lines)
                lines = []
    if lines:
        yield b"".join(lines)


def main():
    if len(sys.argv) != 4 or not sys.argv[2].isdigit() or int(sys.argv[2]) == 0:
        sys.exit(__doc__)
    source, wanted, output = pathlib.Path(sys.argv[1]), int(sys.argv[2]) * 1_000_000, pathlib.Path(sys.argv[3])
    hashes = ((hashlib.blake2b(document, digest_size=8).digest(), len(document)) for document in documents(source))
    found = sorted((key, at, size) for at, (key, size) in enumerate(hashes))
    chosen, left = set(), wanted
    for _, at, size in found:
        if left <= 0:
            break
        chosen.add(at)
        left -= size
    with output.open("wb") as out:
        for at, document in enumerate(documents(source)):
            if at in chosen:
                out.write(document + b"\n")
    print(f"{len(chosen)} of {len(found)} documents, {(wanted - left) / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Turns a source tarball into C text: one file a document, a blank line between documents.

usage: clean-c.py TARBALL OUTPUT

Licence comments at the top go, blank lines inside a file go (they separate documents here), files that repeat an
earlier one, are tiny, or are so large that they are tables go too. The output depends on nothing but the tarball.
"""

import hashlib
import re
import sys
import tarfile

COMMENTS = re.compile(r"\A\s*(?:/\*.*?\*/|(?://[^\n]*(?:\n|\Z))+)", re.DOTALL)
LICENCE = re.compile(r"copyright|licen[cs]e|spdx", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

SMALLEST = 200  # characters: smaller files hold nothing but includes
LARGEST = 400_000  # bytes: larger files are tables of constants


def clean(data):
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n")
    while (comment := COMMENTS.match(text)) and LICENCE.search(comment[0]):
        text = text[comment.end() :]
    lines = (line.rstrip() for line in CONTROL.sub("", text).split("\n"))
    return "\n".join(line for line in lines if line)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    seen, documents, left_out = set(), 0, 0
    with tarfile.open(sys.argv[1], "r|*") as tar, open(sys.argv[2], "w", encoding="utf-8") as out:
        for member in tar:
            if not (member.isfile() and member.name.endswith(".c")):
                continue
            text = clean(tar.extractfile(member).read()) if member.size <= LARGEST else ""
            key = hashlib.blake2b(text.encode(), digest_size=16).digest()
            if len(text) < SMALLEST or key in seen:
                left_out += 1
                continue
            seen.add(key)
            out.write(text + "\n\n")
            documents += 1
    if not documents:
        sys.exit(f"error: no C files in {sys.argv[1]}")
    print(f"{documents} documents, {left_out} tiny, huge or repeated files left out", file=sys.stderr)


if __name__ == "__main__":
    main()

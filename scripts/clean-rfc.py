#!/usr/bin/env python3
"""Turns a tree of RFC texts into prose: one paragraph a line, one RFC a document, a blank line between documents.

usage: clean-rfc.py TREE OUTPUT

Page furniture goes, paragraphs cut by a page break are joined again, and only paragraphs that look like prose stay:
no tables, diagrams, code, grammars, lists of contents. A paragraph that an earlier RFC had is dropped. The output
depends on nothing but the texts.
"""

import gzip
import hashlib
import multiprocessing
import pathlib
import re
import sys

NAME = re.compile(r"rfc0*(\d+)\.txt(?:\.gz)?")
FOOTER = re.compile(r"\[Page\s+[0-9ivxlc]+\]\s*$", re.IGNORECASE)
HEADER = re.compile(r"RFC\s+\d+\s.{8,}\b(19|20)\d\d\s*$")
CONTENTS = re.compile(r"(?:\.\s?){4,}\s*[0-9ivx]+\s*$")
COLUMNS = re.compile(r"\S {3,}\S")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")

SHORTEST = 80  # characters of a paragraph: shorter ones are headings, list items, captions
LETTERS = 0.86  # least share of letters and spaces: below it are code, references, tables
LINE = 45  # least mean length of the wrapped lines: below it are verses of a table


def read(path):
    """The text of one RFC. A few old ones are not UTF-8 but Latin-1."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def paragraphs(text):
    """Lists of lines between blank lines. A page break inside a sentence does not end its paragraph."""
    # An empty string at the end of `current` marks blank lines, until what follows tells whether they end it.
    current, page_break = [], False
    for line in text.split("\n"):
        if "\f" in line:
            line, page_break = line.replace("\f", ""), True
        line = line.rstrip()
        if FOOTER.search(line) or HEADER.match(line):
            page_break = True
        elif CONTENTS.search(line):
            continue
        elif line:
            if current and current[-1] == "":
                current.pop()
                continues = page_break and line.lstrip()[0].islower() and current[-1][-1] not in ".:"
                if not continues:
                    yield current
                    current = []
            current.append(line)
            page_break = False
        elif current and current[-1] != "":
            current.append("")
    yield [line for line in current if line]


def is_prose(lines, text):
    if len(text) < SHORTEST or any(COLUMNS.search(line) for line in lines):
        return False
    if sum(c.isalpha() or c == " " for c in text) < LETTERS * len(text):
        return False
    full = lines[:-1]
    return len(full) < 2 or sum(map(len, full)) >= LINE * len(full)


def prose(path):
    """The prose paragraphs of one file, each with a key that is the same for equal words."""
    found = []
    for block in paragraphs(read(path)):
        lines = [line.strip() for line in block]
        text = " ".join(" ".join(lines).split())
        if is_prose(lines, text):
            letters = re.sub(r"[^a-z]+", "", text.lower())
            found.append((hashlib.blake2b(letters.encode(), digest_size=8).digest(), text))
    return found


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tree, output = map(pathlib.Path, sys.argv[1:])
    files = {}
    for path in sorted(tree.rglob("rfc*")):
        match = NAME.fullmatch(path.name)
        if match and path.is_file() and not path.is_symlink():
            files.setdefault(int(match[1]), path)
    if not files:
        sys.exit(f"error: no rfcNNNN.txt under {tree}")
    seen, documents, kept, repeated = set(), 0, 0, 0
    with multiprocessing.Pool() as pool, output.open("w", encoding="utf-8") as out:
        for found in pool.imap(prose, (files[number] for number in sorted(files)), chunksize=16):
            new = []
            for key, text in found:
                if key in seen:
                    repeated += 1
                else:
                    seen.add(key)
                    new.append(text)
            if new:
                out.write("\n".join(new) + "\n\n")
                documents, kept = documents + 1, kept + len(new)
    print(f"{len(files)} RFCs: {documents} documents, {kept} paragraphs, {repeated} repeated ones left out", file=sys.stderr)


if __name__ == "__main__":
    main()

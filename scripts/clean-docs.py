#!/usr/bin/env python3
"""Turns Debian packages of documentation into prose: one paragraph a line, one page a document, a blank line between documents.

usage: clean-docs.py OUTPUT PACKAGE.deb...

Pages are HTML, POD and manual pages, English ones only. What is no prose goes: code, tables, menus, lists of links. A paragraph that
an earlier page had is dropped. The output depends on nothing but the packages and their order.
"""

import gzip
import hashlib
import html
import multiprocessing
import pathlib
import re
import subprocess
import sys
import tarfile

SHORTEST = 80  # characters of a paragraph: shorter ones are headings, list items, captions
LETTERS = 0.86  # least share of letters and spaces: below it are code, references, tables
COMMON = 0.15  # least share of words that every English text is full of: below it are other languages and lists
LARGEST = 6_000_000  # bytes: larger files are indexes

WORDS = frozenset("the of and to a in is it for that as be with on are by this or an not from at can if you which will have".split())
# Directories and endings of translations, such as /pt_BR/ and .zh-cn.html.
TRANSLATED = re.compile(r"/(?!en)[a-z]{2}([-_@][A-Za-z]+)?/|\.(?!en)[a-z]{2}([-_][A-Za-z]{2})?\.html?$")
FURNITURE = re.compile(r"changelog|copyright|genindex|searchindex|news", re.IGNORECASE)
NO_PROSE = re.compile(r"<(script|style|pre|table|nav|head|svg|math|footer)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
BLOCK = re.compile(
    r"</?(p|li|ul|ol|div|dd|dt|dl|br|h\d|tr|td|th|section|article|body|blockquote|hr|header|main|details|summary|title)\b[^>]*>",
    re.IGNORECASE,
)
TAG = re.compile(r"<[^>]*>")
# Requests of manual pages: those that set fonts keep their words, all others end a paragraph.
FONT = re.compile(r"^\.(?:B|I|BR|IR|RB|RI|BI|IB|Fn|Fa|Ar|Fl|Va|Xr|Em|Dv|Er|Pa|Li|Ql|Sq|Dq|Nm)[ \t]+(.*)$", re.MULTILINE)
REQUEST = re.compile(r"^[.'].*$", re.MULTILINE)
ESCAPE = re.compile(r"\\f(?:\[[^]]*\]|\(..|.)|\\s[-+]?\d+|\\[&c/|^%]")


def from_html(text):
    text = NO_PROSE.sub("\n", text)
    text = BLOCK.sub("\n", " ".join(text.split()))
    return html.unescape(TAG.sub("", text)).split("\n")


def from_pod(text):
    plain = (block for block in re.split(r"\n\s*\n", text) if not block.startswith((" ", "\t", "=")))
    return [re.sub(r"[A-Z]<+ ?([^<>]*) ?>+", r"\1", block) for block in plain]


def from_manual(text):
    text = FONT.sub(lambda found: found[1].replace('"', ""), text)
    text = ESCAPE.sub("", REQUEST.sub("\n", text))
    return re.split(r"\n\s*\n", text.replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\"))


def reader(name):
    """What turns a file of this name into paragraphs; nothing where it is no page in English."""
    plain = name.removesuffix(".gz")
    if TRANSLATED.search(plain) or FURNITURE.search(plain.rsplit("/", 1)[-1]):
        return None
    if plain.endswith((".html", ".htm", ".xhtml", ".page")):
        return from_html
    if plain.endswith(".pod"):
        return from_pod
    return from_manual if re.search(r"/man/man\d", plain) else None


def is_prose(text):
    if len(text) < SHORTEST or sum(c.isascii() and (c.isalpha() or c == " ") for c in text) < LETTERS * len(text):
        return False
    words = text.lower().split()
    return sum(word in WORDS for word in words) >= COMMON * len(words)


def pages(package):
    """The prose paragraphs of each page of a package, each with a key that is the same for equal words."""
    found = []
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as unpacked:
        with tarfile.open(fileobj=unpacked.stdout, mode="r|") as tar:
            for member in tar:
                read = reader(member.name) if member.isfile() and member.size <= LARGEST else None
                if read is None:
                    continue
                data = tar.extractfile(member).read()
                if member.name.endswith(".gz"):
                    data = gzip.decompress(data)
                texts = (" ".join(block.split()) for block in read(data.decode("utf-8", errors="replace")))
                prose = [text for text in texts if is_prose(text)]
                letters = (re.sub(r"[^a-z]+", "", text.lower()) for text in prose)
                keys = [hashlib.blake2b(key.encode(), digest_size=8).digest() for key in letters]
                found.append(list(zip(keys, prose)))
    return found


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    output, packages = pathlib.Path(sys.argv[1]), sys.argv[2:]
    seen, documents, kept, repeated = set(), 0, 0, 0
    with multiprocessing.Pool() as pool, output.open("w", encoding="utf-8") as out:
        for page in (page for found in pool.imap(pages, packages) for page in found):
            new = []
            for key, text in page:
                if key in seen:
                    repeated += 1
                else:
                    seen.add(key)
                    new.append(text)
            if new:
                out.write("\n".join(new) + "\n\n")
                documents, kept = documents + 1, kept + len(new)
    if not documents:
        sys.exit("error: no English pages in these packages")
    print(f"{len(packages)} packages: {documents} documents, {kept} paragraphs, {repeated} repeated ones left out", file=sys.stderr)


if __name__ == "__main__":
    main()

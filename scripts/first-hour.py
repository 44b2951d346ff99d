"""What scripts/first-hour.sh plays, and what must hold of it."""

import argparse
import codecs
import fcntl
import html
import json
import os
import pathlib
import pty
import re
import select
import shlex
import signal
import struct
import sys
import tempfile
import termios
import time

COLUMNS, ROWS = 80, 24
RUNNER = os.environ["RUNNER"]
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
# What no screen may show.
UGLY = ["NaN", "None", "0e0", "panicked", "\ufffd"]
failures = []


class Screen:
    """What is left on a terminal that scrolls: its lines, with what was erased erased."""

    def __init__(self):
        self.lines, self.row, self.column = [[]], 0, 0

    def put(self, text):
        for part in re.finditer(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b.|[\s\S]", text):
            if part[2]:
                self.control(part[1], part[2])
            elif part[0] == "\n":
                self.move(self.row + 1)
            elif part[0] == "\r":
                self.column = 0
            elif part[0] >= " ":
                if self.column == COLUMNS:
                    self.move(self.row + 1)
                    self.column = 0
                line = self.lines[self.row]
                line.extend(" " * (self.column + 1 - len(line)))
                line[self.column] = part[0]
                self.column += 1

    def move(self, row):
        self.row = max(row, 0)
        while len(self.lines) <= self.row:
            self.lines.append([])

    def control(self, number, letter):
        count = int(number) if number.isdigit() else 1
        if letter == "A":
            self.move(self.row - count)
        elif letter == "B":
            self.move(self.row + count)
        elif letter == "H":
            self.column = 0
            self.move(len(self.lines) - ROWS)
        elif letter == "G":
            self.column = count - 1
        elif letter == "K":
            del self.lines[self.row][0 if number == "2" else self.column :]
        elif letter == "J":
            del self.lines[self.row][self.column :]
            del self.lines[self.row + 1 :]

    def text(self):
        return "\n".join("".join(line).rstrip() for line in self.lines).rstrip() + "\n"


def play(command, stop_after=None, code=0):
    """Runs a command line in a terminal; presses Ctrl-C once `stop_after` holds of the screen. Returns what is left."""
    print(f"$ {command}", flush=True)
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.environ.update(TERM="xterm-256color", PATH=f"{pathlib.Path(RUNNER).parent}:{os.environ['PATH']}")
        # Without a shell between, which Ctrl-C would end first; and as in a terminal where this script runs behind `&`.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        words = shlex.split(command)
        os.execvp(words[0], words)
    screen, stopped, begun = Screen(), False, time.monotonic()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.2)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            screen.put(decoder.decode(data))
        if stop_after and not stopped and stop_after():
            os.write(terminal, b"\x03")
            stopped = True
        if time.monotonic() - begun > 900:
            raise SystemExit(f"{command} has not ended in 15 minutes")
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = screen.text()
    print(left, flush=True)
    check(f"{command} ends with {code}", ended == code, f"it ended with {ended}")
    for word in UGLY:
        check(f"{command} shows no {word}", not re.search(rf"(?<![A-Za-z0-9.]){re.escape(word)}(?![A-Za-z0-9])", left), left)
    return left


def check(what, holds, otherwise=""):
    if not holds:
        failures.append(what)
        print(f"FAILED: {what}\n{otherwise}", flush=True)


def flat(text):
    """Words on one line: closing lines are broken between words."""
    return " ".join(text.split())


def squeezed(text):
    """Without any space: a terminal breaks long lines within words."""
    return "".join(text.split())


def closing(left):
    """The last paragraph of a screen."""
    return left.rstrip().rsplit("\n\n", 1)[-1]


def the_sweep(device):
    play("runner init quickstart --set sweep.budgets=[2e10,6e10,2e11]")
    play(f"runner plan quickstart.toml --device {device} --flops-per-second 3e10")
    folder = pathlib.Path("results/quickstart" + ("-rehearsal" if device == "rehearsal" else ""))
    sweep = f"runner sweep quickstart.toml --device {device}"
    if device != "rehearsal":
        some = lambda: len(list(folder.glob("runs/*/result.json"))) >= 3
        left = flat(closing(play(sweep, stop_after=some, code=75)))
        check("Ctrl-C tells what is kept", f"Nothing is lost: they are kept in {folder}" in left, left)
        check("Ctrl-C tells how to go on", left.endswith(f"To go on: {sweep}"), left)
    left = closing(play(sweep))
    check("the last line names the report", left.endswith(f"Report: {folder}/report.html"), left)
    check("closing lines fit the terminal", all(len(line) <= COLUMNS for line in left.splitlines()), left)
    again = closing(play(sweep))
    check("a second call ends with the same words", again == left, again)
    return folder, flat(left)


def one_headline(folder, said):
    fits = json.loads((folder / "fits.json").read_text())
    headline = fits.get("headline")
    check("the small grid has a headline", headline is not None, said)
    if headline is None:
        return
    number = re.search(r"(\S+ \(\S+ to \S+\)) tokens per parameter at \S+ FLOPs, approach 2, all parameters", said)
    check("the closing lines have the headline with its interval", number is not None, said)
    if number is None:
        return
    shown = float(number[1].split()[0])
    check("fits.json has its value", abs(shown / headline["tokens_per_param"]["value"] - 1) < 0.01, headline)
    page = (folder / "report.html").read_text()
    answer = html.unescape(re.search(r'class="answer"[^>]*>(.*?)</p>', page, re.S)[1])
    run = next(iter((folder / "runs").iterdir())).name
    places = {
        "the report's answer": answer,
        "ls": play("runner ls"),
        "show": play(f"runner show {run}"),
        "compare": play(f"runner compare {folder} {folder}"),
    }
    for place, text in places.items():
        # A cell of `ls` may be narrow, with the cells beside it in between.
        words = number[1] if place == "ls" else number[0]
        check(f"{place} says {words}", squeezed(words) in squeezed(text), text)
    play(f"runner status {folder}")


def own_text():
    """A text of one's own: the program's."""
    files = sorted(REPOSITORY.glob("src/**/*.rs")) + sorted(REPOSITORY.glob("docs/*.md"))
    texts = [path.read_text() for path in files]
    pathlib.Path("mine.txt").write_text("\n\n".join(texts))
    pathlib.Path("mine.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for file in ["mine.txt", "mine.jsonl"]:
        name = file.replace(".", "-")
        small = "--set data.max_epochs=100 --set sweep.budgets=[2e9,4e9,8e9] --set sweep.min_steps=50 --set data.vocab=256"
        play(f"runner init isoflop --text {file} --name {name} --set data.validation_fraction=0.2 {small} --set eval.tokens=2048")
        play(f"runner data prepare {name}.toml")
        left = closing(play(f"runner sweep {name}.toml --device rehearsal"))
        check(f"{file} ends with its report", left.endswith(f"results/{name}-rehearsal/report.html"), left)


def mistakes(folder):
    text = pathlib.Path("quickstart.toml").read_text()
    wrong = text.replace("head_dim = 8 ", "head_dimm = 8 ").replace("floor = 0.1 ", "floor = 7.0 ")
    pathlib.Path("wrong.toml").write_text(wrong)
    left = squeezed(play("runner sweep wrong.toml --device rehearsal", code=2))
    check("both mistakes are told", "head_dimm" in left and "schedule.floor" in left, left)
    before = (folder / "spec.toml").read_bytes()
    play("runner init coord-check --text mine.txt")
    left = squeezed(play(f"runner coord-check coord-check.toml --out {folder}", code=2))
    check("results are not overwritten", "notoverwritten" in left and (folder / "spec.toml").read_bytes() == before, left)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args().device
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        folder, said = the_sweep(device)
        one_headline(folder, said)
        own_text()
        mistakes(folder)
        os.chdir("/")
    if failures:
        print(f"{len(failures)} checks of the first hour failed:")
        print("\n".join(f"  {what}" for what in failures))
        sys.exit(1)
    print("the first hour holds")


main()

"""The checks of check-report.sh: runs headless Chromium over reports and reads the page that comes out.

State of the page is in its address (#filter=...&sort=...), so that nothing needs to be clicked.
"""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

RUNNER, OUT = sys.argv[1], Path(sys.argv[2])
HOSTILE = Path(sys.argv[3]) if len(sys.argv) > 3 else None
SWEEPS = Path(__file__).parent.parent / "sweeps"
EVIL = "</script><img src=x onerror=document.title='owned'>"
failures = []


def check(what, holds, seen=""):
    print(("ok      " if holds else "FAILED  ") + what + ("" if holds else f": {seen}"))
    if not holds:
        failures.append(what)


def chromium(*flags):
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command.append(f"--user-data-dir={OUT / 'profile'}")
    return subprocess.run([*command, *flags], capture_output=True, text=True, timeout=120)


class Page(HTMLParser):
    """The document after its scripts ran."""

    VOID = {"meta", "input", "img", "br", "hr", "link"}

    def __init__(self, url):
        super().__init__()
        self.nodes, self.open = [], []
        done = chromium("--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom", url)
        self.text, self.log = done.stdout, done.stderr
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        node = {"tag": tag, "in": [n["tag"] for n in self.open], "text": "", **dict(attributes)}
        self.nodes.append(node)
        if tag not in self.VOID:
            self.open.append(node)

    def handle_endtag(self, tag):
        while self.open and self.open.pop()["tag"] != tag:
            pass

    def handle_data(self, data):
        for node in self.open:
            node["text"] += data

    def all(self, tag=None, **wanted):
        names = {key.replace("_", "-").replace("klass", "class"): value for key, value in wanted.items()}
        fits = lambda node: all(node.get(key) == value for key, value in names.items())
        return [node for node in self.nodes if (tag is None or node["tag"] == tag) and fits(node)]

    def one(self, tag=None, **wanted):
        return (self.all(tag, **wanted) or [{"text": "", "in": []}])[0]

    def complaints(self):
        return [line for line in self.log.splitlines() if "CONSOLE" in line]


def address(path, **state):
    return path.resolve().as_uri() + ("#" + urllib.parse.urlencode(state) if state else "")


def rows(page):
    """Rows of the table of runs that are shown, by the names of their columns."""
    start = page.text.index('id="run-table"')
    table = page.text[start:page.text.index("</table>", start)]
    cells = lambda row: [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
    head, body = table.split("</thead>")
    names = cells(head)
    shown = [row for row in re.findall(r"<tr([^>]*)>(.*?)</tr>", body, re.S) if "hidden" not in row[0]]
    return [dict(zip(names, cells(row))) for _, row in shown]


def plain(report):
    page = Page(address(report))
    check("the page opens from disk and its script runs without complaint", not page.complaints(), page.complaints())
    check("the script has run", "scripted" in page.one("body").get("class", ""))
    figures = [node["id"] for node in page.all("figure")]
    wanted = ["isoflop", "isoflop_tokens", "optimal", "tokens_per_param", "surface", "residuals", "forecast", "loss_curves"]
    check("all figures are there", figures == wanted, figures)
    for figure in wanted:
        links = [node["href"] for node in page.all("a") if node.get("href", "").startswith(f"figures/{figure}.")]
        there = [link for link in links if (report.parent / link).is_file()]
        check(f"{figure} is there as SVG and CSV", len(there) == 2, links)
    check("nothing is fetched", not re.search(r"(src|href)=\"(https?:)?//", page.text))
    sections = [node["id"] for node in page.all("section")]
    for section in ["headline", "conclusions", "figures", "forecasts", "runs", "failed", "left-out", "provenance", "spec"]:
        check(f"the section {section} is there", section in sections, sections)
    headline = page.one("section", id="headline")["text"]
    names = ["1, envelope", "2, IsoFLOP parabolas", "3, surface, robust", "VPNLS, surface, least squares"]
    check("every approach is in the headline", all(name in headline for name in names))
    everything = len(rows(page))
    check("the table holds all runs", everything == 21, everything)
    return page


def states(report):
    budgets = [node["data-group"] for node in Page(address(report)).all("g", klass="entry") if "data-group" in node]
    hidden = budgets[0]
    state = {"hide": hidden, "switch": "isoflop", "sort": "-val_loss", "filter": "finished flop_budget>2e11", "columns": "all"}
    page = Page(address(report, **state))
    shown = rows(page)
    losses = [float(row["val_loss"]) for row in shown]
    check("a filter compares numbers", len(shown) == 14, len(shown))
    check("it says how many rows are shown", page.one(id="shown")["text"] == "14 of 21 runs", page.one(id="shown"))
    check("rows are sorted, descending", losses == sorted(losses, reverse=True) and len(losses) > 1, losses)
    heads = [node["text"] for node in page.all("th") if node.get("aria-sort") == "descending"]
    check("the head says by what", heads == ["val_loss"], heads)
    series = [node for node in page.all("g") if node.get("data-group") == hidden and "series" in node["class"].split()]
    off = [node for node in series if "off" in node["class"].split()]
    check("a hidden budget is hidden in every figure", series and len(off) == len(series), (len(off), len(series)))
    others = [node for node in page.all("g") if node.get("data-group") not in (None, hidden) and "off" in node["class"].split()]
    check("the others are not", not others)
    check("an axis is switched", "is-switched" in page.one("figure", id="isoflop").get("class", ""))
    check("other figures are not", not page.one("figure", id="optimal").get("class"))
    words = rows(Page(address(report, filter="no-such-word")))
    check("a word that is nowhere leaves no row", words == [], len(words))
    check("strange columns in the address do nothing", not Page(address(report, sort="x", hide="<b>|", switch="y")).complaints())


def harmless(page):
    check("it makes no element", not page.all("img") and not [n for n in page.nodes if "onerror" in n], page.all("img"))
    check("it runs nothing", page.one("title")["text"].endswith("scaling report"), page.one("title"))
    check("the page's own script runs still", "scripted" in page.one("body").get("class", ""))


def hostile_run():
    """What a worker says before it dies is free text, and it ends up in the page."""
    folder = OUT / "hostile"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(OUT / "plain", folder)
    run = sorted(folder.glob("runs/*"))[0]
    (run / "result.json").unlink()
    (run / "failed.json").write_text(json.dumps({"class": "crash", "message": EVIL, "device": None}))
    subprocess.run([RUNNER, "ledger", "rebuild", folder], check=True, capture_output=True)
    page = Page(address(folder / "report.html"))
    check("a hostile failure is shown as it is", EVIL in page.one("section", id="failed")["text"], page.one("section", id="failed"))
    harmless(page)


def hostile_name():
    """No spec may have such a name, so a sweep cannot; the tests of the library write a page that has."""
    spec = OUT / "hostile.toml"
    text = (SWEEPS / "quickstart.toml").read_text()
    spec.write_text(re.sub(r"^name = .*$", lambda _: "name = '''" + EVIL + "'''", text, count=1, flags=re.M))
    sweep = [RUNNER, "sweep", spec, "--device", "rehearsal", "--out", OUT / "never"]
    done = subprocess.run(sweep, capture_output=True, text=True)
    check("a sweep of a hostile name is refused", done.returncode == 2 and not (OUT / "never").exists(), done.stderr)
    if HOSTILE is None or not HOSTILE.is_file():
        print("skipped the page of a hostile name: run the tests first (cargo test report)")
        return
    page = Page(address(HOSTILE))
    check("a hostile name is shown as it is", page.one("h1")["text"].startswith("</script><img src=x onerror="), page.one("h1"))
    harmless(page)


def strange(report):
    copy = report.with_name("strange.html")
    text = report.read_text()
    added = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><b style='color:red'></b>"
    copy.write_text(text.replace("</main>", added + "</main>"))
    page = Page(address(copy))
    check("a script that is not the page's own is not run", page.one("title")["text"] != "owned", page.one("title"))
    check("the browser says so", any("Content Security Policy" in line for line in page.complaints()), page.complaints())


def get(url, method="GET", host=None):
    request = urllib.request.Request(url, method=method, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), ""


def watch():
    """A sweep that was ended early is watched, then swept to its end."""
    folder = OUT / "watched"
    shutil.rmtree(folder, ignore_errors=True)
    log = open(OUT / "watched.log", "w")
    sweep = [RUNNER, "sweep", SWEEPS / "quickstart.toml", "--device", "rehearsal", "--out", folder]
    shutil.copytree(OUT / "plain", folder)
    results = sorted(folder.glob("runs/*/result.json"))
    for result in results[:9]:
        result.unlink()
    (folder / "report.html").unlink()
    served = subprocess.Popen([RUNNER, "watch", folder, "--port", "0"], stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        url = served.stdout.readline().strip()
        port = urllib.parse.urlsplit(url).port
        page = Page(url)
        check("a partial sweep is served", "12 of 21 runs finished" in page.one("p", klass="progress")["text"], page.one("p", klass="progress"))
        check("without complaint", not page.complaints(), page.complaints())
        check("its table has every run", len(rows(page)) == 21)
        code, headers, body = get(url)
        check("the report is not written", not (folder / "report.html").exists())
        for path in ["spec.toml", "runs.csv", "../Cargo.toml", "figures/", "%2e%2e/spec.toml"]:
            check(f"/{path} is not served", get(url + path)[0] == 404)
        check("figures are served", get(url + "figures/isoflop.svg")[0] == 200 and get(url + "figures/isoflop.csv")[0] == 200)
        check("another name in the Host header is refused", get(url, host=f"evil.example:{port}")[0] == 421)
        check("localhost is not", get(url, host=f"localhost:{port}")[0] == 200)
        check("POST is refused", get(url, "POST")[0] == 405)
        subprocess.run(sweep, stdout=log, stderr=log, check=True)
        for _ in range(60):
            code, now, _ = get(url, "HEAD")
            if now["ETag"] != headers["ETag"] and "21 of 21" in now["X-Progress"]:
                break
            time.sleep(1)
        check("the page follows the sweep to its end", "21 of 21 runs finished" in get(url)[2], now)
    finally:
        served.terminate()
        served.wait()
    refused = subprocess.run([RUNNER, "watch", folder, "--host", "0.0.0.0", "--port", "0"], capture_output=True, text=True, timeout=60)
    check("other interfaces are refused", refused.returncode != 0 and "--public" in refused.stderr, refused.stderr)


def pictures(report):
    for name, size, dark in [("desk", "1200,8000", 1), ("phone", "500,9000", 1), ("desk-dark", "1200,8000", 0)]:
        path = OUT / f"{name}.png"
        chromium(f"--window-size={size}", f"--blink-settings=preferredColorScheme={dark}", f"--screenshot={path}", address(report))
        check(f"a picture of the {name}", path.is_file() and path.stat().st_size > 50_000)


report = OUT / "plain/report.html"
plain(report)
states(report)
strange(report)
hostile_run()
hostile_name()
watch()
pictures(report)
if failures:
    sys.exit(f"{len(failures)} checks failed")

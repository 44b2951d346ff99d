"""The checks of check-report.sh: drives headless Chromium over reports and reads the page that comes out."""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True
from browser import Browser, Page

RUNNER, OUT = sys.argv[1], Path(sys.argv[2])
HOSTILE = Path(sys.argv[3]) if len(sys.argv) > 3 else None
SWEEPS = Path(__file__).parent.parent / "sweeps"
EVIL = "</script><img src=x onerror=document.title='owned'>"
failures = []
browser = Browser(OUT / "profile")


def check(what, holds, seen=""):
    print(("ok      " if holds else "FAILED  ") + what + ("" if holds else f": {seen}"))
    if not holds:
        failures.append(what)


def opened(url):
    browser.show(url)
    return Page(browser)


def address(path, **state):
    return path.resolve().as_uri() + ("#" + urllib.parse.urlencode(state) if state else "")


def plain(report):
    page = opened(address(report))
    check("the page opens from disk and its script runs without complaint", not page.complaints, page.complaints)
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
    everything = len(page.rows())
    check("the table holds all runs", everything == 21, everything)
    return page


def states(report):
    budgets = [node["data-group"] for node in opened(address(report)).all("g", klass="entry") if "data-group" in node]
    hidden = budgets[0]
    state = {"hide": hidden, "switch": "isoflop", "sort": "-val_loss", "filter": "finished flop_budget>2e11", "columns": "all"}
    page = opened(address(report, **state))
    shown = page.rows()
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
    words = opened(address(report, filter="no-such-word")).rows()
    check("a word that is nowhere leaves no row", words == [], len(words))
    check("strange columns in the address do nothing", not opened(address(report, sort="x", hide="<b>|", switch="y")).complaints)


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
    page = opened(address(folder / "report.html"))
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
    page = opened(address(HOSTILE))
    check("a hostile name is shown as it is", page.one("h1")["text"].startswith("</script><img src=x onerror="), page.one("h1"))
    harmless(page)


def strange(report):
    copy = report.with_name("strange.html")
    text = report.read_text()
    added = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><b style='color:red'></b>"
    copy.write_text(text.replace("</main>", added + "</main>"))
    page = opened(address(copy))
    check("a script that is not the page's own is not run", page.one("title")["text"] != "owned", page.one("title"))
    check("the browser says so", any("Content Security Policy" in line for line in page.complaints), page.complaints)


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
        page = opened(url)
        check("a partial sweep is served", "12 of 21 runs finished" in page.one("p", klass="progress")["text"], page.one("p", klass="progress"))
        check("without complaint", not page.complaints, page.complaints)
        check("its table has every run", len(page.rows()) == 21)
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


def touched(report):
    """What a pointer does: values at a point, an axis the other way, a budget hidden, runs sorted by a click."""
    browser.show(address(report))
    titles = browser.value("[...document.querySelectorAll('#isoflop .wide [data-title]')].map(e => e.dataset.title)")
    check("points of a figure know what they are", len(titles) >= 21 and all("loss" in title for title in titles), titles)
    point = "#isoflop .plain .wide .series [data-x]"
    browser.hover(point)
    tip = "(() => { const t = document.getElementById('tip'); return t.hidden ? null : t.textContent; })()"
    wanted = browser.value(f"document.querySelector({point!r}).dataset.title")
    check("pointing at a point shows its values", browser.value(tip) == wanted, (browser.value(tip), wanted))
    browser.window(OUT / "hover.png")
    box = browser.value("(() => { const b = document.getElementById('tip').getBoundingClientRect(); return [b.x, b.right, innerWidth]; })()")
    check("inside of the window", box[0] >= 0 and box[1] <= box[2], box)
    browser.hover("#surface .plain .wide path.line")
    check("pointing at a curve shows its values", bool(re.search(r": .*\d", browser.value(tip) or "")), browser.value(tip))
    browser.hover("h1")
    check("pointing elsewhere hides them", browser.value(tip) is None, browser.value(tip))

    ticks = "[...document.querySelectorAll('#isoflop svg')].filter(s => s.checkVisibility()).flatMap(s => [...s.querySelectorAll('.tick.x')].map(t => t.textContent))"
    before = browser.value(ticks)
    browser.click("#isoflop .switch")
    after = browser.value(ticks)
    check("a click makes a logarithmic axis linear", before and after and before != after, (before, after))
    steps = {round(b - a, 6) for a, b in zip(*(lambda v: (v, v[1:]))([plain_number(tick) for tick in after]))}
    check("with even steps", len(steps) == 1, after)
    check("and the address keeps it", "switch=isoflop" in browser.value("location.hash"), browser.value("location.hash"))

    hidden = "document.querySelectorAll('svg .series.off').length"
    check("nothing is hidden at first", browser.value(hidden) == 0, browser.value(hidden))
    browser.click("#groups input")
    gone, group = browser.value(hidden), browser.value("document.querySelector('#groups label').textContent.trim()")
    left = browser.value(f"[...document.querySelectorAll('svg .series')].filter(s => s.dataset.group === {group!r} && getComputedStyle(s).display !== 'none').length")
    check("a click hides a budget in all figures", gone > 5 and left == 0, (group, gone, left))
    browser.hover(point)
    check("and its points have no values to show", browser.value(tip) != wanted, browser.value(tip))
    browser.click("#groups input")
    check("another click shows it again", browser.value(hidden) == 0, browser.value(hidden))

    browser.click("#run-table th button")
    check("a click on a column sorts", "sort=" in browser.value("location.hash"), browser.value("location.hash"))
    check("nothing of it is complained about", not browser.complaints, browser.complaints)


def plain_number(text):
    """12.5k as a number."""
    units = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
    return float(text[:-1]) * units[text[-1]] if text[-1] in units else float(text)


def printed(report, name):
    """Print as PDF: all figures and all runs, nothing to press, nothing beyond the edge of the paper."""
    browser.show(address(report, columns="all"))
    runs = len(Page(browser).rows())
    path = OUT / f"{name}.pdf"
    browser.pdf(path)
    text = lambda *flags: subprocess.run(["pdftotext", *flags, path, "-"], capture_output=True, text=True, check=True).stdout
    words = text("-layout")
    ids = browser.value("[...document.querySelectorAll('#run-table tbody tr')].map(r => r.cells[0].textContent)")
    found = [run for run in ids if run[:12] in words]
    check(f"{name}: every run is printed", len(found) == runs > 0, f"{len(found)} of {runs}")
    losses = browser.value("(() => { const t = document.getElementById('run-table'), i = [...t.tHead.rows[0].cells].findIndex(c => c.textContent === 'val_loss'); return [...t.tBodies[0].rows].map(r => r.cells[i].textContent); })()")
    check(f"{name}: with its loss", all(loss in words for loss in losses if loss) and "val_loss" in words, losses)
    titles = browser.value("[...document.querySelectorAll('figure h3, summary')].map(h => h.textContent)")
    check(f"{name}: every figure and what is folded is printed", all(title in words for title in titles), titles)
    controls = [what for what in ["all columns", "Filter", "horizontal axis", "CSV", "Show\n"] if what in words]
    check(f"{name}: nothing to press is printed", not controls, controls)
    cells = browser.value("[...document.querySelectorAll('td, th')].filter(c => !c.classList.contains('more')).flatMap(c => c.textContent.split(/\\s+/))")
    lost = {word for word in cells if word} - set(words.replace("\u2212", "-").split())
    check(f"{name}: every cell of every table is printed", not lost, sorted(lost)[:20])
    boxes = [float(x) for x in re.findall(r'<word xMin="[^"]*" yMin="[^"]*" xMax="([^"]*)"', text("-bbox"))]
    wide = float(re.search(r'<page width="([^"]*)"', text("-bbox")).group(1))
    check(f"{name}: nothing leaves the paper", boxes and max(boxes) <= wide, (max(boxes), wide))
    subprocess.run(["pdftoppm", "-r", "60", "-png", path, OUT / name], check=True)


def pictures(report, name):
    """For a person to look at; a page wider than its window would have to be pushed about."""
    looks = {"desk": (1200, False, False), "desk-dark": (1200, True, False), "phone": (390, False, True), "phone-dark": (390, True, True)}
    for look, (width, dark, phone) in looks.items():
        browser.show(address(report), width=width, height=844, dark=dark, phone=phone)
        wide = browser.value("document.documentElement.scrollWidth")
        check(f"{name}: the page is as wide as the {look}", wide <= width, (wide, width))
        path = OUT / f"{name}-{look}.png"
        browser.picture(path)
        check(f"{name}: a picture of the {look}", path.stat().st_size > 50_000)


def first_screen(report, name):
    """Answer and first figure without scrolling, and no table cut, on a desk's screen and on a phone."""
    for look, (width, height, phone) in {"screen": (1920, 1080, False), "phone": (390, 844, True)}.items():
        browser.show(address(report), width=width, height=height, phone=phone)
        edges = lambda selector: browser.value(f"[...document.querySelectorAll({selector!r})].filter(e => e.checkVisibility()).map(e => e.getBoundingClientRect()).map(b => [b.top, b.bottom])[0]")
        answer, plot = edges(".answer"), edges("#lead svg.plot")
        check(f"{name}: the answer stands in the first {look}", answer and answer[1] <= height, (answer, height))
        # A phone may show the beginning of it, below a long answer.
        seen = plot and (plot[0] + 150 if phone else plot[1])
        check(f"{name}: the figure stands in the first {look}", plot and seen <= height, (plot, height))
        browser.value("document.querySelectorAll('details').forEach(part => part.open = true)")
        cut = browser.value("[...document.querySelectorAll('.scroll')].filter(s => s.scrollWidth > s.clientWidth).map(s => [s.textContent.trim().slice(0, 40), s.scrollWidth, s.clientWidth])")
        check(f"{name}: no table is cut on the {look}", not cut, cut)
        loss = browser.value("[...document.querySelectorAll('#run-table th')].filter(h => h.textContent === 'val_loss' && h.checkVisibility()).map(h => h.getBoundingClientRect().right)")
        check(f"{name}: the losses of the runs are seen on the {look}", loss and loss[0] <= width, loss)
        wide = browser.value("document.documentElement.scrollWidth")
        check(f"{name}: nothing is wider than the {look}", wide <= width, (wide, width))
        browser.show(address(report), width=width, height=height, phone=phone)
        browser.window(OUT / f"{name}-first-{look}.png")


report = OUT / "plain/report.html"
try:
    plain(report)
    states(report)
    touched(report)
    printed(report, "isoflop")
    strange(report)
    hostile_run()
    hostile_name()
    watch()
    pictures(report, "isoflop")
    first_screen(report, "isoflop")
    for folder in sorted(OUT.glob("other-*")):
        name = folder.name.removeprefix("other-")
        check(f"{name}: opens without complaint", not opened(address(folder / "report.html")).complaints, browser.complaints)
        printed(folder / "report.html", name)
        pictures(folder / "report.html", name)
        first_screen(folder / "report.html", name)
finally:
    browser.close()
if failures:
    sys.exit(f"{len(failures)} checks failed")

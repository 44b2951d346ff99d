"""Headless Chromium by its debugging pipe, with nothing but Python's standard library.

Messages are JSON, ended by a zero byte, on the file descriptors 3 and 4 of the browser (--remote-debugging-pipe).
"""

import base64
import json
import os
import re
import select
import subprocess
import time
from html.parser import HTMLParser


class Browser:
    """A browser with one page."""

    def __init__(self, profile):
        (there, self.out), (self.into, here) = os.pipe(), os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--remote-debugging-pipe"]
        # The shell puts the pipes where the browser looks for them, whatever numbers they have.
        shell = ["sh", "-c", f'exec "$@" 3<&{there} 4>&{here}', "sh", "chromium", *flags, f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(shell, pass_fds=(there, here), stderr=subprocess.DEVNULL)
        os.close(there)
        os.close(here)
        self.rest, self.count, self.session, self.complaints, self.loaded = b"", 0, None, [], False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log"]:
            self.call(f"{domain}.enable")

    def close(self):
        self.process.terminate()
        self.process.wait()

    def message(self, seconds):
        """The next message, or None where none comes in time."""
        end = time.monotonic() + seconds
        while b"\0" not in self.rest:
            if not select.select([self.into], [], [], max(0, end - time.monotonic()))[0]:
                return None
            data = os.read(self.into, 1 << 20)
            if not data:
                raise RuntimeError("the browser has ended")
            self.rest += data
        text, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(text)
        event, about = message.get("method"), message.get("params", {})
        if event == "Log.entryAdded":
            self.complaints.append(about["entry"]["text"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(about["exceptionDetails"]["text"])
        elif event == "Runtime.consoleAPICalled":
            self.complaints.append(str(about["args"]))
        elif event == "Page.loadEventFired":
            self.loaded = True
        return message

    def call(self, method, **params):
        self.count += 1
        request = {"id": self.count, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.out, json.dumps(request).encode() + b"\0")
        while (answer := self.message(60)) is not None:
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
        raise RuntimeError(f"{method}: no answer in a minute")

    def show(self, url, width=1200, height=900, dark=False, phone=False):
        """Loads a page anew, also where its address differs behind the # alone."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url="about:blank")
        self.wait()
        self.complaints, self.loaded = [], False
        self.call("Page.navigate", url=url)
        self.wait()

    def wait(self):
        while not self.loaded:
            if self.message(60) is None:
                raise RuntimeError("the page does not load")
        self.loaded = False
        # What is said after loading, of a script that is not run for one.
        while self.message(0.2) is not None:
            pass

    def value(self, script):
        """What a line of JavaScript gives."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def place(self, selector):
        """The middle of an element, scrolled into view; (x, y) from the corner of the window."""
        script = f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{block: "center"}}); const b = e.getBoundingClientRect();
            return [b.x + b.width / 2, b.y + b.height / 2]; }})()"""
        return self.value(script)

    def mouse(self, kind, place):
        x, y = place
        button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)
        # Scrolling by place() is told to the page at the next frame, and hides the tip.
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def hover(self, selector):
        place = self.place(selector)
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.mouse("mouseMoved", place)

    def click(self, selector):
        place = self.place(selector)
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"]:
            self.mouse(kind, place)

    def picture(self, path):
        """The whole page."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def window(self, path):
        """What stands in the window."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def pdf(self, path):
        """The page as it is printed on A4."""
        size = {"paperWidth": 8.27, "paperHeight": 11.69}
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF", printBackground=False, **size)["data"]))


class Page(HTMLParser):
    """The document in a browser, after its scripts ran."""

    VOID = {"meta", "input", "img", "br", "hr", "link"}

    def __init__(self, browser):
        super().__init__()
        self.nodes, self.open = [], []
        self.complaints = list(browser.complaints)
        self.text = browser.value("document.documentElement.outerHTML")
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

    def rows(self):
        """Rows of the table of runs that are shown, by the names of their columns."""
        start = self.text.index('id="run-table"')
        table = self.text[start:self.text.index("</table>", start)]
        cells = lambda row: [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
        head, body = table.split("</thead>")
        shown = [row for row in re.findall(r"<tr([^>]*)>(.*?)</tr>", body, re.S) if "hidden" not in row[0]]
        return [dict(zip(cells(head), cells(row))) for _, row in shown]

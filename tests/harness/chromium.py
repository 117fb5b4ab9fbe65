"""Opens a page in Chromium as a reader does, and says what it saw, as JSON.

    chromium.py PAGE [DIRECTORY]

At two widths, in light and dark: what the page said on the console, what it asked of any network, how wide it is, the smallest
letters, and the weakest contrast; and as a PDF. With DIRECTORY pictures and the PDF are left there. Chromium is spoken to over
pipes (its DevTools protocol), has a profile of its own, and ends with this program.
"""
import base64
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = 120
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --remote-debugging-pipe""".split()

LOOK = r"""(() => {
  const channel = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4 };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const numbers = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const behind = (e) => { for (; e; e = e.parentElement) {
    const c = numbers(getComputedStyle(e).backgroundColor); if (c.length == 3 || c[3] > 0) return c.slice(0, 3);
  } return [255, 255, 255] };
  let smallest = 1000, weakest = [100, ""], widest = 0, widest_of = "";
  for (const e of document.body.querySelectorAll("*")) {
    const box = e.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    if (box.right > widest && !e.closest("svg")) { widest = box.right; widest_of = e.tagName + "." + e.className }
    const has_text = [...e.childNodes].some((n) => n.nodeType == 3 && n.data.trim());
    if (!has_text || e.tagName == "title") continue;
    const style = getComputedStyle(e);
    smallest = Math.min(smallest, parseFloat(style.fontSize));
    if (e.closest("svg")) continue;
    const [a, b] = [light(numbers(style.color)), light(behind(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < weakest[0]) weakest = [contrast, e.className + " " + e.textContent.slice(0, 40)];
  }
  const root = document.documentElement;
  return { width: innerWidth, page: root.scrollWidth, widest, widest_of, smallest, contrast: weakest[0], weakest: weakest[1],
    letters: document.body.innerText.length, paper: getComputedStyle(document.body).backgroundColor, scripts: document.scripts.length };
})()"""


class Browser:
    def __init__(self, profile):
        to_read, self.out = os.pipe()
        self.into, to_write = os.pipe()

        def pipes():
            # It reads from 3 and writes to 4, whatever these are here.
            os.dup2(to_read, 100), os.dup2(to_write, 101), os.dup2(100, 3), os.dup2(101, 4)

        self.process = subprocess.Popen(
            ["chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=pipes, close_fds=False, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": profile},
        )
        os.close(to_read), os.close(to_write)
        self.rest, self.number, self.seen, self.session = b"", 0, [], None
        self.limit = time.monotonic() + PATIENCE

    def message(self):
        while b"\0" not in self.rest:
            if not select.select([self.into], [], [], self.limit - time.monotonic())[0]:
                raise TimeoutError("Chromium does not answer")
            part = os.read(self.into, 1 << 20)
            if not part:
                raise EOFError("Chromium has ended")
            self.rest += part
        text, _, self.rest = self.rest.partition(b"\0")
        return json.loads(text)

    def ask(self, method, **parameters):
        self.number += 1
        request = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.out, json.dumps(request).encode() + b"\0")
        while True:
            message = self.message()
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.seen.append(message)

    def wait(self, method):
        while not any(message.get("method") == method for message in self.seen):
            self.seen.append(self.message())

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def told(seen):
    """What the page said, and what it asked for."""
    said, asked = [], []
    for message in seen:
        method, parameters = message.get("method"), message.get("params", {})
        if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Audits.issueAdded"):
            said.append(parameters)
        elif method == "Network.requestWillBeSent":
            asked.append(parameters["request"]["url"])
    return said, asked


def look(browser, address, directory):
    target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
    browser.session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.ask(f"{domain}.enable")
    views = []
    for width, height in ((360, 740), (1400, 900)):
        for scheme in ("light", "dark"):
            browser.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700)
            browser.ask("Emulation.setEmulatedMedia", media="screen", features=[{"name": "prefers-color-scheme", "value": scheme}])
            browser.seen = []
            browser.ask("Page.navigate", url=address)
            browser.wait("Page.loadEventFired")
            view = browser.ask("Runtime.evaluate", expression=LOOK, returnByValue=True)["result"]["value"]
            said, asked = told(browser.seen)
            views.append({"at": width, "scheme": scheme, "said": said, "asked": asked, **view})
            if directory:
                picture = browser.ask("Page.captureScreenshot", captureBeyondViewport=True)
                (directory / f"{width}-{scheme}.png").write_bytes(base64.b64decode(picture["data"]))
    browser.ask("Emulation.clearDeviceMetricsOverride")
    browser.ask("Emulation.setEmulatedMedia", media="")
    printed = base64.b64decode(browser.ask("Page.printToPDF", preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.69)["data"])
    if directory:
        (directory / "page.pdf").write_bytes(printed)
    pages = len(re.findall(rb"/Type\s*/Page\b", printed))
    return {"views": views, "pdf": {"bytes": len(printed), "pages": pages, "begins": printed[:5].decode("latin-1")}}


def main():
    address = pathlib.Path(sys.argv[1]).resolve().as_uri()
    directory = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    profile = tempfile.mkdtemp(prefix="chromium-")
    browser = Browser(profile)
    try:
        print(json.dumps(look(browser, address, directory)))
    finally:
        browser.end()
        shutil.rmtree(profile, ignore_errors=True)


main()

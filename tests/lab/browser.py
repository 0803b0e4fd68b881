"""A browser in front of the box's page: Chromium, headless, which notes whatever its console says."""

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, ViewportSize, sync_playwright

from lab.box import PAGE, REPOSITORY, Box
from lab.forward import Forwarder
from lab.netns import Namespace

AXE = REPOSITORY / "webui" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
HTTPS = 443
DESK = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=360, height=780)


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "there is no chromium: run tests/packages"
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Visitor:
    """One browser window on the page."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.address = address
        self.context = context
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda fault: self.complaints.append(str(fault)))

    def _note(self, message: ConsoleMessage) -> None:
        # The browser tells every answer of 4xx as an error of its own, also those that a test asks for.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def open(self, page: str) -> None:
        self.page.goto(f"{self.address}/#/{page}")
        self.page.locator("main h1").wait_for()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()

    def fill(self, label: str, text: str) -> None:
        self.page.get_by_label(label, exact=True).fill(text)

    def sees(self, text: str, timeout: float = 15.0) -> None:
        self.page.get_by_text(text).first.wait_for(timeout=timeout * 1000)

    def log_in(self, password: str, user: str = "admin") -> None:
        self.page.goto(self.address)
        self.fill("User name", user)
        self.fill("Password", password)
        self.press("Log in")
        self.page.locator(".rail").wait_for(state="attached")

    def claim(self, token: str, password: str) -> None:
        self.page.goto(self.address)
        self.fill("Claim token", token)
        self.fill("Password for admin", password)
        self.fill("Password again", password)
        self.press("Claim and continue")

    def violations(self, *rules: str) -> list[str]:
        """What axe-core finds on the page as it is now, by these rules or by all."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("rules => axe.run({ runOnly: rules })", rules or RULES)
        return [f"{rule['id']}: {node['html'][:160]}" for rule in found["violations"] for node in rule["nodes"]]

    def fits(self) -> None:
        """Waits until the page is no wider than the window."""
        self.page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")

    def picture(self, path: Path) -> None:
        self.page.screenshot(path=path, full_page=True)


class Desk:
    """A machine with a browser, from which the box's page is reached."""

    def __init__(self, playwright: Playwright, near: Namespace, page: tuple[str, int]) -> None:
        port = free_port()
        self.address = f"{'https' if page[1] == HTTPS else 'http'}://127.0.0.1:{port}"
        self._forwarder = Forwarder(("127.0.0.1", port), near, page)
        self._browser: Browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])

    def visitor(self) -> Visitor:
        # The page's own policy forbids what a test injects.
        context = self._browser.new_context(
            viewport=DESK, color_scheme="light", locale="en-GB", bypass_csp=True, ignore_https_errors=True
        )
        return Visitor(context, self.address)

    def close(self) -> None:
        self._browser.close()
        self._forwarder.close()


@contextlib.contextmanager
def desk(box: Box) -> Iterator[Desk]:
    """In front of a box of the lab."""
    with desk_at(box.namespace, PAGE) as opened:
        yield opened


@contextlib.contextmanager
def desk_at(near: Namespace, page: tuple[str, int]) -> Iterator[Desk]:
    """In front of a page that is reached from a host of the lab."""
    with sync_playwright() as playwright:
        opened = Desk(playwright, near, page)
        try:
            yield opened
        finally:
            opened.close()

"""The page in a real browser, in front of the real program with real traffic: as a person uses it."""

import os
import time
from pathlib import Path

import pytest

from lab.box import Box, wired_settings
from lab.browser import DESK, PHONE, Desk, Visitor, desk
from lab.load import Load
from lab.world import ORIGIN_ADDRESSES, ORIGIN_PORT, TARGET_ADDRESS, TARGET_PORT, Lab

pytestmark = pytest.mark.lab

PASSWORD = "correct horse battery"
TARGET = f"{TARGET_ADDRESS}:{TARGET_PORT}"
PAGES = (
    "overview", "services", "sessions", "differences", "differences/exchanges", "latency", "mirror", "captures",
    "settings", "settings/text", "settings/versions", "system", "system/users", "system/tokens", "system/audit",
    "system/account",
)  # fmt: skip
PICTURES = os.environ.get("PICTURES")
"""A folder for pictures of every page, for people who want to look at them."""


def walk_through_the_wizard(box: Box, visitor: Visitor) -> None:
    page = visitor.page
    visitor.sees("Give it a name")
    visitor.fill("Name of the box", "span-7")
    visitor.press("Continue")
    visitor.sees("span-7")
    page.get_by_role("radio", name="Mirror").first.wait_for()
    for nic, role in (("mirror0", "Mirror"), ("target0", "Target")):
        page.get_by_role("group", name=f"Role of {nic}").get_by_label(role, exact=True).check()
    # What was answered is there again after a restart and a reload.
    box.restart()
    page.reload()
    visitor.sees("Which NIC is on the mirror?")
    assert page.get_by_role("group", name="Role of mirror0").get_by_label("Mirror", exact=True).is_checked()
    visitor.press("Continue")
    page.locator("main .notice strong").wait_for()
    visitor.press("Continue")
    for origin in ("10.100.10.1:11311", "10.100.10.2:11311"):
        page.get_by_label(origin).check()
    visitor.press("Continue")
    visitor.fill("Server under test", TARGET)
    visitor.press("Continue")
    visitor.press("Start")
    visitor.sees("It is running", timeout=20)
    visitor.press("Keep these settings")
    page.locator(".pipeline").wait_for()


def test_from_the_claim_token_to_the_first_replayed_request() -> None:
    load = Load("page", 100, 0, connections=5)
    with Lab() as lab:
        box = lab.start_box(empty=True)
        clients = lab.start_loads(load)
        with desk(box) as at:
            visitor = at.visitor()
            visitor.claim(box.claim_token(), PASSWORD)
            walk_through_the_wizard(box, visitor)
            assert lab.replayed(), "the wizard says that it runs, and nothing came to the target"
            look_at_every_page(at)
            kill_switch(lab, visitor)
            taken_back_unless_confirmed(visitor)
            a_restart_in_the_middle(box, visitor)
            assert not visitor.complaints
        clients.stop()


def look_at_every_page(at: Desk) -> None:
    visitor = at.visitor()
    visitor.log_in(PASSWORD)
    for page in PAGES:
        visitor.open(page)
        visitor.page.get_by_text("Loading…").first.wait_for(state="detached")
        assert not visitor.violations(), page
        picture(visitor, f"{page}-light")
        visitor.page.emulate_media(color_scheme="dark")
        assert not visitor.violations("color-contrast"), f"{page}, dark"
        picture(visitor, f"{page}-dark")
        visitor.page.set_viewport_size(PHONE)
        visitor.fits()
        assert not visitor.violations("color-contrast", "target-size", "label", "aria-hidden-focus"), f"{page}, phone"
        picture(visitor, f"{page}-phone")
        visitor.page.set_viewport_size(DESK)
        visitor.page.emulate_media(color_scheme="light")
        assert not visitor.complaints, page


def picture(visitor: Visitor, name: str) -> None:
    if PICTURES:
        visitor.page.wait_for_timeout(1500)
        visitor.picture(Path(PICTURES) / f"{name.replace('/', '-')}.png")


def kill_switch(lab: Lab, visitor: Visitor) -> None:
    visitor.open("latency")
    visitor.press("Stop replay")
    visitor.page.get_by_role("button", name="Start replay").wait_for()
    time.sleep(1.0)
    before = len(lab.replayed())
    time.sleep(1.0)
    assert len(lab.replayed()) == before
    visitor.press("Start replay")
    visitor.page.get_by_role("button", name="Stop replay").wait_for()


def taken_back_unless_confirmed(visitor: Visitor) -> None:
    """A fault stands at its field; what is applied can be taken back by hand, and what was kept is not told so."""
    visitor.open("settings")
    visitor.fill("Targets 1", "nowhere")
    assert not visitor.page.get_by_text("Nobody confirmed your changes in time.").is_visible()
    visitor.sees("`nowhere` is no address and port")
    visitor.fill("Targets 1", TARGET)
    visitor.fill("Clients replayed, %", "50")
    visitor.press("Review and apply")
    visitor.fill("Why", "half of them will do")
    visitor.page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    visitor.sees("New settings are in force.")
    visitor.press("Take them back")
    visitor.sees("The former settings are back.")
    visitor.page.wait_for_function("document.querySelector('.draft-bar') === null")


def a_restart_in_the_middle(box: Box, visitor: Visitor) -> None:
    """The page says that the box is away, and goes on by itself when it is back."""
    visitor.open("overview")
    box.process.stop(timeout=8.0)
    visitor.sees("The box does not answer.")
    box.restart()
    visitor.page.get_by_text("The box does not answer.").wait_for(state="detached")
    visitor.page.locator(".pipeline, .door").first.wait_for()
    if visitor.page.locator(".door").is_visible():
        visitor.log_in(PASSWORD)
    visitor.page.locator(".pipeline").wait_for()


HOSTILE = "<script>window.hacked=1</script>"
SETTINGS = wired_settings(ORIGIN_PORT, TARGET, sections="[records]\nsample_percent_bodies = 100")


def ask_hostilely(lab: Lab, box: Box) -> None:
    """One request that would like to be more than text, and a time until the box has told of it."""
    with lab.clients.connect((ORIGIN_ADDRESSES["o1"], ORIGIN_PORT)) as client:
        head = f"GET /get/{HOSTILE} HTTP/1.1\r\nHost: x\r\nX-Note: <img src=x onerror=window.hacked=1>\u202e\r\n"
        client.sendall(f"{head}Connection: close\r\n\r\n".encode())
        while client.recv(65536):
            pass
    assert box.settle(1)["requests"]["answered"] == 1


def test_strangers_come_to_nothing() -> None:
    """Captured content is text, whatever it holds; who guesses a password has to wait."""
    with Lab() as lab:
        box = lab.start_box(empty=True)
        assert "error" not in box.change(SETTINGS)
        ask_hostilely(lab, box)
        with desk(box) as at:
            visitor = at.visitor()
            visitor.claim(box.claim_token(), PASSWORD)
            visitor.page.locator(".pipeline").wait_for()
            visitor.open("differences/exchanges")
            visitor.page.locator("main tbody a").first.click()
            visitor.sees(HOSTILE)
            assert not visitor.violations()
            assert visitor.page.evaluate("window.hacked") is None
            assert not visitor.complaints
            guess_passwords(at.visitor())


def guess_passwords(stranger: Visitor) -> None:
    stranger.page.goto(stranger.address)
    for _ in range(10):
        stranger.fill("Password", "guess")
        stranger.press("Log in")
        stranger.page.get_by_role("alert").wait_for()
    stranger.sees("Try again in")
    assert not stranger.violations()

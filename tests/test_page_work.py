"""The page at work: a server under test with faults, settings that two people change, restarts, and who may do what.

One lab, one box and a few browsers: each part leaves the box running, with its settings confirmed.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.box import Box, wired_settings
from lab.browser import DESK, PHONE, Desk, Visitor, desk
from lab.servers import ServerLab
from lab.world import ORIGIN_ADDRESSES, ORIGIN_PORT, TARGET_ADDRESS, TARGET_PORT

pytestmark = pytest.mark.lab

PASSWORD = "correct horse battery"
SHOP = Path(__file__).parent / "lab" / "shop.py"
PATHS = ("/items/{n}", "/orders/{n}", "/pages/{n}", "/slow/{n}")
CONFIRM_SECONDS = 10
SETTINGS = wired_settings(
    ORIGIN_PORT, f"{TARGET_ADDRESS}:{TARGET_PORT}", sections="[records]\nsample_percent_bodies = 100"
)


def shop(address: str, port: int, folder: Path) -> list[str]:
    """The command line of a shop; the target's is at fault."""
    kind = "sound" if address in ORIGIN_ADDRESSES.values() else "faulty"
    return [sys.executable, str(SHOP), address, str(port), kind]


@pytest.fixture(scope="module")
def shopping() -> Iterator[tuple[ServerLab, Box, Desk]]:
    """A claimed box that has replayed some hundred requests, and a desk with browsers."""
    with ServerLab(shop) as lab:
        box = lab.start_box(empty=True, words=("--confirm-seconds", str(CONFIRM_SECONDS)))
        answer = box.change(SETTINGS)
        assert "error" not in answer, answer
        address = f"{ORIGIN_ADDRESSES['o1']}:{ORIGIN_PORT}"
        count = int(lab.client(sys.executable, str(SHOP), "ask", address, "100", "4", *PATHS))
        box.settle(count)
        with desk(box) as at:
            visitor = at.visitor()
            visitor.claim(box.claim_token(), PASSWORD)
            visitor.page.locator(".pipeline").wait_for()
            visitor.page.close()
            yield lab, box, at


def test_what_differs_is_found_shown_and_ignored(shopping: tuple[ServerLab, Box, Desk]) -> None:
    lab, _, at = shopping
    visitor = at.visitor()
    visitor.log_in(PASSWORD)
    findings_lead_to_an_exchange(visitor)
    times_stand_side_by_side(visitor)
    a_session_has_its_turns(lab, visitor)
    an_ignored_field_is_no_finding_any_more(visitor)
    a_recording_is_downloaded(lab, visitor)
    a_login_ends_and_goes_on_where_it_was(visitor)
    a_viewer_only_looks(at, visitor)
    assert not visitor.complaints


def is_sound(visitor: Visitor) -> None:
    """Nobody is shut out of the page as it is now: light, dark, and on a phone."""
    assert not visitor.violations()
    visitor.page.emulate_media(color_scheme="dark")
    visitor.page.set_viewport_size(PHONE)
    visitor.fits()
    assert not visitor.violations()
    visitor.page.set_viewport_size(DESK)
    visitor.page.emulate_media(color_scheme="light")


def findings_lead_to_an_exchange(visitor: Visitor) -> None:
    visitor.open("differences")
    row = visitor.page.locator("tr", has_text="header:x-version")
    row.get_by_text("GET /orders/{number}").wait_for()
    assert row.get_by_text("Missing").is_visible()
    is_sound(visitor)
    row.get_by_role("link", name="Example").click()
    visitor.page.locator("[aria-label='Heads of the answers'] tr", has_text="X-Version: 7").first.wait_for()
    is_sound(visitor)


def times_stand_side_by_side(visitor: Visitor) -> None:
    visitor.open("latency")
    slow = visitor.page.locator("tr", has_text="GET /slow/{number}")
    slow.wait_for()
    ratio = float(slow.locator("td[data-head=Ratio]").inner_text().split()[0])
    assert ratio > 2, "the target takes 20 ms longer there"
    slow.get_by_role("link").click()
    visitor.sees("Distribution: GET /slow/{number}")


def a_session_has_its_turns(lab: ServerLab, visitor: Visitor) -> None:
    with lab.clients.connect((ORIGIN_ADDRESSES["o1"], ORIGIN_PORT)) as client:
        for _ in range(2):
            client.sendall(b"GET /orders/7 HTTP/1.1\r\nHost: shop\r\n\r\n")
            assert client.recv(65536)
            time.sleep(0.2)
        visitor.open("sessions")
        here = "{}:{}".format(*client.getsockname())
        visitor.page.get_by_role("link", name=here).click()
        visitor.page.locator("tr", has_text="Differ").nth(1).wait_for()
        is_sound(visitor)
        visitor.page.locator("tr", has_text="Differ").first.get_by_role("link", name="Open").click()
        visitor.sees("What differs")


def an_ignored_field_is_no_finding_any_more(visitor: Visitor) -> None:
    visitor.open("differences")
    row = visitor.page.locator("tr", has_text="header:x-version")
    row.get_by_role("button", name="Ignore field").click()
    dialog = visitor.page.get_by_role("dialog")
    dialog.get_by_text("service[0].rule[0].ignore").first.wait_for()
    assert not visitor.violations()
    dialog.get_by_role("button", name="Apply").click()
    visitor.press("Keep them")
    row.wait_for(state="detached")
    assert visitor.page.locator("tr", has_text="GET /slow/{number}").is_visible()


def a_recording_is_downloaded(lab: ServerLab, visitor: Visitor) -> None:
    visitor.open("captures")
    visitor.press("Start recording")
    visitor.page.get_by_role("button", name="Stop recording").wait_for()
    with lab.clients.connect((ORIGIN_ADDRESSES["o1"], ORIGIN_PORT)) as client:
        client.sendall(b"GET /orders/7 HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert client.recv(65536)
    visitor.sees("Being written")
    visitor.press("Stop recording")
    visitor.sees("Complete")
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("link", name="Download").first.click()
    assert Path(download.value.path()).read_bytes()[:4] == b"\x0a\x0d\x0d\x0a", "no pcapng file"
    is_sound(visitor)


def a_login_ends_and_goes_on_where_it_was(visitor: Visitor) -> None:
    visitor.open("mirror")
    visitor.context.clear_cookies()
    visitor.sees("Your login has come to its end.")
    assert not visitor.violations()
    visitor.fill("Password", PASSWORD)
    visitor.press("Log in")
    visitor.page.get_by_role("heading", name="Mirror", level=1).wait_for()


def a_viewer_only_looks(at: Desk, admin: Visitor) -> None:
    admin.open("system/users")
    admin.press("Add a user")
    dialog = admin.page.get_by_role("dialog")
    dialog.get_by_label("User name").fill("looker")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Add a user").click()
    admin.page.get_by_role("rowheader", name="looker").wait_for()
    viewer = at.visitor()
    viewer.log_in(PASSWORD, "looker")
    viewer.page.locator(".pipeline").wait_for()
    assert not viewer.page.get_by_role("button", name="Stop replay").is_visible()
    viewer.open("settings")
    viewer.sees("Viewers read the settings")
    assert viewer.page.get_by_label("Clients replayed, %").is_disabled()
    viewer.open("differences/exchanges?verdict=differ")
    viewer.page.locator("main tbody a").first.click()
    viewer.sees("What differs")
    assert not viewer.page.get_by_role("button", name="Ignore field").first.is_visible()
    for page in ("captures", "mirror", "system"):
        viewer.open(page)
        viewer.page.get_by_text("Loading…").first.wait_for(state="detached")
        assert not viewer.violations(), page
    assert not viewer.complaints


def test_two_people_and_a_restart(shopping: tuple[ServerLab, Box, Desk]) -> None:
    _, box, at = shopping
    first, second = at.visitor(), at.visitor()
    first.log_in(PASSWORD)
    second.log_in(PASSWORD)
    changes_come_together(first, second)
    a_clash_is_told(first, second)
    what_nobody_confirms_is_taken_back(first)
    what_is_staged_outlives_a_restart(box, first)
    assert not first.complaints
    assert not second.complaints


def write(visitor: Visitor, label: str, value: str) -> None:
    visitor.open("settings")
    visitor.fill(label, value)


def apply(visitor: Visitor) -> None:
    visitor.press("Review and apply")
    visitor.page.get_by_role("dialog").get_by_role("button", name="Apply").click()


def service(visitor: Visitor) -> dict[str, Any]:
    """The service as it is in force."""
    settings = visitor.page.evaluate("fetch('/api/v1/settings').then(answer => answer.json())")
    found: dict[str, Any] = settings["service"][0]
    return found


def has(visitor: Visitor, label: str, value: str) -> None:
    visitor.page.wait_for_function(
        "([label, value]) => [...document.querySelectorAll('label')].some("
        "one => one.textContent === label && document.getElementById(one.htmlFor).value === value)",
        arg=[label, value],
    )


def changes_come_together(first: Visitor, second: Visitor) -> None:
    """What the one is writing is kept on top of what the other has applied."""
    write(second, "Clients replayed, %", "50")
    write(first, "Copies", "2")
    apply(first)
    first.press("Keep them")
    second.sees("Somebody else has changed the settings meanwhile.")
    second.sees("Your own changes are kept on top of these")
    has(second, "Copies", "2")
    has(second, "Clients replayed, %", "50")
    assert not second.violations()
    second.sees("1 changes")
    apply(second)
    second.press("Keep them")
    second.page.locator(".draft-bar").wait_for(state="detached")
    first.page.get_by_text("New settings are in force.").wait_for(state="detached")
    found = service(first)
    assert (found["copies"], found["sample_percent"]) == (2, 50.0)


def a_clash_is_told(first: Visitor, second: Visitor) -> None:
    write(second, "Clients replayed, %", "60")
    write(first, "Clients replayed, %", "70")
    apply(first)
    first.press("Keep them")
    second.sees("Both of you changed the same")
    has(second, "Clients replayed, %", "60")
    second.press("Take theirs")
    has(second, "Clients replayed, %", "70")


def what_nobody_confirms_is_taken_back(visitor: Visitor) -> None:
    write(visitor, "Copies", "3")
    apply(visitor)
    visitor.sees("New settings are in force.")
    assert service(visitor)["copies"] == 3
    visitor.sees("Nobody confirmed your changes in time.", timeout=CONFIRM_SECONDS + 10)
    assert service(visitor)["copies"] == 2
    assert not visitor.violations()
    visitor.press("Edit them again")
    has(visitor, "Copies", "3")
    visitor.press("Discard")
    has(visitor, "Copies", "2")


def what_is_staged_outlives_a_restart(box: Box, visitor: Visitor) -> None:
    """What is staged is there again after a restart and a reload; what is merely applied is not."""
    visitor.open("settings/text")
    text = visitor.page.locator("main textarea")
    visitor.page.wait_for_function("document.querySelector('main textarea').value !== ''")
    text.fill(text.input_value().replace("copies = 2", "copies = 4"))
    visitor.page.get_by_role("button", name="Stage", exact=True).click()
    visitor.sees("Staged changes.")
    box.restart()
    visitor.page.reload()
    visitor.page.locator("main h1").wait_for()
    if visitor.page.locator(".door").is_visible():
        visitor.log_in(PASSWORD)
        visitor.open("settings/text")
    visitor.sees("Staged changes.")
    visitor.page.locator(".notice").get_by_role("button", name="Apply").click()
    visitor.page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    visitor.sees("New settings are in force.")
    assert service(visitor)["copies"] == 4
    box.restart()
    visitor.page.get_by_text("New settings are in force.").wait_for(state="detached")
    assert service(visitor)["copies"] == 2

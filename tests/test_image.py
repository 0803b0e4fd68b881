"""The firmware in an emulated machine: what is built twice is the same, kernel and initramfs come up alone, and the
disk image becomes the lab's box. From power-on to power-off not one frame leaves the mirror card.
"""

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.box import POOL
from lab.browser import HTTPS, Visitor, desk_at
from lab.check import differences
from lab.firmware import DISK_BYTES, Disk, pack, update_of, update_that_fails
from lab.load import Load
from lab.machine import ELSEWHERE, THIRD, Machine, wait_until
from lab.management import LEASED, Management
from lab.unrest import Unrest
from lab.world import TARGET_ADDRESS, Lab

pytestmark = pytest.mark.lab

UP_S = 90.0
"""Time to the page. Alone on the emulating machine it takes 5 s with a kernel given, and 8 s from the disk."""
OFF_S = 40.0
POWER_CUTS = int(os.environ.get("POWER_CUTS", "2"))
SEED = int(os.environ.get("SEED", "1"))
CUT_WITHIN_S = 20.0
"""The latest moment of a power cut after the page is there: an update takes some 5 s, a change of the settings 1 s."""
WELL = "page and shards are well"
PASSWORD = "several plain words"
PICTURES = os.environ.get("PICTURES")
"""A folder for pictures of the page, for people who want to look at them."""
SETTINGS = f"""schema_version = 1
[nics]
mirror = ["0000:00:03.0"]
target = "enp0s4"
[addressing]
pool = ["{POOL}"]
[[service]]
name = "adserver-{{number}}"
origins = ["*:11311"]
targets = ["10.100.20.31:11511"]
"""
VIRTIO = "virtio-blk-pci"
OVMF = Path("/usr/share/OVMF")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of the program under test."""
    return pack(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def full_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the kernel that knows every card and disk."""
    return pack(tmp_path_factory.mktemp("full"), "amd64")


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(offloads=False) as raised:
        yield raised


@pytest.fixture
def disk(images: Path, tmp_path: Path) -> Disk:
    return disk_with_settings(images, tmp_path)


def disk_with_settings(images: Path, folder: Path, further: str = "") -> Disk:
    """A disk of a box that has its settings."""
    made = Disk(images, folder / "disk.img")
    made.store_settings(SETTINGS.format(number=0) + further)
    made.set_environment(ARGS="panic=1")
    return made


def start(
    lab: Lab,
    folder: Path,
    disk: Disk,
    *words: str,
    bus: str = VIRTIO,
    card: str = "virtio-net-pci",
    has_target: bool = True,
) -> Machine:
    """A machine with this disk as its first, which starts again by itself."""
    drive = ["-drive", f"if=none,id=disk,format=raw,file={disk.file}"]
    bus = f"{bus},drive=disk,bootindex=0" + (",serial=1" if bus == "nvme" else "")
    return Machine(lab.box_host, folder, *words, *drive, "-device", bus, card=card, reboots=True, has_target=has_target)


def mirror_and_switch_off(lab: Lab, machine: Machine, starts: int = 1) -> None:
    """A load passes the mirror, all of it is replayed, and the mirror has heard nothing; after so many starts."""
    machine.process.wait_for(WELL, starts * UP_S)
    # Some cards take seconds to agree with the other end; the mirror's was raised before the target's.
    wait_until(lambda: machine.cables["target0"].sent_by_machine > 0, "the page's address was asked for", UP_S)
    lab.run_loads(Load("page", 50, 2, connections=4), Load("post", 5, 2, path="/post/", body_bytes=20_000))
    asked = lab.asked(110)
    wait_until(lambda: len(lab.replayed()) >= len(asked), f"the target was asked {len(asked)} times", 30)
    machine.switch_off(OFF_S)
    wrong = differences(asked, lab.replayed()) + lab.trespasses()
    assert not wrong, "\n".join([*wrong, machine.process.last_words()])
    assert machine.cables["mirror0"].sent_by_machine == 0
    assert "panicked" not in machine.console(), machine.console()


def test_two_builds_give_the_same_bytes(images: Path, tmp_path: Path) -> None:
    again = pack(tmp_path)
    (slot,) = images.glob("*.slot")
    for name in ("vmlinuz", "initramfs", slot.name):
        assert (images / name).read_bytes() == (again / name).read_bytes(), f"{name} differs"


def test_kernel_and_initramfs_alone(images: Path, lab: Lab, tmp_path: Path) -> None:
    words = ["-kernel", str(images / "vmlinuz"), "-initrd", str(images / "initramfs")]
    words += ["-append", "console=ttyS0 panic=-1"]
    machine = Machine(lab.box_host, tmp_path, *words, has_target=False)
    try:
        machine.process.wait_for(WELL, UP_S)
        assert "claim token: " in machine.console()
        assert json.loads(machine.page("/api/v1/health"))["status"] == "idle"
        assert b"<title>TapCopy</title>" in machine.page("/")
        # Before there are any settings, the page's address is set up at the console.
        assert f"Claim token   {machine.claim_token()}" in machine.console()
        fixed = next(iter(ELSEWHERE))
        machine.type("a\nstatic\n10.0.2.77/24\n\n")
        wait_until(lambda: reaches(machine, fixed), "the page is at its new address", UP_S)
        assert "Page          https://10.0.2.77" in machine.console()
        assert b"management_changed" in machine.page("/api/v1/audit")
        machine.type("oyes\n")
        machine.wait_for_end(OFF_S)
        assert machine.cables["mirror0"].sent_by_machine == 0
        wrong = lab.trespasses()
        assert not wrong, wrong
    finally:
        machine.cut_power()


def test_the_disk_replays_by_bios(images: Path, lab: Lab, tmp_path: Path) -> None:
    disk = disk_with_settings(images, tmp_path, f'[syslog]\nserver = "{TARGET_ADDRESS}"\n')
    with Management(lab.target_host, "eth0", TARGET_ADDRESS) as network:
        machine = start(lab, tmp_path / "machine", disk, "-rtc", "base=2020-02-29T00:00:00")
        try:
            machine.process.wait_for("the clock was set by", UP_S)
            machine.process.wait_for(WELL, UP_S)
            machine.page_at(lab.target_host, LEASED)
            told = system(machine)
            check_clock(told)
            check_hardening(told)
            mirror_and_switch_off(lab, machine)
        finally:
            machine.cut_power()
    # The copy of the settings is all that the lab has put on the disk.
    console = machine.console().splitlines()
    faults = [line for line in console if " WARN" in line or " ERROR" in line]
    assert [line for line in faults if "the store has lost settings" not in line] == []
    # From the first line, which was said when there was no network yet, to the last.
    for words in ("TapCopy ", "has 10.100.20.50/24 by DHCP", WELL, "ending; "):
        assert any(words in line for line in network.logged), network.logged
    assert disk.environment()["A_TRY"] == "0"
    assert len(disk.data("tapcopy/claim-token").strip()) == 32


def check_clock(told: dict[str, Any]) -> None:
    """The box knows from DHCP who knows the time, has set its clock after that, and keeps it."""
    server = f"{TARGET_ADDRESS}:123"
    clock = told["time"]
    assert (clock["origin"], clock["believed"], clock["steps"]) == ("dhcp", server, 1), clock
    (heard,) = clock["servers"]
    assert (heard["server"], heard["state"], heard["stratum"]) == (server, "good", 1)
    # What it was off before: years.
    assert heard["offset_ms"] > 1e11
    assert told["clock_synchronised"]
    assert abs(told["now"] - time.time()) < 5
    assert told["uptime_seconds"] < UP_S


def check_hardening(told: dict[str, Any]) -> None:
    """The kernel does all that it could, and this is not nothing."""
    hardening = told["hardening"]
    assert hardening["missing"] == []
    expected = {"kernel.modules_disabled", "kernel.kexec_load_disabled", "kernel.panic", "kernel.panic_on_oops"}
    expected |= {"kernel.dmesg_restrict", "kernel.kptr_restrict", "kernel.unprivileged_bpf_disabled", "read_only_root"}
    assert expected <= set(hardening["in_force"])


def wait_until_well(machine: Machine, starts: int) -> None:
    """Waits for the end of so many starts."""
    wait_until(lambda: machine.console().count(WELL) >= starts, f"the machine has come up {starts} times", UP_S)


def system(machine: Machine) -> dict[str, Any]:
    """What the page says of the box."""
    return dict(json.loads(machine.page("/api/v1/system")))


def order(machine: Machine, path: str, body: bytes = b"") -> dict[str, Any]:
    """What the page says to an order to the machine, with its status."""
    status, content = machine.call("POST", f"/api/v1/system/{path}", body)
    return {"status": status, **json.loads(content)}


def test_an_update_is_tried_and_kept(images: Path, lab: Lab, disk: Disk, tmp_path: Path) -> None:
    update = update_of(images)
    machine = start(lab, tmp_path / "machine", disk, has_target=False)
    try:
        wait_until_well(machine, 1)
        assert machine.call("PATCH", "/api/v1/system", b'{"name": "kept"}')[0] == 200
        flipped = bytearray(update)
        flipped[len(flipped) // 2] ^= 1
        refused = order(machine, "update", bytes(flipped))
        assert (refused["status"], refused["error"]["code"]) == (422, "damaged")
        installed = order(machine, "update", update)
        assert installed["status"] == 202, installed
        assert order(machine, "reboot")["status"] == 202
        wait_until_well(machine, 2)
        now = system(machine)
        assert (now["slot"], now["name"], now["version"]) == ("B", "kept", installed["version"])
        # The data partition has all of the disk that the two systems leave.
        assert now["disk"]["total_bytes"] > DISK_BYTES * 3 // 4
        machine.press_power_button()
        machine.wait_for_end(OFF_S)
        assert machine.cables["mirror0"].sent_by_machine == 0
        assert "cannot be frozen" not in machine.console()
    finally:
        machine.cut_power()
    variables = disk.environment()
    assert (variables["ORDER"], variables["B_OK"], variables["B_TRY"]) == ("B A", "1", "0")
    assert 'name = "adserver-0"' in disk.data("tapcopy/settings.toml")


@pytest.mark.long
def test_a_reset_box_is_as_a_new_one(lab: Lab, disk: Disk, tmp_path: Path) -> None:
    machine = start(lab, tmp_path / "machine", disk, has_target=False)
    try:
        wait_until_well(machine, 1)
        token = machine.claim_token()
        assert order(machine, "factory-reset")["status"] == 202
        wait_until_well(machine, 2)
        assert json.loads(machine.page("/api/v1/health"))["status"] == "idle"
        assert machine.claim_token() != token
        assert order(machine, "power-off")["status"] == 202
        machine.wait_for_end(OFF_S)
    finally:
        machine.cut_power()


def reaches(machine: Machine, at: tuple[str, int]) -> bool:
    """Whether the page answers there, where it is looked for from now on."""
    machine.at = at
    try:
        return machine.call("GET", "/api/v1/health")[0] == 200
    except OSError:
        return False


def change_address(machine: Machine, section: str) -> None:
    """Puts a section `[management]` in force, as long as nobody confirms it."""
    settings = f"{SETTINGS.format(number=0)}[management]\n{section}"
    status, answer = machine.call("PUT", "/api/v1/settings", settings.encode(), {"Content-Type": "application/toml"})
    assert status == 200, answer
    status, answer = machine.call("POST", "/api/v1/settings/apply")
    assert status == 200, answer


@pytest.mark.long
def test_the_page_moves_and_comes_back(lab: Lab, disk: Disk, tmp_path: Path) -> None:
    machine = start(lab, tmp_path / "machine", disk, has_target=False)
    by_dhcp, (fixed, third) = machine.at, ELSEWHERE
    try:
        wait_until_well(machine, 1)
        assert system(machine)["management"]["mode"] == "dhcp"
        change_address(machine, 'mode = "static"\naddress = "10.0.2.77/24"\ngateway = "10.0.2.2"')
        wait_until(lambda: reaches(machine, fixed), "the page is at its new address", 20)
        assert not reaches(machine, by_dhcp)
        machine.at = fixed
        assert machine.call("POST", "/api/v1/settings/confirm")[0] == 200
        # By its MAC address, on a card that was silent until then.
        change_address(machine, f'nic = "{THIRD}"')
        wait_until(lambda: reaches(machine, third), "the page is at the third card", 20)
        shown = system(machine)["management"]
        assert shown == {"mode": "dhcp", "nic": "enp0s6", "address": "10.0.3.15/24"}
        assert machine.call("POST", "/api/v1/settings/revert")[0] == 200
        wait_until(lambda: reaches(machine, fixed), "the page is back at its address", 20)
        # A mistake takes itself back: nobody can reach the box to do it.
        change_address(machine, 'mode = "static"\naddress = "192.0.2.1/24"')
        wait_until(lambda: not reaches(machine, fixed), "nobody reaches the page", 20)
        wait_until(lambda: reaches(machine, fixed), "the page is back by itself", 150)
        entries = json.loads(machine.page("/api/v1/audit"))["entries"]
        assert any(entry["who"] == "timer" for entry in entries)
        machine.press_power_button()
        machine.wait_for_end(OFF_S)
        assert machine.cables["mirror0"].sent_by_machine == 0
    finally:
        machine.cut_power()


def walk_through_the_wizard(visitor: Visitor) -> None:
    page = visitor.page
    visitor.sees("Give it a name")
    visitor.fill("Name of the box", "span-7")
    visitor.press("Continue")
    visitor.sees("Which NIC is on the mirror?")
    for nic, role in (("enp0s3", "Mirror"), ("enp0s4", "Target")):
        page.get_by_role("group", name=f"Role of {nic}").get_by_label(role, exact=True).check()
    picture(visitor, "nics")
    visitor.press("Continue")
    page.locator("main .notice strong").wait_for(timeout=60_000)
    visitor.press("Continue")
    page.get_by_label("10.100.10.1:11311").check(timeout=60_000)
    page.get_by_label("10.100.10.2:11311").check()
    visitor.press("Continue")
    visitor.fill("Server under test", "10.100.20.31:11511")
    visitor.press("Continue")
    picture(visitor, "review")
    visitor.press("Start")
    visitor.sees("It is running", timeout=60)
    picture(visitor, "running")
    visitor.press("Keep these settings")
    page.locator(".pipeline").wait_for()


def move_the_page(visitor: Visitor, address: str) -> None:
    """Gives the page a static address by its own form."""
    visitor.open("settings")
    # The wizard's settings were kept.
    assert not visitor.page.get_by_text("Edit them again").is_visible()
    visitor.page.get_by_label("Address", exact=True).select_option("static")
    visitor.fill("Address and prefix", "10.100.20.77")
    visitor.sees("is no address that a host can have")
    visitor.fill("Address and prefix", f"{address}/24")
    visitor.page.get_by_text("is no address that a host can have").first.wait_for(state="detached")
    picture(visitor, "management")
    visitor.press("Review and apply")
    visitor.page.get_by_role("dialog").get_by_role("button", name="Apply").click()


def picture(visitor: Visitor, name: str) -> None:
    if PICTURES:
        visitor.page.wait_for_timeout(1500)
        visitor.picture(Path(PICTURES) / f"firmware-{name}.png")


@pytest.mark.long
def test_from_the_console_to_a_box_that_replays(images: Path, lab: Lab, tmp_path: Path) -> None:
    disk = Disk(images, tmp_path / "disk.img")
    fixed = "10.100.20.77"
    with Management(lab.target_host, "eth0", TARGET_ADDRESS):
        machine = start(lab, tmp_path / "machine", disk)
        try:
            machine.process.wait_for(f"Page          https://{LEASED}", UP_S)
            lab.start_loads(Load("page", 20, 0, connections=3))
            with desk_at(lab.target_host, (LEASED, HTTPS)) as at:
                visitor = at.visitor()
                visitor.page.set_default_timeout(60_000)
                visitor.claim(machine.claim_token(), PASSWORD)
                walk_through_the_wizard(visitor)
                assert lab.replayed(), "the wizard says that it runs, and nothing came to the target"
                assert not visitor.complaints
                move_the_page(visitor, fixed)
                machine.process.wait_for(f"Page          https://{fixed}", UP_S)
            # Who has forgotten his password goes to the console.
            machine.type("pother plain words\nother plain words\n")
            machine.process.wait_for("The password of admin is set.", UP_S)
            with desk_at(lab.target_host, (fixed, HTTPS)) as at:
                visitor = at.visitor()
                visitor.page.set_default_timeout(60_000)
                visitor.log_in("other plain words")
                visitor.press("Keep them")
                visitor.open("settings/versions")
                visitor.sees("management.address")
                picture(visitor, "kept")
            # Nothing of what was typed is shown, nor the token that is of no use any more.
            told = machine.console()
            assert "plain words" not in told
            assert "Claim token" not in told[told.rindex("Page          ") :]
            machine.switch_off(OFF_S)
            assert machine.cables["mirror0"].sent_by_machine == 0
            wrong = lab.trespasses()
            assert not wrong, wrong
        finally:
            machine.cut_power()
    assert f'address = "{fixed}/24"' in disk.data("tapcopy/settings.toml")


@pytest.mark.long
def test_a_box_that_is_not_well_is_reset_by_the_watchdog(full_images: Path, lab: Lab, tmp_path: Path) -> None:
    disk = disk_with_settings(full_images, tmp_path)
    # The page listens where nobody reaches it, so that the box never finds itself well.
    disk.set_environment(ARGS="tapcopy.listen=224.0.0.1:443")
    machine = start(lab, tmp_path / "machine", disk, "-device", "i6300esb,addr=8", "-action", "watchdog=reset")
    try:
        wait_until(lambda: machine.console().count("the page is on") >= 2, "the watchdog starts it again", 2 * UP_S)
        assert "Kernel panic" not in machine.console()
        assert WELL not in machine.console()
    finally:
        machine.cut_power()
    assert disk.environment()["A_TRY"] == "2"


@pytest.mark.long
@pytest.mark.parametrize(
    ("uefi", "bus", "card"),
    [
        (False, VIRTIO, "vmxnet3"),
        (False, "ide-hd", "e1000e"),
        (False, "nvme", "vmxnet3"),
        (False, "usb-storage", "virtio-net-pci"),
        (True, VIRTIO, "virtio-net-pci"),
        (True, "ide-hd", "vmxnet3"),
        (True, "nvme", "virtio-net-pci"),
        (True, "usb-storage", "e1000e"),
    ],
)
def test_machines_of_every_kind(full_images: Path, lab: Lab, tmp_path: Path, uefi: bool, bus: str, card: str) -> None:
    words = ["-device", "qemu-xhci"] if bus == "usb-storage" else []
    if uefi:
        variables = shutil.copy(OVMF / "OVMF_VARS.fd", tmp_path)
        for file, rights in ((OVMF / "OVMF_CODE.fd", ",readonly=on"), (variables, "")):
            words += ["-drive", f"if=pflash,format=raw,file={file}{rights}"]
    disk = disk_with_settings(full_images, tmp_path)
    machine = start(lab, tmp_path / "machine", disk, *words, bus=bus, card=card)
    try:
        mirror_and_switch_off(lab, machine)
    finally:
        machine.cut_power()


@pytest.mark.long
@pytest.mark.parametrize("fault", ["nothing to run", "half written"])
def test_a_bad_system_gives_way_to_the_one_before(
    images: Path, lab: Lab, disk: Disk, tmp_path: Path, fault: str
) -> None:
    update = update_that_fails(images, tmp_path)
    machine = start(lab, tmp_path / "first", disk, has_target=False)
    try:
        wait_until_well(machine, 1)
        installed = order(machine, "update", update)
        assert installed["status"] == 202
        assert installed["version"].startswith("9")
        machine.switch_off(OFF_S)
    finally:
        machine.cut_power()
    if fault == "half written":
        # An update writes the first block last.
        disk.write("slot-b", bytes(4096))
    machine = start(lab, tmp_path / "machine", disk)
    try:
        mirror_and_switch_off(lab, machine, starts=4)
    finally:
        machine.cut_power()
    panics = machine.console().count("Kernel panic")
    variables = disk.environment()
    if fault == "nothing to run":
        assert panics == 3
        assert variables["B_TRY"] == "3"
    else:
        assert panics == 0
        assert variables["B_OK"] == "0"
    assert (variables["ORDER"], variables["A_OK"], variables["A_TRY"]) == ("A B", "1", "0")


@pytest.mark.long
def test_power_cuts(images: Path, lab: Lab, disk: Disk, tmp_path: Path) -> None:
    moments = random.Random(SEED)
    update = update_of(images)
    token, unrest = "", None
    for number in range(POWER_CUTS + 1):
        machine = start(lab, tmp_path / f"machine{number}", disk, has_target=False)
        machine.token = token
        try:
            wait_until_well(machine, 1)
            token = machine.claim_token()
            (service,) = json.loads(machine.page("/api/v1/settings"))["service"]
            found = int(service["name"].removeprefix("adserver-"))
            assert not unrest or unrest.number_taken <= found <= unrest.number_tried
            if number == POWER_CUTS:
                machine.switch_off(OFF_S)
                break
            unrest = Unrest(machine, SETTINGS, update, found)
            time.sleep(moments.uniform(0, CUT_WITHIN_S))
        finally:
            machine.cut_power()
        unrest.join()
        print(f"cut {number}: {unrest.number_taken} changes, {unrest.updates_installed} updates")

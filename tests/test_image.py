"""The firmware in an emulated machine: what is built twice is the same, kernel and initramfs come up alone, and the
disk image becomes the lab's box. From power-on to power-off not one frame leaves the mirror card.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.box import POOL
from lab.check import differences
from lab.firmware import Disk, pack
from lab.load import Load
from lab.machine import Machine, wait_until
from lab.world import Lab

pytestmark = pytest.mark.lab

UP_S = 90.0
"""Time to the page. Alone on the emulating machine it takes 5 s with a kernel given, and 8 s from the disk."""
OFF_S = 40.0
WELL = "page and shards are well"
INSIDE = "tapcopy.listen=127.0.0.1:8080"
SETTINGS = f"""schema_version = 1
[nics]
mirror = ["enp0s3"]
target = "enp0s4"
[addressing]
pool = ["{POOL}"]
[[service]]
name = "adserver"
origins = ["*:11311"]
targets = ["10.100.20.31:11511"]
"""
DISK = ("-device", "virtio-blk-pci,drive=disk,bootindex=0")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of the program under test."""
    return pack(tmp_path_factory.mktemp("images"))


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(offloads=False) as raised:
        yield raised


@pytest.fixture
def disk(images: Path, tmp_path: Path) -> Disk:
    """A disk with settings, whose page keeps to itself."""
    made = Disk(images, tmp_path / "disk.img")
    made.store_settings(SETTINGS)
    made.set_environment(ARGS=INSIDE)
    return made


def drive(disk: Disk) -> tuple[str, str]:
    return "-drive", f"if=none,id=disk,format=raw,file={disk.file}"


def mirror_and_switch_off(lab: Lab, machine: Machine) -> None:
    """A load passes the mirror, all of it is replayed, and the mirror has heard nothing."""
    machine.process.wait_for(WELL, UP_S)
    assert machine.cables["target0"].sent_by_machine, "the page's address must have been asked for"
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
    machine = Machine(lab.box_host, tmp_path, *words, "-append", f"console=ttyS0 panic=-1 {INSIDE}")
    try:
        machine.process.wait_for(WELL, UP_S)
        machine.switch_off(OFF_S)
        assert machine.cables["mirror0"].sent_by_machine == 0
        assert machine.cables["target0"].sent_by_machine > 0
        wrong = lab.trespasses()
        assert not wrong, wrong
    finally:
        machine.cut_power()


def test_the_disk_replays_by_bios(lab: Lab, disk: Disk, tmp_path: Path) -> None:
    machine = Machine(lab.box_host, tmp_path / "machine", *drive(disk), *DISK)
    try:
        mirror_and_switch_off(lab, machine)
        assert disk.environment()["A_TRY"] == "0"
        assert len(disk.data("tapcopy/claim-token").strip()) == 32
    finally:
        machine.cut_power()

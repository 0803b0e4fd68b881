"""Firmware images for the tests, made with Debian's kernel for virtual machines, which starts sooner; and what stands
on their disks.
"""

import os
import shutil
import subprocess
import zlib
from pathlib import Path

from lab.box import REPOSITORY, binary
from lab.machine import partitions
from lab.netns import run

IMAGES = REPOSITORY / "images"
KERNELS = REPOSITORY / "target" / "image" / "kernel"
DISK_BYTES = 1 << 30
"""Of a disk, which is larger than the image that is written to it."""
KEY = REPOSITORY / "target" / "image" / "key" / "development.key"
ENVIRONMENT = "grubenv"


def pack(output: Path, flavour: str = "cloud-amd64") -> Path:
    """Makes all of the firmware's images in a folder."""
    version = run(str(IMAGES / "kernel"), str(KERNELS), flavour).strip()
    root = KERNELS / version / "root"
    run(str(IMAGES / "pack"), str(binary()), str(root / "boot" / f"vmlinuz-{version}"), str(root), version, str(output))
    return output


def update_of(images: Path) -> bytes:
    """What is uploaded to a box to bring it to these images."""
    (update,) = images.glob("*.update")
    return update.read_bytes()


def update_that_fails(images: Path, folder: Path) -> bytes:
    """A signed update to a system with a kernel that starts, and nothing for it to run."""
    content = folder / "slot"
    content.mkdir()
    shutil.copy(images / "vmlinuz", content)
    archive = subprocess.run(
        ["cpio", "--create", "--format=newc", "--quiet"], input=b"", capture_output=True, check=True
    )
    (content / "initramfs").write_bytes(archive.stdout)
    (slot,) = images.glob("*.slot")
    (content / "version").write_text(run("unsquashfs", "-cat", str(slot), "version").replace("version=", "version=9"))
    failing = folder / "failing.slot"
    run("mksquashfs", str(content), str(failing), "-noI", "-noD", "-noF", "-quiet", "-no-progress")
    run(str(IMAGES / "sign"), str(failing), str(KEY))
    return failing.with_suffix(".update").read_bytes()


class Disk:
    """A disk that the image was written to."""

    def __init__(self, images: Path, file: Path) -> None:
        self.file = file
        (packed,) = images.glob("*.img.zst")
        run("zstd", "-q", "-d", "-f", "--sparse", str(packed), "-o", str(file))
        os.truncate(file, DISK_BYTES)
        self._starts = partitions(file)

    def store_settings(self, settings: str) -> None:
        """Puts settings on the data partition, as the box's own copy of them."""
        copy = self.file.with_suffix(".toml")
        checksum = f"{zlib.crc32(settings.encode()):08x}"
        copy.write_text(f"# The settings as they were stored last, crc32 {checksum}\n{settings}")
        self._data("mkdir tapcopy", f"write {copy} tapcopy/settings.toml")

    def data(self, path: str) -> str:
        """A file of the data partition."""
        return self._data(f"cat {path}")

    def _data(self, *orders: str) -> str:
        place = f"{self.file}?offset={self._starts['data']}"
        command = ["debugfs", "-w", "-f", "-", place]
        done = subprocess.run(command, input="\n".join(orders), capture_output=True, text=True, check=True)
        return "".join(line for line in done.stdout.splitlines(keepends=True) if not line.startswith("debugfs:"))

    def environment(self) -> dict[str, str]:
        """The boot loader's variables."""
        file = self._environment_file("-n", f"::{ENVIRONMENT}", "-")
        return dict(line.split("=", 1) for line in file.splitlines() if "=" in line and not line.startswith("#"))

    def set_environment(self, **variables: str) -> None:
        """Changes some of the boot loader's variables."""
        own = self.file.with_suffix(".env")
        self._environment_file("-n", f"::{ENVIRONMENT}", str(own))
        run("grub-editenv", str(own), "set", *(f"{name}={value}" for name, value in variables.items()))
        self._environment_file("-o", str(own), f"::{ENVIRONMENT}")

    def _environment_file(self, *words: str) -> str:
        return run("mcopy", "-i", f"{self.file}@@{self._starts['env']}", *words)

    def write(self, partition: str, content: bytes, at: int = 0) -> None:
        """Overwrites bytes of a partition."""
        with self.file.open("r+b") as disk:
            disk.seek(self._starts[partition] + at)
            disk.write(content)

    def read(self, partition: str, count: int, at: int = 0) -> bytes:
        """Bytes of a partition."""
        with self.file.open("rb") as disk:
            disk.seek(self._starts[partition] + at)
            return disk.read(count)

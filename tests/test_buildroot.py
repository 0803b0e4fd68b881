"""The br2-external tree: its parts name each other, its files are well formed, its kernel has what the box needs."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from lab.box import REPOSITORY

TREE = REPOSITORY / "buildroot"
IMAGES = REPOSITORY / "images"
BOARD = TREE / "board" / "tapcopy"
DEFCONFIGS = sorted((TREE / "configs").iterdir())
HERE = "$(BR2_EXTERNAL_TAPCOPY_PATH)"
NEEDED = (
    "PACKET FILE_LOCKING EPOLL SIGNALFD EVENTFD DEVTMPFS BLK_DEV_INITRD RD_XZ MODULES PCI EFI EFI_STUB EFI_PARTITION "
    "EXT4_FS VFAT_FS NLS_CODEPAGE_437 SQUASHFS SATA_AHCI BLK_DEV_NVME USB_STORAGE USB_UAS VIRTIO_PCI VIRTIO_BLK "
    "VIRTIO_NET VMXNET3 E1000 E1000E IGB IGC IXGBE I40E ICE R8169 TIGON3 WATCHDOG ACPI_BUTTON"
)
"""sled locks its files, and the mirror is a packet socket."""

PACKERS = "DOSFSTOOLS E2FSPROGS GENIMAGE KMOD MINISIGN MTOOLS SQUASHFS ZSTD"
"""What images/pack calls and Buildroot itself does not need; without minisign, a box of the image takes no updates."""


def symbols(file: Path) -> dict[str, str]:
    """The lines of a configuration, each a symbol that stands once."""
    found: dict[str, str] = {}
    for line in file.read_text().splitlines():
        unset = re.fullmatch(r"# ((?:BR2|CONFIG)_\w+) is not set", line)
        if line and (unset or not line.startswith("#")):
            given = re.fullmatch(r'((?:BR2|CONFIG)_\w+)=(y|m|\d+|"[^"]*")', line)
            assert unset or given, f"{file.name}: {line!r} is no line of a configuration"
            name, value = (unset[1], "n") if unset else (given[1], given[2]) if given else ("", "")
            assert name not in found, f"{file.name}: {name} stands there twice"
            found[name] = value
    return found


def test_the_tree_is_called_tapcopy_everywhere() -> None:
    described = dict(line.split(": ", 1) for line in (TREE / "external.desc").read_text().splitlines())
    assert described["name"] == "TAPCOPY"
    for file in (file for file in TREE.rglob("*") if file.is_file()):
        assert set(re.findall(r"BR2_EXTERNAL_(\w+?)_PATH", file.read_text())) <= {"TAPCOPY"}, file
    menu = (TREE / "package" / "tapcopy" / "Config.in").read_text()
    assert "config BR2_PACKAGE_TAPCOPY\n" in menu
    assert '"$BR2_EXTERNAL_TAPCOPY_PATH/package/tapcopy/Config.in"' in (TREE / "Config.in").read_text()


@pytest.mark.parametrize("defconfig", DEFCONFIGS, ids=lambda file: str(file.stem))
def test_a_defconfig_names_what_is_there(defconfig: Path) -> None:
    values = symbols(defconfig)
    assert values["BR2_PACKAGE_TAPCOPY"] == "y"
    architecture = defconfig.stem.removeprefix("tapcopy_").removesuffix("_defconfig")
    assert values[f"BR2_{architecture}"] == "y"
    named = [word for value in values.values() for word in value.strip('"').split() if word.startswith(HERE)]
    assert len(named) == 3
    for word in named:
        assert (TREE / word.removeprefix(f"{HERE}/")).exists(), word


def test_the_kernels_archive_has_a_checksum() -> None:
    for package in ("linux", "linux-headers"):
        known = (BOARD / "patches" / package / f"{package}.hash").read_text()
        for defconfig in DEFCONFIGS:
            version = symbols(defconfig)["BR2_LINUX_KERNEL_CUSTOM_VERSION_VALUE"].strip('"')
            assert re.search(rf"^sha256  [0-9a-f]{{64}}  linux-{re.escape(version)}\.tar\.xz$", known, re.M)


@pytest.mark.parametrize("defconfig", DEFCONFIGS, ids=lambda file: str(file.stem))
def test_what_packs_the_images_is_built(defconfig: Path) -> None:
    missing = [name for name in PACKERS.split() if symbols(defconfig).get(f"BR2_PACKAGE_HOST_{name}") != "y"]
    assert not missing


def test_both_architectures_are_built_alike() -> None:
    own = [
        {name for name in symbols(file) if not re.search("x86_64|aarch64|I386|ARM64|X86_64", name)}
        for file in DEFCONFIGS
    ]
    assert len(own) == 2
    assert own[0] == own[1]


def test_the_version_is_that_of_the_program() -> None:
    version = re.search(r'^version = "(.*)"', (REPOSITORY / "Cargo.toml").read_text(), re.M)
    recipe = (TREE / "package" / "tapcopy" / "tapcopy.mk").read_text()
    assert version
    assert f"\nTAPCOPY_VERSION = {version[1]}\n" in recipe
    assert recipe.rstrip().endswith("$(eval $(cargo-package))")


def test_the_kernel_has_what_the_box_needs() -> None:
    values = symbols(BOARD / "linux.fragment")
    missing = [name for name in NEEDED.split() if values.get(f"CONFIG_{name}") != "y"]
    assert not missing
    assert values["CONFIG_KEXEC"] == "n"


def test_scripts_are_sound() -> None:
    scripts = [
        BOARD / "post-image.sh",
        *(IMAGES / name for name in ("initramfs", "kernel", "key", "pack", "packages", "sign")),
    ]
    for script in scripts:
        assert os.access(script, os.X_OK), script
    done = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "images/pack" in (BOARD / "post-image.sh").read_text()


def test_the_boot_loaders_script_is_sound() -> None:
    done = subprocess.run(["grub-script-check", str(IMAGES / "grub.cfg")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

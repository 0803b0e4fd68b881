"""The Debian package: what is in it, and a unit that systemd takes and finds confined."""

import subprocess
from pathlib import Path

import pytest

from lab.box import REPOSITORY, binary
from lab.netns import run

PACKAGING = REPOSITORY / "packaging"
EXPOSURE_PERCENT = 30
"""What systemd makes of the unit is 24: it keeps two capabilities, its packet sockets and the network."""
CONTENTS = {
    "etc/tapcopy/tapcopy.conf",
    "usr/bin/tapcopy",
    "usr/lib/systemd/system/tapcopy.service",
    "usr/share/bash-completion/completions/tapcopy",
    "usr/share/doc/tapcopy/changelog.gz",
    "usr/share/doc/tapcopy/copyright",
    "usr/share/fish/vendor_completions.d/tapcopy.fish",
    "usr/share/man/man1/tapcopy.1.gz",
    "usr/share/zsh/vendor-completions/_tapcopy",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the program under test."""
    return Path(run(str(PACKAGING / "deb"), str(binary()), str(tmp_path_factory.mktemp("deb"))).strip())


def test_the_package_has_all_and_its_program_runs(package: Path, tmp_path: Path) -> None:
    run("dpkg-deb", "-x", str(package), str(tmp_path))
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()} == CONTENTS
    version = run("dpkg-deb", "--field", str(package), "Version").strip()
    assert run(str(tmp_path / "usr/bin/tapcopy"), "--version").strip() == f"tapcopy {version}"
    rows = [line.split(maxsplit=5) for line in run("dpkg-deb", "-c", str(package)).splitlines()]
    wrong = [row for row in rows if row[1] != "root/root" or row[0][7:] not in ("r-x", "r--")]
    assert not wrong, "all belongs to root, and anyone may read it"
    control = tmp_path / "control"
    run("dpkg-deb", "-e", str(package), str(control))
    assert (control / "conffiles").read_text() == "/etc/tapcopy/tapcopy.conf\n"


def test_scripts_are_sound() -> None:
    scripts = [str(PACKAGING / name) for name in ("deb", "postinst", "prerm", "postrm")]
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_systemd_takes_the_unit_and_finds_it_confined(tmp_path: Path) -> None:
    unit = tmp_path / "tapcopy.service"
    text = (PACKAGING / "tapcopy.service").read_text()
    unit.write_text(text.replace("/usr/bin/tapcopy", str(binary().resolve())))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    run("systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE_PERCENT}", str(unit))

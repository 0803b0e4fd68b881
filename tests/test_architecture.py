"""The layout that ARCHITECTURE.md promises, read from the sources: who imports whom, what is named where."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

APPLIANCE = Path(__file__).parents[1] / "appliance"
ENGINE = APPLIANCE / "engine" / "src"
LONGEST_ENGINE_FILE = 600

VOCABULARY = {"ledger", "limits", "message", "time"}
"""What any module of the engine may name: counters, bounds, what goes in and out, the time."""

MAY_IMPORT: dict[str, set[str]] = {
    "ledger": {"limits"},
    "limits": set(),
    "protocol": set(),
    "selection": {"time"},
    "share": set(),
    "time": set(),
    "timers": {"time"},
    "compare": {"limits", "protocol", "selection"},
    "findings": {"compare", "ledger", "limits", "protocol", "time"},
    "config": {"compare", "limits", "protocol", "selection", "share"},
    "message": {"compare", "config", "ledger", "time"},
    "frame": VOCABULARY,
    "flow": VOCABULARY | {"config", "frame"},
    "doctor": VOCABULARY | {"flow", "frame"},
    "reassembly": VOCABULARY | {"flow", "frame"},
    "session": VOCABULARY | {"config", "flow", "frame", "reassembly"},
    "books": VOCABULARY | {"config", "findings", "protocol"},
    "exchange": VOCABULARY
    | {"books", "compare", "config", "findings", "flow", "frame", "protocol", "reassembly", "selection"},
    "stack": VOCABULARY | {"flow", "frame", "timers"},
    "local": VOCABULARY | {"config", "flow", "frame", "share"},
    "link": VOCABULARY | {"config", "local", "timers"},
    "replay": VOCABULARY | {"books", "config", "exchange", "frame", "local", "stack", "timers"},
    "rehearsal": VOCABULARY | {"exchange", "frame", "stack"},
}
"""The engine's modules and what of ours each may name; `engine` and `lib` may name all."""

AT_HOME = {
    r"\buse pcap\b": {"daemon/src/nic/mirror.rs"},
    r"\bpcap_parser\b": {"daemon/src/capture/reader.rs"},
    r"\bsled::": {"daemon/src/store/db.rs"},
    r"\bminisign_verify\b": {"machine/src/update.rs"},
    r"\btiny_http\b": {"daemon/src/web/server.rs"},
    r"\bcaps::": {"daemon/src/confine/capabilities.rs"},
    r"\blandlock::": {"daemon/src/confine/files.rs"},
    r"\bseccompiler::": {"daemon/src/confine/calls.rs"},
    r"\brustls::": {"daemon/src/web/tls.rs", "daemon/src/web/front/mod.rs", "daemon/src/web/front/connection.rs"},
    r"\bunsafe\b": {
        "daemon/src/nic/packet_socket.rs",
        "daemon/src/static_link.rs",
        "machine/src/ioctl.rs",
        "machine/src/memory.rs",
        "bench/src/memory.rs",
    },
    r"\b(?:Instant|SystemTime)::now\b": {
        "daemon/src/clock.rs",
        "machine/src/clock.rs",
        "machine/src/dhcp.rs",
    },
}
"""What is named in one file, or one small module, and where."""


def code_of(file: Path) -> str:
    """A source without comments, strings and its own tests."""
    text = re.split(r"#\[cfg\(test\)\]\s*mod \w+ \{", file.read_text())[0]
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    return re.sub(r"//.*", "", text)


def sources(crate: str) -> list[Path]:
    return [file for file in sorted((APPLIANCE / crate / "src").rglob("*.rs")) if not re.search("tests?$", file.stem)]


def imports() -> dict[str, set[str]]:
    """Each top-level module of the engine with the others that it names."""
    named: dict[str, set[str]] = defaultdict(set)
    for file in sources("engine"):
        module = file.relative_to(ENGINE).parts[0].removesuffix(".rs")
        for one, group in re.findall(r"\bcrate::(?:(\w+)|\{([^;]*)\})", code_of(file)):
            found = {one} if one else set(re.findall(r"(?:^|,)\s*(\w+)", re.sub(r"::\{[^}]*\}", "", group)))
            named[module] |= {name for name in found if name != module and (ENGINE / f"{name}.rs").exists()}
            named[module] |= {name for name in found if name != module and (ENGINE / name).is_dir()}
    return named


def test_every_import_is_allowed() -> None:
    forbidden = {
        module: sorted(names - MAY_IMPORT.get(module, set()))
        for module, names in imports().items()
        if module not in {"engine", "lib"} and names - MAY_IMPORT.get(module, set())
    }
    assert not forbidden, f"modules name others that they should not know: {forbidden}"


def test_imports_have_no_cycle() -> None:
    graph = {
        module: names - {"engine", "lib"} for module, names in imports().items() if module not in {"engine", "lib"}
    }
    while graph:
        leaves = {module for module, names in graph.items() if not names & graph.keys()}
        assert leaves, f"these modules import each other in a circle: {graph}"
        graph = {module: names for module, names in graph.items() if module not in leaves}


def test_only_stack_and_link_know_smoltcp() -> None:
    knowing = {file.relative_to(ENGINE).parts[0].removesuffix(".rs") for file in named(r"\bsmoltcp\b", "engine")}
    assert knowing <= {"stack", "link"}


def named(pattern: str, *crates: str) -> list[Path]:
    return [file for crate in crates for file in sources(crate) if re.search(pattern, code_of(file))]


@pytest.mark.parametrize("pattern", AT_HOME)
def test_named_in_one_place(pattern: str) -> None:
    crates = ("engine", "sim", "daemon", "machine", "properties", "records", "bench")
    places = {str(file.relative_to(APPLIANCE)) for file in named(pattern, *crates)}
    assert places <= AT_HOME[pattern], f"{pattern} is named in {sorted(places - AT_HOME[pattern])} too"


@pytest.mark.parametrize("crate", ["engine", "sim"])
def test_only_the_daemon_depends_on_what_does_io(crate: str) -> None:
    manifest = (APPLIANCE / crate / "Cargo.toml").read_text()
    assert not re.findall(r"^(pcap|sled|tiny_http|nix|libc)\b", manifest, re.M)


def test_sim_and_daemon_know_only_the_engine() -> None:
    assert not named(r"\btapcopy_(?:daemon|sim|properties)\b", "engine")
    assert not named(r"\btapcopy_(?:daemon|properties)\b", "sim")
    assert not named(r"\btapcopy_(?:engine|daemon|sim|properties)\b", "records")
    assert not named(r"\btapcopy_(?:sim|properties)\b", "daemon")
    assert not named(r"\btapcopy_", "machine")


def test_the_engine_is_safe_code() -> None:
    assert "#![forbid(unsafe_code)]" in (ENGINE / "lib.rs").read_text()


def test_no_engine_file_is_a_monster() -> None:
    lengths = {str(file.relative_to(ENGINE)): file.read_text().count("\n") for file in ENGINE.rglob("*.rs")}
    assert not {name: length for name, length in lengths.items() if length > LONGEST_ENGINE_FILE}

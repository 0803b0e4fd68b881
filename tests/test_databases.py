"""Real databases and their own clients: after the run, origin and target hold the same rows."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_protocols import evidence, findings, judge, settle

from lab.ledger import broken_laws, losses
from lab.servers import Server, ServerLab
from lab.world import TARGET_ADDRESS

pytestmark = pytest.mark.lab

COPY_AND_PIPELINES = """
import psycopg
import sys

login = f"host={sys.argv[1]} port={sys.argv[2]} user=postgres dbname=postgres sslmode=disable"
with psycopg.connect(login, autocommit=True) as connection:
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
    with cursor.copy("COPY t FROM STDIN") as rows:
        for number in range(2000):
            rows.write_row((number, f"row {number}"))
    with cursor.copy("COPY (SELECT * FROM t ORDER BY a) TO STDOUT") as rows:
        assert sum(1 for _ in rows.rows()) == 2000
    for number in range(20):
        cursor.execute("SELECT b FROM t WHERE a = %s", (number,), prepare=True)
        assert cursor.fetchone() == (f"row {number}",)
    with connection.pipeline():
        for number in range(2000, 2050):
            cursor.execute("INSERT INTO t VALUES (%s, 'piped')", (number,))
    for statement in ("INSERT INTO t VALUES (1, 'again')", "SELECT * FROM nowhere", "COPY nowhere FROM STDIN"):
        try:
            cursor.execute(statement)
        except psycopg.Error:
            pass
    cursor.execute("DO $$ BEGIN RAISE NOTICE 'careful'; END $$")
    cursor.execute("SELECT now()")
"""


PRICES = """
import psycopg
import sys

login = f"host={sys.argv[1]} port={sys.argv[2]} user=postgres dbname=postgres sslmode=disable"
with psycopg.connect(login, autocommit=True) as connection:
    for _ in range(10):
        connection.execute("SELECT a, price FROM p", prepare=False)
"""


def folder_for(user: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tapcopy-database-"))
    shutil.chown(folder, user, user)
    return folder


def as_user(user: str, *command: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]


def postgres_program(name: str) -> str:
    return str(max(Path("/usr/lib/postgresql").glob("*/bin")) / name)


class Databases:
    """Data made once, of which each server gets a copy: origin and target begin with the same."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.folder = folder_for(user)
        self._copies: list[Path] = []

    def copy(self) -> Path:
        copy = folder_for(self.user)
        self._copies.append(copy)
        subprocess.run(as_user(self.user, "cp", "-a", f"{self.folder}/.", str(copy)), check=True)
        return copy

    def remove_copies(self) -> None:
        for copy in self._copies:
            shutil.rmtree(copy, ignore_errors=True)
        self._copies.clear()


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Databases]:
    data = Databases("postgres")

    def run(*command: str) -> None:
        subprocess.run(as_user("postgres", *command), check=True, capture_output=True, cwd=data.folder)

    control = [postgres_program("pg_ctl"), "-D", str(data.folder), "-w", "-l", str(data.folder / "log")]
    options = f"-c listen_addresses='' -c unix_socket_directories={data.folder} -c fsync=off"
    run(postgres_program("initdb"), "-D", str(data.folder), "-U", "postgres", "-A", "trust", "--no-sync")
    run(*control, "-o", options, "start")
    try:
        ask = ["-h", str(data.folder), "-U", "postgres"]
        run(postgres_program("psql"), *ask, "-c", "CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'secret'")
        run(postgres_program("pgbench"), *ask, "-i", "-q", "postgres")
    finally:
        run(*control, "stop")
    yield data
    shutil.rmtree(data.folder)


@pytest.fixture(scope="module")
def mariadb() -> Iterator[Databases]:
    data = Databases("mysql")
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={data.folder}", "--skip-test-db"]
    subprocess.run(
        as_user("mysql", *install, "--auth-root-authentication-method=normal"), check=True, capture_output=True
    )
    yield data
    shutil.rmtree(data.folder)


@contextlib.contextmanager
def postgresql_lab(data: Databases) -> Iterator[ServerLab]:
    """Servers of which the target trusts everybody; the origins ask one user for a password."""

    def kind(address: str, port: int, folder: Path) -> list[str]:
        del folder
        copy = data.copy()
        rules = "host all all 0.0.0.0/0 trust\n"
        if address != TARGET_ADDRESS:
            rules = f"host all guarded 0.0.0.0/0 scram-sha-256\n{rules}"
        (copy / "pg_hba.conf").write_text(rules)
        options = [f"listen_addresses={address}", f"unix_socket_directories={copy}", "fsync=off"]
        settings = [word for option in options for word in ("-c", option)]
        return as_user("postgres", postgres_program("postgres"), "-D", str(copy), "-p", str(port), *settings)

    try:
        with ServerLab(kind) as lab:
            yield lab
    finally:
        data.remove_copies()


@contextlib.contextmanager
def mariadb_lab(data: Databases) -> Iterator[ServerLab]:
    """Servers of which the target lets everybody in; the origins ask for a password."""

    def kind(address: str, port: int, folder: Path) -> list[str]:
        copy = data.copy()
        setup = ["CREATE DATABASE bench;"]
        if address != TARGET_ADDRESS:
            setup += ["CREATE USER guarded@'%' IDENTIFIED BY 'secret';", "GRANT ALL ON *.* TO guarded@'%';"]
        (copy / "setup.sql").write_text("\n".join(setup))
        server = ["mariadbd", "--no-defaults", f"--datadir={copy}", f"--socket={copy}/socket", "--skip-name-resolve"]
        server += [f"--bind-address={address}", f"--port={port}", f"--init-file={copy}/setup.sql", "--local-infile=1"]
        server += ["--skip-grant-tables"] if address == TARGET_ADDRESS else []
        return as_user("mysql", *server)

    try:
        with ServerLab(kind) as lab:
            yield lab
    finally:
        data.remove_copies()


def ask_postgresql(server: Server, query: str) -> str:
    ask = ["psql", "-h", server.address, "-p", str(server.port), "-U", "postgres", "-At", "postgres"]
    return server.run(*ask, "-c", query).strip()


def postgresql_rows(server: Server) -> list[str]:
    """A digest of every table; the time at which a row was written is each server's own."""

    def digest(table: str) -> str:
        row = "(tid, bid, aid, delta)" if table == "pgbench_history" else "t.*"
        return ask_postgresql(
            server, f"SELECT count(*), md5(string_agg({row}::text, ',' ORDER BY {row}::text)) FROM {table} AS t"
        )

    tables = ask_postgresql(server, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").split()
    return [f"{table} {digest(table)}" for table in tables]


def ask_mariadb(server: Server, *what: str) -> str:
    login = ["-h", server.address, "-P", str(server.port), "-u", "guarded", "-psecret"]
    return server.run("mariadb", *login, "-BN", *what)


def mariadb_rows(server: Server) -> str:
    """A checksum of every table that is not the server's own."""
    listing = "SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables WHERE table_schema = 'bench'"
    tables = sorted(ask_mariadb(server, "-e", listing).split())
    return ask_mariadb(server, "-e", f"CHECKSUM TABLE {', '.join(tables)}") if tables else ""


def only(verdicts: dict[str, object], *causes: str, differ: int = 0) -> bool:
    """Whether no more differs than should, and what could not be compared has one of these causes."""
    incomparable = verdicts["incomparable"]
    assert isinstance(incomparable, dict)
    return verdicts["differ"] == differ and {cause for cause, count in incomparable.items() if count} <= set(causes)


def test_pgbench(postgresql: Databases) -> None:
    """Simple queries, extended ones, prepared ones; of other accounts each, and after the ones before: sessions have no
    order among each other.
    """
    with postgresql_lab(postgresql) as lab:
        box = lab.start_box()
        server = lab.origin_server
        for seed, mode in enumerate(("simple", "extended", "prepared")):
            lab.client(
                postgres_program("pgbench"), "-h", server.address, "-p", str(server.port), "-U", "postgres", "-n",
                "-M", mode, "-c", "3", "-t", "40", f"--random-seed={seed}", "postgres",
            )  # fmt: skip
            settle(box)
        ledger = judge(lab, box, postgresql_rows, 3 * 3 * 40 * 7)
        assert only(ledger["verdicts"], "handshake", "volatile"), lab.explain(box, ledger)
        assert ledger["verdicts"]["match"] >= 3 * 3 * 40 * 7


def test_copy_and_pipelines_of_postgresql(postgresql: Databases, tmp_path: Path) -> None:
    with postgresql_lab(postgresql) as lab:
        box = lab.start_box()
        server = lab.origin_server
        for each, price in ((server, "2.50"), (lab.target_server, "2.51")):
            ask_postgresql(each, f"CREATE TABLE p AS SELECT 1 AS a, {price} AS price")
        box.claim()
        lab.client(sys.executable, "-c", PRICES, server.address, str(server.port))
        assert findings(box) == {("SELECT p", "row *.price", "value")}
        again = lab.target_server.run("sh", str(evidence(box, tmp_path) / "psql.sh"))
        assert again.split() == ["a", "|", "price", "---+-------", "1", "|", "2.51", "(1", "row)"]
        ask_postgresql(lab.target_server, "UPDATE p SET price = 2.50")
        lab.client(sys.executable, "-c", COPY_AND_PIPELINES, server.address, str(server.port))
        ledger = judge(lab, box, postgresql_rows, 30)
        assert only(ledger["verdicts"], "handshake", "volatile", differ=10), lab.explain(box, ledger)
        assert ask_postgresql(lab.target_server, "SELECT count(*) FROM t") == "2050"


def test_a_password_that_the_target_does_not_ask_for(postgresql: Databases) -> None:
    with postgresql_lab(postgresql) as lab:
        box = lab.start_box()
        server = lab.origin_server
        ask = ["env", "PGPASSWORD=secret", "psql", "-h", server.address, "-p", str(server.port), "-U", "guarded"]
        lab.client(*ask, "-c", "CREATE TABLE t AS SELECT 1 AS a", "-c", "SELECT * FROM t", "postgres")
        settle(box)
        assert postgresql_rows(lab.origin_server) == postgresql_rows(lab.target_server)
        ledger = box.stop()
        explanation = lab.explain(box, ledger)
        assert not broken_laws(ledger, ended=True), explanation
        assert losses(ledger) == {"not_replayed.not_asked": 2}, explanation
        assert only(ledger["verdicts"], "handshake"), explanation
        assert ledger["verdicts"]["match"] == 3, explanation


def sysbench(lab: ServerLab, test: str, threads: int, events: int, command: str) -> None:
    server = lab.origin_server
    lab.client(
        "sysbench", test, f"--mysql-host={server.address}", f"--mysql-port={server.port}", "--mysql-user=guarded",
        "--mysql-password=secret", "--mysql-db=bench", "--mysql-ssl=off", "--tables=2", "--table-size=500",
        f"--threads={threads}", f"--events={events}", "--time=0", "--rand-seed=7", command,
    )  # fmt: skip


def test_sysbench_on_mariadb(mariadb: Databases) -> None:
    """Prepared statements and transactions on one connection; then connections that change the same rows at once, which
    comes to the same in any order. What is made first is waited for: sessions have no order among each other. The
    origin has counted statements before, and goes on counting on the next connection.
    """
    with mariadb_lab(mariadb) as lab:
        ask_mariadb(lab.origin_server, "-e", "PREPARE earlier FROM 'SELECT 1'")
        box = lab.start_box()
        sysbench(lab, "oltp_read_write", 1, 0, "prepare")
        settle(box)
        sysbench(lab, "oltp_read_write", 1, 40, "run")
        settle(box)
        sysbench(lab, "oltp_update_index", 4, 200, "run")
        ledger = judge(lab, box, mariadb_rows, 40 * 20 + 200)
        assert mariadb_rows(lab.origin_server).count("bench.sbtest") == 2
        assert only(ledger["verdicts"], "handshake", "volatile"), lab.explain(box, ledger)
        assert ledger["verdicts"]["match"] >= 40 * 20 + 200


def test_a_file_that_mariadb_asks_for(mariadb: Databases, tmp_path: Path) -> None:
    with mariadb_lab(mariadb) as lab:
        box = lab.start_box()
        server = lab.origin_server
        file = lab.folder / "rows"
        file.write_text("".join(f"{number}\trow {number}\n" for number in range(1000)))
        statements = [
            "CREATE TABLE f (a INT, b TEXT)",
            f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE f",
            "SELECT COUNT(*), SUM(a) FROM f",
            "SELECT NOW()",
        ]
        login = ["-h", server.address, "-P", str(server.port), "-u", "guarded", "-psecret", "--local-infile=1"]
        for each, price in ((server, "2.50"), (lab.target_server, "2.51")):
            ask_mariadb(each, "bench", "-e", f"CREATE TABLE p SELECT 1 AS a, {price} AS price")
        box.claim()
        lab.client("mariadb", *login, "bench", "-e", "SELECT a, price FROM p;" * 10)
        assert findings(box) == {("SELECT p", "row *.price", "value")}
        script = str(evidence(box, tmp_path) / "mysql.sh")
        assert lab.target_server.run("env", "MYSQL_DATABASE=bench", "sh", script).split() == ["a", "price", "1", "2.51"]
        ask_mariadb(lab.target_server, "bench", "-e", "UPDATE p SET price = 2.50")
        lab.client("mariadb", *login, "bench", "-e", "; ".join(statements))
        ledger = judge(lab, box, mariadb_rows, 6)
        assert only(ledger["verdicts"], "handshake", "volatile", differ=10), lab.explain(box, ledger)
        assert ledger["verdicts"]["incomparable"]["volatile"] >= 1

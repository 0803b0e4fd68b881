//! A request as a line for a shell that asks the server under test the same: with curl, or the protocol's own client.

use std::fmt::Write;
use std::net::SocketAddr;
use tapcopy_records::{Exchange, Said};

/// Headers that curl sets by itself, or that were true of the connection alone.
const OWN: [&str; 5] = ["content-length", "transfer-encoding", "connection", "expect", "keep-alive"];

/// A script's name, and the script: a comment where the request was never meant for a server.
pub fn script(exchange: &Exchange, request: &Said) -> (&'static str, String) {
    let Some(target) = exchange.target else {
        return ("nc.sh", "#!/bin/sh\n# The service has no such server any more.\n".to_owned());
    };
    let bytes = request.body.as_slice();
    let asked = curl(target, request)
        .map(|script| ("curl.sh", script))
        .or_else(|| redis_cli(target, bytes).map(|script| ("redis-cli.sh", script)))
        .or_else(|| sql(target, bytes));
    let (name, line) =
        asked.unwrap_or_else(|| ("nc.sh", format!("nc -w 2 {} {} < request.bin\n", target.ip(), target.port())));
    (name, format!("#!/bin/sh\n{line}"))
}

/// A command of Redis as an array of words that a shell can say, and that is not masked.
fn redis_cli(target: SocketAddr, bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut rest = text.strip_prefix('*')?.split_once("\r\n")?.1;
    let mut line = format!("redis-cli -h {} -p {}", target.ip(), target.port());
    while let Some(word) = rest.strip_prefix('$') {
        let (length, behind) = word.split_once("\r\n")?;
        let word = behind.get(..length.parse().ok()?)?;
        rest = behind.get(word.len() + 2..)?;
        // An option of the client's own would be taken for one.
        let is_option = line.ends_with(&format!(" {}", target.port())) && word.starts_with('-');
        if is_masked(word) || is_option || word.chars().any(char::is_control) {
            return None;
        }
        let _ = write!(line, " {}", quoted(word));
    }
    rest.is_empty().then(|| line + "\n")
}

/// A simple query of PostgreSQL, or a query of MySQL: who asks in which database was said at the login.
fn sql(target: SocketAddr, bytes: &[u8]) -> Option<(&'static str, String)> {
    let (host, port) = (target.ip(), target.port());
    match bytes {
        [b'Q', a, b, c, d, query @ .., 0] if u32::from_be_bytes([*a, *b, *c, *d]) as usize + 1 == bytes.len() => {
            let line = |query| format!("psql -h {host} -p {port} -U \"${{PGUSER:-postgres}}\" -c {query}\n");
            Some(("psql.sh", statement(query).map_or_else(|| UNSAID.to_owned(), line)))
        }
        [a, b, c, 0, 3, query @ ..] if u32::from_le_bytes([*a, *b, *c, 0]) as usize + 4 == bytes.len() => {
            let user = "-u \"${MYSQL_USER:-root}\" ${MYSQL_DATABASE:+-D \"$MYSQL_DATABASE\"}";
            let line = |query| format!("mysql -h {host} -P {port} {user} -e {query}\n");
            Some(("mysql.sh", statement(query).map_or_else(|| UNSAID.to_owned(), line)))
        }
        _ => None,
    }
}

const UNSAID: &str = "# A client for shells would not send this as it is; request.bin has the bytes.\n";

/// One plain statement as a word for a shell. The clients run commands of their own, those of shells among them, where a stranger's
/// text has a backslash, or a line or a second statement that begins with one's name.
fn statement(text: &[u8]) -> Option<String> {
    const VERBS: [&str; 9] = ["ALTER", "CALL", "CREATE", "DELETE", "DROP", "INSERT", "REPLACE", "SELECT", "UPDATE"];
    let text = std::str::from_utf8(text).ok()?.trim().trim_end_matches(';');
    let is_plain = !text.contains(['\\', ';']) && !text.chars().any(char::is_control);
    let verb = text.split(' ').next().unwrap_or_default();
    (is_plain && VERBS.iter().any(|known| known.eq_ignore_ascii_case(verb))).then(|| quoted(text))
}

/// A request of HTTP.
fn curl(target: SocketAddr, request: &Said) -> Option<String> {
    let head = String::from_utf8_lossy(&request.head);
    let mut lines = head.lines();
    let start: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, path, version] = start.as_slice() else { return None };
    let mut script = String::new();
    if is_masked(path) || is_masked(&String::from_utf8_lossy(&request.body)) {
        script.push_str("# Parts of it are masked: put what it needs in the place of the asterisks.\n");
    }
    let mut command = format!("curl --include --globoff --request {}", quoted(method));
    command.push_str(match *version {
        "HTTP/1.0" => " --http1.0",
        // What a call of gRPC answers is no text.
        "HTTP/2" => " --http2-prior-knowledge --output -",
        _ => "",
    });
    let is_decoded = |name: &str| !request.note.is_empty() && name.eq_ignore_ascii_case("content-encoding");
    for line in lines.filter(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        if line.starts_with('@') {
            // curl would read the headers from a file of this name.
            let _ = writeln!(script, "# no header, and left out: {}", printable(name));
        } else if is_masked(line) {
            let _ = writeln!(script, "# masked, and left out: {}", printable(name));
        } else if !is_decoded(name) && !OWN.contains(&name.to_ascii_lowercase().as_str()) {
            let _ = write!(command, " \\\n  --header {}", quoted(line));
        }
    }
    if !request.body.is_empty() {
        let _ = write!(command, " \\\n  --data-binary @request-body.bin");
        script.push_str("# The content of request.bin, without its head:\n");
        let _ = writeln!(script, "tail -c {} request.bin > request-body.bin", request.body.len());
    }
    let path = if path.starts_with('/') { (*path).to_owned() } else { format!("/ --request-target {}", quoted(path)) };
    let url = match path.split_once(' ') {
        Some((root, option)) => format!("{} {option}", quoted(&format!("http://{target}{root}"))),
        None => quoted(&format!("http://{target}{path}")),
    };
    let _ = writeln!(script, "{command} \\\n  {url}");
    Some(script)
}

/// Whether a part of a text was covered: a run of asterisks between separators, or behind a name. A star may also be a word of its
/// own, or a part of one, as in `Accept: */*`.
fn is_masked(text: &str) -> bool {
    let is_separator = |letter: char| letter.is_whitespace() || "=&;,:\"'<>".contains(letter);
    let is_covered = |word: &str| word.len() > 1 && word.bytes().all(|byte| byte == b'*');
    text.contains("=*") || text.split(is_separator).any(is_covered)
}

/// A word that a shell takes as it is, whatever a stranger has put into it.
fn quoted(word: &str) -> String {
    format!("'{}'", printable(word).replace('\'', "'\\''"))
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

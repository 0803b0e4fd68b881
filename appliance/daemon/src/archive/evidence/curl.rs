//! A request of HTTP as a line for curl.

use std::fmt::Write;
use tapcopy_records::{Exchange, Said};

/// Headers that curl sets by itself, or that were true of the connection alone.
const OWN: [&str; 5] = ["content-length", "transfer-encoding", "connection", "expect", "keep-alive"];

/// A script that sends the request to the server under test; a comment where it cannot.
pub fn script(exchange: &Exchange, request: &Said) -> String {
    let head = String::from_utf8_lossy(&request.head);
    let mut lines = head.lines();
    let start: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let (Some(target), [method, path, version]) = (exchange.target, start.as_slice()) else {
        return "#!/bin/sh\n# This is no request of HTTP; request.bin has its bytes.\n".to_owned();
    };
    let mut script = String::from("#!/bin/sh\n");
    let mut command = format!("curl --include --globoff --request {}", quoted(method));
    if *version == "HTTP/1.0" {
        command.push_str(" --http1.0");
    }
    let is_decoded = |name: &str| !request.note.is_empty() && name.eq_ignore_ascii_case("content-encoding");
    for line in lines.filter(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        if line.starts_with('@') {
            // curl would read the headers from a file of this name.
            let _ = writeln!(script, "# no header, and left out: {}", printable(name));
        } else if line.contains('*') && line.trim_end_matches('*') != line {
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
    script
}

/// A word that a shell takes as it is, whatever a stranger has put into it.
fn quoted(word: &str) -> String {
    format!("'{}'", printable(word).replace('\'', "'\\''"))
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

//! Secrets that stand behind a word: logins of line protocols and of Redis, passwords in SQL, and in URLs.

use super::{cover, find, find_text};

pub fn mask(bytes: &mut [u8]) {
    mask_commands(bytes);
    mask_sql(bytes);
    mask_urls(bytes);
}

/// `AUTH` and `PASS` of line protocols; `AUTH`, the setting of a password and of a user in Redis (RESP).
fn mask_commands(bytes: &mut [u8]) {
    for line in bytes.split_mut(|byte| *byte == b'\n') {
        let length = line.len() - usize::from(line.last() == Some(&b'\r'));
        let is_login =
            line.len() > 5 && (line[..5].eq_ignore_ascii_case(b"auth ") || line[..5].eq_ignore_ascii_case(b"pass "));
        if is_login {
            cover(&mut line[5..length.max(5)]);
        }
        if line.len() > 6
            && line[..6].eq_ignore_ascii_case(b"hello ")
            && let Some(found) = find_text(line, 5, b" auth ")
        {
            cover(&mut line[found + 6..length.max(found + 6)]);
        }
    }
    for (word, arguments) in
        [(&b"\r\nauth\r\n"[..], 2), (b"\r\nrequirepass\r\n", 1), (b"\r\nmasterauth\r\n", 1), (b"\r\nsetuser\r\n", 64)]
    {
        let mut at = 0;
        while let Some(found) = find_text(bytes, at, word) {
            at = found + word.len();
            mask_bulks(bytes, at, arguments);
        }
    }
}

/// Covers the bulk strings of RESP that begin here.
fn mask_bulks(bytes: &mut [u8], mut at: usize, count: usize) {
    for _ in 0..count {
        if bytes.get(at) != Some(&b'$') {
            return;
        }
        let end = find(bytes, at, |byte| byte == b'\r');
        let length = std::str::from_utf8(&bytes[at + 1..end]).ok().and_then(|digits| digits.parse::<usize>().ok());
        let start = (end + 2).min(bytes.len());
        let stop = length.map_or(start, |length| start.saturating_add(length).min(bytes.len()));
        cover(&mut bytes[start..stop]);
        at = stop + 2;
    }
}

/// `IDENTIFIED BY 'x'`, `PASSWORD 'x'`, `PASSWORD('x')` and the like.
fn mask_sql(bytes: &mut [u8]) {
    for word in [&b"password"[..], b"identified by", b" by"] {
        let mut at = 0;
        while let Some(found) = find_text(bytes, at, word) {
            at = found + word.len();
            let quote_at = find(bytes, at, |byte| !b" \t=(".contains(&byte));
            if bytes.get(quote_at) == Some(&b'\'') {
                let end = find(bytes, quote_at + 1, |byte| byte == b'\'');
                cover(&mut bytes[quote_at + 1..end]);
            }
        }
    }
}

/// `scheme://user:password@host`.
fn mask_urls(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = find_text(bytes, at, b"://") {
        at = found + 3;
        let end = find(bytes, at, |byte| byte.is_ascii_whitespace() || b"/?#\"'<>".contains(&byte));
        let Some(host) = bytes[at..end].iter().rposition(|byte| *byte == b'@') else { continue };
        let Some(colon) = bytes[at..at + host].iter().position(|byte| *byte == b':') else { continue };
        cover(&mut bytes[at + colon + 1..at + host]);
    }
}

//! Which protocol a flow speaks, by the first bytes of a segment.
//!
//! A segment may lie anywhere in a session that was open before the examination, so every rule wants a mark that hardly
//! any other content has. What no rule takes stays unknown; a service's protocol is what most of its flows spoke.

use serde::Serialize;

/// A protocol that is known by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Guess {
    /// HTTP/1.0 or HTTP/1.1 (RFC 9112).
    Http,
    /// HTTP/2 without TLS (RFC 9113), gRPC among it.
    Http2,
    /// TLS (RFC 8446) of any version, whatever is in it.
    Tls,
    /// Redis (RESP).
    Redis,
    /// MySQL and MariaDB.
    Mysql,
    /// PostgreSQL, protocol 3.
    Postgresql,
    /// memcached, text or binary.
    Memcached,
    /// None of them.
    Unknown,
}

impl Guess {
    /// Every protocol that is known.
    pub const KNOWN: [Self; 7] =
        [Self::Http, Self::Http2, Self::Tls, Self::Redis, Self::Mysql, Self::Postgresql, Self::Memcached];

    /// Its usual name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Http2 => "HTTP/2",
            Self::Tls => "TLS",
            Self::Redis => "Redis",
            Self::Mysql => "MySQL",
            Self::Postgresql => "PostgreSQL",
            Self::Memcached => "memcached",
            Self::Unknown => "unknown",
        }
    }
}

/// Looks at the beginning of a segment's content.
pub(super) fn guess(bytes: &[u8]) -> Guess {
    let rules: [fn(&[u8]) -> bool; 7] = [is_http, is_http2, is_tls, is_redis, is_mysql, is_postgresql, is_memcached];
    let found = rules.iter().position(|rule| rule(bytes));
    found.map_or(Guess::Unknown, |index| Guess::KNOWN[index])
}

fn starts_with_any(bytes: &[u8], beginnings: &[&str]) -> bool {
    beginnings.iter().any(|beginning| bytes.starts_with(beginning.as_bytes()))
}

/// A method of RFC 9110 or RFC 5789 and the beginning of a target, or a status line.
fn is_http(bytes: &[u8]) -> bool {
    let methods = ["GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "TRACE "];
    let target = || bytes.iter().position(|byte| *byte == b' ').and_then(|at| bytes.get(at + 1));
    starts_with_any(bytes, &["HTTP/1."])
        || (starts_with_any(bytes, &methods) && target().is_some_and(|byte| byte.is_ascii_graphic()))
}

/// The client's preface, or the server's: a SETTINGS frame on stream 0 (RFC 9113, sections 3.4 and 6.5).
fn is_http2(bytes: &[u8]) -> bool {
    let settings = |head: &[u8; 9]| head[..2] == [0, 0] && head[2].is_multiple_of(6) && head[3..] == [4, 0, 0, 0, 0, 0];
    bytes.starts_with(b"PRI * HTTP/2.0\r\n") || bytes.first_chunk().is_some_and(settings)
}

/// A record's header: its type, version 3.0 to 3.4, and a length within the bound (RFC 8446, section 5.1).
fn is_tls(bytes: &[u8]) -> bool {
    match bytes {
        [20..=23, 3, 0..=4, high, low, ..] => (1..=18_432).contains(&u16::from_be_bytes([*high, *low])),
        _ => false,
    }
}

/// An array or bulk string with its length, an error, or the simple answers.
fn is_redis(bytes: &[u8]) -> bool {
    let counted = |rest: &[u8]| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (1..=9).contains(&digits) && rest[digits..].starts_with(b"\r\n")
    };
    match bytes {
        [b'*' | b'$' | b':' | b'%' | b'~', rest @ ..] => counted(rest) || rest.starts_with(b"-1\r\n"),
        _ => starts_with_any(bytes, &["+OK\r\n", "+PONG\r\n", "+QUEUED\r\n", "-ERR ", "-MOVED ", "-NOAUTH "]),
    }
}

/// A packet that fills its segment: the server's greeting, or a query in text.
fn is_mysql(bytes: &[u8]) -> bool {
    let Some((head, body)) = bytes.split_first_chunk::<4>() else { return false };
    let is_whole = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16 == body.len();
    let is_greeting = matches!(body, [10, b'0'..=b'9', ..]) && body.contains(&0);
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    // COM_QUERY and COM_STMT_PREPARE.
    let is_query = matches!(body, [3 | 22, text @ ..] if text.len() >= 4 && text.iter().take(16).all(is_text));
    is_whole && head[3] == 0 && (is_greeting || is_query)
}

/// The packets that open a connection, or messages that fill the segment to its last byte.
fn is_postgresql(bytes: &[u8]) -> bool {
    let len_of = |bytes: &[u8]| bytes.first_chunk().map(|len| u32::from_be_bytes(*len) as usize);
    let code = bytes.get(4..).and_then(len_of);
    let opens = len_of(bytes) == Some(bytes.len()) && matches!(code, Some(0x0003_0000 | 80_877_103 | 80_877_104));
    let mut rest = bytes;
    while let [kind, tail @ ..] = rest
        && (kind.is_ascii_alphabetic() || matches!(kind, b'1'..=b'3'))
        && let Some(len) = len_of(tail).filter(|len| *len >= 4)
        && let Some(next) = tail.get(len..)
    {
        rest = next;
    }
    opens || (rest.is_empty() && bytes.len() >= 5)
}

/// A command or an answer in text, or a header in binary.
fn is_memcached(bytes: &[u8]) -> bool {
    let commands = [
        "get ",
        "gets ",
        "gat ",
        "set ",
        "add ",
        "replace ",
        "append ",
        "prepend ",
        "cas ",
        "incr ",
        "decr ",
        "delete ",
        "touch ",
        "mg ",
        "ms ",
        "md ",
        "version\r\n",
        "stats\r\n",
    ];
    let answers = ["VALUE ", "STORED\r\n", "NOT_STORED\r\n", "NOT_FOUND\r\n", "DELETED\r\n", "END\r\n", "STAT "];
    let is_line = || bytes.iter().take(512).any(|byte| *byte == b'\r');
    match bytes.first_chunk::<24>() {
        Some(head) if matches!(head[0], 0x80 | 0x81) => head[1] <= 0x25 && head[5] == 0 && head[4] <= 20,
        _ => (starts_with_any(bytes, &commands) || starts_with_any(bytes, &answers)) && is_line(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes() {
        let mut greeting = vec![0, 0, 0, 0, 10];
        greeting.extend(b"8.0.36\0 and the rest of it");
        greeting[0] = (greeting.len() - 4) as u8;
        let query = [&[11, 0, 0, 0, 3][..], b"SELECT 1 a"].concat();
        let startup = [&[0, 0, 0, 16, 0, 3, 0, 0][..], b"user\0me\0"].concat();
        let ready = [&b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I"[..]].concat();
        let mut binary = vec![0x80, 0x01, 0, 3, 8];
        binary.resize(24, 0);
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Guess::Http),
            (b"HTTP/1.1 200 OK\r\n", Guess::Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Guess::Http2),
            (&[0, 0, 18, 4, 0, 0, 0, 0, 0, 0, 3], Guess::Http2),
            (&[22, 3, 1, 2, 0, 1, 0], Guess::Tls),
            (&[23, 3, 3, 0, 40, 9], Guess::Tls),
            (b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", Guess::Redis),
            (b"$-1\r\n", Guess::Redis),
            (b"+OK\r\n", Guess::Redis),
            (&greeting, Guess::Mysql),
            (&query, Guess::Mysql),
            (&startup, Guess::Postgresql),
            (&ready, Guess::Postgresql),
            (b"get key\r\n", Guess::Memcached),
            (b"VALUE key 0 1\r\nx\r\nEND\r\n", Guess::Memcached),
            (&binary, Guess::Memcached),
        ] {
            assert_eq!(guess(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_is_none_of_them_stays_unknown() {
        for bytes in
            [&b""[..], b"\0", b"hello", b"GET", b"get ", b"SSH-2.0-x\r\n", &[0xff; 64], &[0; 64], &[22, 3, 9, 1, 1]]
        {
            assert_eq!(guess(bytes), Guess::Unknown, "{bytes:?}");
        }
    }
}

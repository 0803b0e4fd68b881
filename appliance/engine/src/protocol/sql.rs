//! SQL, as far as replaying it wants: whether a text asks for what no two servers answer alike.
//!
//! It is read byte by byte and not parsed: words outside of quotes are enough.

use super::Subject;

/// Longest word that means something here.
const WORD_BYTES: usize = 24;

/// Functions whose value is the server's clock, chance, or its own state; only in front of a parenthesis, since columns are
/// called so, too.
const FUNCTIONS: [&str; 31] = [
    "clock_timestamp",
    "connection_id",
    "curdate",
    "current_date",
    "current_time",
    "current_timestamp",
    "curtime",
    "gen_random_uuid",
    "inet_client_addr",
    "inet_client_port",
    "inet_server_addr",
    "inet_server_port",
    "localtime",
    "localtimestamp",
    "now",
    "rand",
    "random",
    "statement_timestamp",
    "sysdate",
    "timeofday",
    "transaction_timestamp",
    "txid_current",
    "unix_timestamp",
    "user",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "uuid",
    "uuid_generate_v4",
    "uuid_short",
    "version",
];

/// Words that are such values by themselves.
const VALUES: [&str; 14] = [
    "cmax",
    "cmin",
    "ctid",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "performance_schema",
    "processlist",
    "sysdate",
    "tableoid",
    "xmax",
    "xmin",
];

/// Statements that tell of the server itself.
const STATEMENTS: [&str; 3] = ["analyze", "explain", "show"];

/// Statements that answer with a count, unless they are told to return rows.
const CHANGES: [&str; 7] = ["create", "delete", "do", "insert", "replace", "set", "update"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Code,
    /// Within a string or a quoted name, up to this byte.
    Quoted(u8),
}

/// Reads the text of one request.
#[derive(Debug)]
pub(super) struct Text {
    place: Place,
    word: [u8; WORD_BYTES],
    word_len: usize,
    /// The word read last is volatile if a parenthesis follows.
    may_be_call: bool,
    /// The present statement has had its first word, which makes it one of [`CHANGES`].
    begun: bool,
    is_change: bool,
    /// A volatile word stood in the present statement, of which nothing but a count was asked so far.
    held: bool,
    is_volatile: bool,
    kills: bool,
}

impl Text {
    /// Before a text.
    pub(super) fn new() -> Self {
        Self {
            place: Place::Code,
            word: [0; WORD_BYTES],
            word_len: 0,
            may_be_call: false,
            begun: false,
            is_change: false,
            held: false,
            is_volatile: false,
            kills: false,
        }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match self.place {
                Place::Quoted(end) if *byte == end => self.place = Place::Code,
                Place::Quoted(_) => {}
                Place::Code => self.take(byte.to_ascii_lowercase()),
            }
        }
    }

    /// Ends the text; whether the answer to it is volatile.
    pub(super) fn end(&mut self) -> bool {
        self.end_word();
        self.is_volatile
    }

    /// Whether it ends another connection by its number, which only the origin has given.
    pub(super) fn kills(&self) -> bool {
        self.kills
    }

    fn take(&mut self, byte: u8) {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@' | b'$') || byte >= 0x80 {
            if let Some(free) = self.word.get_mut(self.word_len) {
                *free = byte;
            }
            self.word_len += 1;
            return;
        }
        self.end_word();
        match byte {
            b'\'' | b'"' | b'`' => self.place = Place::Quoted(byte),
            b'(' if self.may_be_call => self.note(),
            b';' => (self.begun, self.is_change, self.held) = (false, false, false),
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            self.may_be_call = false;
        }
    }

    fn end_word(&mut self) {
        let len = core::mem::take(&mut self.word_len);
        if len == 0 {
            return;
        }
        let word = self.word;
        let word = word.get(..len).unwrap_or_default();
        self.may_be_call = is_in(&FUNCTIONS, word);
        if !core::mem::replace(&mut self.begun, true) {
            self.is_change = is_in(&CHANGES, word);
            self.kills |= word == b"kill";
            self.is_volatile |= is_in(&STATEMENTS, word);
        }
        self.kills |= matches!(word, b"pg_cancel_backend" | b"pg_terminate_backend");
        if word == b"returning" {
            self.is_change = false;
            self.is_volatile |= self.held;
        }
        if is_in(&VALUES, word) || word.starts_with(b"@@") || word.starts_with(b"pg_") {
            self.note();
        }
    }

    fn note(&mut self) {
        match self.is_change {
            true => self.held = true,
            false => self.is_volatile = true,
        }
    }
}

/// A statement's first word, and the table that is named first.
pub fn subject(text: &[u8]) -> Option<Subject<'_>> {
    let is_word =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$' | b'"' | b'`') || *byte >= 0x80;
    let mut words = text.split(|byte| !is_word(byte)).filter(|word| !word.is_empty());
    let verb = Subject::command(words.next()?)?.verb;
    let leads = |word: &&[u8]| {
        [&b"from"[..], b"into", b"update", b"join", b"table"].iter().any(|lead| word.eq_ignore_ascii_case(lead))
    };
    let path = if leads(&verb) { words.next() } else { words.by_ref().find(leads).and_then(|_| words.next()) };
    Some(Subject { verb, path: path.unwrap_or_default(), is_key: false, query: b"" })
}

fn is_in(words: &[&str], word: &[u8]) -> bool {
    words.iter().any(|known| known.as_bytes() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, is_volatile: bool) {
        let mut whole = Text::new();
        whole.push(text.as_bytes());
        assert_eq!(whole.end(), is_volatile, "{text}");
    }

    #[test]
    fn what_no_two_servers_answer_alike_is_found() {
        for text in [
            "SELECT now()",
            "select 1; SELECT Random ()",
            "SELECT current_timestamp",
            "INSERT INTO t VALUES (now()) RETURNING at",
            "SHOW STATUS",
            "EXPLAIN UPDATE t SET a = 1",
            "SELECT @@version_comment LIMIT 1",
            "select * from pg_stat_activity",
            "UPDATE t SET a = now(); SELECT uuid()",
        ] {
            check(text, true);
        }
    }

    #[test]
    fn the_rest_is_not() {
        for text in [
            "",
            "SELECT version, now FROM t",
            "SELECT 'now()', \"random()\", `@@x`",
            "INSERT INTO t (at) VALUES (CURRENT_TIMESTAMP)",
            "UPDATE t SET at = now() WHERE a = 1",
            "SELECT count(*) FROM t",
            "INSERT INTO t VALUES (now()); SELECT 1",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn a_statement_is_about_its_first_table() {
        for (text, verb, path) in [
            ("SELECT a, b FROM t WHERE a = 1", "SELECT", "t"),
            ("update public.t set a = 1", "update", "public.t"),
            ("INSERT INTO `t`(a) VALUES ('from x')", "INSERT", "`t`"),
            ("begin;", "begin", ""),
        ] {
            let found = subject(text.as_bytes()).expect("a statement");
            assert_eq!((found.verb, found.path), (verb.as_bytes(), path.as_bytes()), "{text}");
        }
        assert_eq!(subject(b" ;"), None);
    }

    #[test]
    fn only_a_statement_kills() {
        for (text, kills) in [
            ("KILL 5", true),
            ("select 1; kill query 7", true),
            ("SELECT kill FROM t", false),
            ("select pg_cancel_backend(7)", true),
        ] {
            let mut whole = Text::new();
            whole.push(text.as_bytes());
            whole.end();
            assert_eq!(whole.kills(), kills, "{text}");
        }
    }
}

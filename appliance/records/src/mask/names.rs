//! Which names are those of secrets.

/// Headers whose values are secrets.
const HEADERS: [&str; 4] = ["authorization", "proxyauthorization", "cookie", "setcookie"];
/// Parts of names of secrets, wherever they stand in a name.
const PARTS: [&str; 15] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "authkey",
    "sessionid",
    "requirepass",
    "masterauth",
    "xauth",
];
/// Whole names of secrets.
const WHOLE: [&str; 12] =
    ["pass", "pwd", "pin", "cvv", "cvv2", "cvc", "cvc2", "otp", "jwt", "sid", "auth", "authentication"];
/// Longest name that is looked at; a longer one is none.
pub const NAME_BYTES: usize = 128;

/// The rules on names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    headers: Vec<String>,
    fields: Vec<String>,
}

impl Names {
    pub fn new(headers: &[String], fields: &[String]) -> Self {
        let plain = |names: &[String]| names.iter().map(|name| plain(name.as_bytes())).collect();
        Self { headers: plain(headers), fields: plain(fields) }
    }

    pub fn is_secret_header(&self, name: &[u8]) -> bool {
        let name = plain(name);
        HEADERS.contains(&name.as_str()) || self.headers.contains(&name) || self.is_secret(&name)
    }

    pub fn is_secret_field(&self, name: &[u8]) -> bool {
        self.is_secret(&plain(name))
    }

    fn is_secret(&self, plain: &str) -> bool {
        WHOLE.contains(&plain)
            || PARTS.iter().any(|part| plain.contains(part))
            || self.fields.iter().any(|own| own == plain)
    }
}

/// A name without case, punctuation and escapes: `%70ass-Word`, `pass\u0057ord` and `PASSWORD` are the same.
fn plain(name: &[u8]) -> String {
    let mut plain = String::new();
    let mut rest = &name[..name.len().min(NAME_BYTES)];
    while let Some((first, behind)) = rest.split_first() {
        let escaped = match first {
            b'%' => hexadecimal(behind.get(..2)).map(|code| (code, 2)),
            b'\\' => hexadecimal(behind.strip_prefix(b"u").and_then(|digits| digits.get(..4))).map(|code| (code, 5)),
            _ => None,
        };
        let (letter, length) = escaped.unwrap_or((u32::from(*first), 0));
        rest = &behind[length..];
        plain.extend(
            char::from_u32(letter).filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()),
        );
    }
    plain
}

fn hexadecimal(digits: Option<&[u8]>) -> Option<u32> {
    let digits = std::str::from_utf8(digits?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

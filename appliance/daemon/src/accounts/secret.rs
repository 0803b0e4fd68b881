//! Passwords, and the secrets that the box makes itself.
//!
//! A password is stored as argon2id (RFC 9106) with the parameters that OWASP names first for it. A secret of the box's own
//! has 128 bits of chance, so that one round of SHA-256 is enough to store it by.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use sha2::{Digest, Sha256};
use std::io::{Error, Result};
use std::sync::{Mutex, PoisonError};

/// Length of a password in characters.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 10..=200;
/// Of a user who does not exist: to look for him takes as long as for one who does.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Each hash takes 19 MiB and some 30 ms of a core: one at a time leaves the others to the replay.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// 32 hexadecimal digits of chance.
pub fn random_hex() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Error::other)?;
    Ok(hex(&bytes))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a secret is stored by.
pub fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Whether two texts are the same. The time it takes does not tell how much of them is.
pub fn is_same(one: &str, other: &str) -> bool {
    let unequal = one.bytes().zip(other.bytes()).fold(0, |unequal, (a, b)| unequal | (a ^ b));
    one.len() == other.len() && unequal == 0
}

/// What a password is stored as.
pub fn hash(password: &str) -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Error::other)?;
    let salt = SaltString::encode_b64(&bytes).map_err(|fault| Error::other(fault.to_string()))?;
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|fault| Error::other(fault.to_string()))
}

/// Whether this is the password that was hashed; `None` is the hash of a user who does not exist.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(NOBODY)) else { return false };
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_known_by_their_hash_alone() {
        let hashed = hash("correct horse").unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert_ne!(hashed, hash("correct horse").unwrap());
        assert!(verify("correct horse", Some(&hashed)));
        assert!(!verify("correct horsf", Some(&hashed)));
        assert!(!verify("correct horse", None));
        assert!(PasswordHash::new(NOBODY).is_ok());
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(is_same("ab", "ab"));
        for (one, other) in [("ab", "ac"), ("ab", "a"), ("", "a")] {
            assert!(!is_same(one, other));
        }
        assert_eq!(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

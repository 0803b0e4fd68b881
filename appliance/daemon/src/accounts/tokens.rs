//! Bearer tokens: what a program is known by.

use super::{Accounts, Refusal, Role, secret};
use crate::clock;
use serde::{Deserialize, Serialize};

/// Tokens kept.
const TOKENS: usize = 1_000;

/// A bearer token.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Token {
    /// What it is called by in the interface.
    pub id: String,
    /// What a person calls it.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// SHA-256 of its secret.
    pub digest: String,
    /// When it was made.
    pub created_at: f64,
    /// By whom.
    pub created_by: String,
    /// When it ends, if ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<f64>,
    /// When it was used last, since the start.
    #[serde(skip)]
    pub last_used_at: Option<f64>,
}

impl Accounts {
    /// All tokens.
    pub fn tokens(&self) -> Vec<Token> {
        self.tables().tokens.values().cloned().collect()
    }

    /// Makes a token; its secret is not kept.
    ///
    /// # Errors
    /// The name cannot be used.
    pub fn add_token(&self, name: &str, role: Role, days: Option<u32>, by: &str) -> Result<(Token, String), Refusal> {
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
            let message = "1 to 64 characters, without control characters".to_owned();
            return Err(Refusal::Invalid { field: "name", message });
        }
        if days.is_some_and(|days| !(1..=3_650).contains(&days)) {
            let message = "a number from 1 to 3650; leave it out for a token without an end".to_owned();
            return Err(Refusal::Invalid { field: "expires_in_days", message });
        }
        let now = clock::wall();
        let secret = format!("tapcopy_{}", secret::random_hex()?);
        let token = Token {
            id: secret::random_hex()?[..12].to_owned(),
            name: name.to_owned(),
            role,
            digest: secret::digest(&secret),
            created_at: now,
            created_by: by.to_owned(),
            expires_at: days.map(|days| now + f64::from(days) * 86_400.0),
            last_used_at: None,
        };
        let mut tables = self.tables();
        if tables.tokens.len() >= TOKENS {
            return Err(Refusal::Conflict("there are 1,000 tokens already; remove one first"));
        }
        self.write(|changes| changes.put(&format!("token/{}", token.id), &token))?;
        tables.tokens.insert(token.id.clone(), token.clone());
        Ok((token, secret))
    }

    /// Removes a token.
    ///
    /// # Errors
    /// There is none.
    pub fn remove_token(&self, id: &str) -> Result<Token, Refusal> {
        let mut tables = self.tables();
        let token = tables.tokens.get(id).ok_or(Refusal::Unknown)?.clone();
        self.write(|changes| changes.remove(&format!("token/{id}")))?;
        tables.tokens.remove(id);
        Ok(token)
    }
}

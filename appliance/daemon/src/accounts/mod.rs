//! Who may do what: users, their sessions on the page, bearer tokens, and how a sender is known by them.
//!
//! Everything is held in memory and written through to the store. Secrets are stored as hashes. A run without a data
//! folder has no store and so no accounts: its page shows figures on a loopback address, and nothing can be changed.

pub mod audit;
mod limiter;
mod refusal;
pub mod secret;
#[cfg(test)]
mod tests;
mod tokens;
mod users;

pub use refusal::Refusal;
pub use tokens::Token;
pub use users::User;

use crate::clock::{self, Clock};
use crate::store::{Changes, Store};
use audit::Audit;
use limiter::Limiter;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use users::{check_password, check_username, new_user};

/// How long a login is good for.
const SESSION_SECONDS: f64 = 12.0 * 3_600.0;
/// Sessions kept.
const SESSIONS: usize = 1_000;
/// The first user.
pub const ADMIN: &str = "admin";

/// What somebody may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See.
    Viewer,
    /// Run the box.
    Operator,
    /// Users, tokens, certificate, backup.
    Admin,
}

/// A person's session on the page, known by the SHA-256 of its cookie.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Session {
    username: String,
    csrf_token: String,
    expires_at: f64,
}

/// A new session.
pub struct Login {
    /// The cookie's value.
    pub secret: String,
    /// Who has it.
    pub identity: Identity,
}

/// A sender who is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// User, or name of the token.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// How he is known.
    pub by: By,
}

/// How a sender is known.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// By a cookie, whose requests can be forged unless they carry this.
    Cookie {
        /// What a forger cannot know.
        csrf_token: String,
        /// When the session ends.
        expires_at: f64,
        /// What the session is stored by.
        digest: String,
    },
    /// By a token, or the claim token.
    Token,
}

#[derive(Default)]
struct Tables {
    users: BTreeMap<String, User>,
    tokens: BTreeMap<String, Token>,
    sessions: BTreeMap<String, Session>,
    limiter: Limiter,
}

/// All accounts.
pub struct Accounts {
    store: Option<Arc<Store>>,
    claim_token: Option<String>,
    clock: Clock,
    tables: Mutex<Tables>,
    /// Who has done what.
    pub audit: Audit,
}

impl Accounts {
    /// The accounts of a store.
    pub fn new(store: Option<Arc<Store>>, claim_token: Option<String>, clock: Clock) -> Self {
        let mut tables = Tables::default();
        if let Some(store) = &store {
            tables.users = store.list("user/").into_iter().collect();
            tables.tokens = store.list("token/").into_iter().collect();
            let is_good = |session: &Session| session.expires_at > clock::wall();
            tables.sessions = store.list("session/").into_iter().filter(|(_, session)| is_good(session)).collect();
        }
        Self { audit: Audit::new(store.clone()), store, claim_token, clock, tables: Mutex::new(tables) }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, change: impl FnOnce(&mut Changes)) -> Result<(), Refusal> {
        let none = Refusal::NotClaimable("this run has no data folder; start with --data DIR to have accounts");
        let store = self.store.as_ref().ok_or(none)?;
        let mut changes = Changes::default();
        change(&mut changes);
        Ok(store.write(changes)?)
    }

    /// The data folder.
    pub fn folder(&self) -> Option<&Path> {
        self.store.as_deref().map(Store::folder)
    }

    /// Whether somebody has set a password.
    pub fn is_claimed(&self) -> bool {
        !self.tables().users.is_empty()
    }

    /// Whether somebody can.
    pub fn is_claimable(&self) -> bool {
        self.claim_token.is_some() && self.store.is_some() && !self.is_claimed()
    }

    /// The claim token as long as it is of use.
    pub fn open_claim(&self) -> Option<&str> {
        self.claim_token.as_deref().filter(|_| self.is_claimable())
    }

    /// Makes the first user and logs him in.
    ///
    /// # Errors
    /// The token is wrong, or there is a user.
    pub fn claim(&self, token: &str, password: &str, from: Option<IpAddr>) -> Result<Login, Refusal> {
        if !self.is_claimable() {
            return Err(Refusal::NotClaimable("the box is claimed already, or this run has no data folder; log in"));
        }
        self.may_try(from, "claim token")?;
        if !self.is_claim_token(token) {
            return self.refuse(from, "claim token", "claim_failed");
        }
        self.accept(from, "claim token");
        check_password("password", password)?;
        let user = new_user(ADMIN, Role::Admin, password)?;
        {
            let mut tables = self.tables();
            if !tables.users.is_empty() {
                return Err(Refusal::NotClaimable("the box is claimed already; log in"));
            }
            self.write(|changes| changes.put("user/admin", &user))?;
            tables.users.insert(user.username.clone(), user);
        }
        self.audit.note(ADMIN, from, "claimed", "");
        self.begin_session(ADMIN)
    }

    fn is_claim_token(&self, token: &str) -> bool {
        self.claim_token.as_ref().is_some_and(|own| secret::is_same(own, token.trim()))
    }

    fn may_try(&self, from: Option<IpAddr>, account: &str) -> Result<(), Refusal> {
        self.tables().limiter.attempt(self.clock.now(), from, account).map_or(Ok(()), |wait| Err(Refusal::Wait(wait)))
    }

    /// The last try was right.
    fn accept(&self, from: Option<IpAddr>, account: &str) {
        self.tables().limiter.right(self.clock.now(), from, account);
    }

    fn refuse<T>(&self, from: Option<IpAddr>, account: &str, what: &str) -> Result<T, Refusal> {
        self.audit.note(account, from, what, "");
        Err(Refusal::Wrong)
    }

    /// Logs a user in.
    ///
    /// # Errors
    /// Name or password are wrong, or too many were.
    pub fn log_in(&self, username: &str, password: &str, from: Option<IpAddr>) -> Result<Login, Refusal> {
        self.may_try(from, username)?;
        let hash = self.tables().users.get(username).map(|user| user.hash.clone());
        if !secret::verify(password, hash.as_deref()) {
            return self.refuse(from, username, "login_failed");
        }
        {
            self.accept(from, username);
            let mut tables = self.tables();
            // He may have been removed meanwhile.
            let user = tables.users.get_mut(username).ok_or(Refusal::Wrong)?;
            user.last_login_at = Some(clock::wall());
            let user = user.clone();
            self.write(|changes| changes.put(&format!("user/{username}"), &user))?;
        }
        self.audit.note(username, from, "login", "");
        self.begin_session(username)
    }

    fn begin_session(&self, username: &str) -> Result<Login, Refusal> {
        let secret = secret::random_hex()?;
        let (digest, now) = (secret::digest(&secret), clock::wall());
        let expires_at = now + SESSION_SECONDS;
        let session = Session { username: username.to_owned(), csrf_token: secret::random_hex()?, expires_at };
        let mut tables = self.tables();
        let role = tables.users.get(username).ok_or(Refusal::Unknown)?.role;
        let mut gone: Vec<String> =
            tables.sessions.iter().filter(|(_, old)| old.expires_at <= now).map(|(digest, _)| digest.clone()).collect();
        if tables.sessions.len() - gone.len() >= SESSIONS {
            let first = tables.sessions.iter().min_by(|a, b| a.1.expires_at.total_cmp(&b.1.expires_at));
            gone.extend(first.map(|(digest, _)| digest.clone()));
        }
        self.write(|changes| {
            gone.iter().for_each(|digest| changes.remove(&session_key(digest)));
            changes.put(&session_key(&digest), &session);
        })?;
        gone.iter().for_each(|digest| {
            tables.sessions.remove(digest);
        });
        let by = By::Cookie { csrf_token: session.csrf_token.clone(), expires_at, digest: digest.clone() };
        tables.sessions.insert(digest, session);
        Ok(Login { secret, identity: Identity { name: username.to_owned(), role, by } })
    }

    /// Who has this cookie.
    pub fn by_cookie(&self, secret: &str) -> Option<Identity> {
        let digest = secret::digest(secret);
        let tables = self.tables();
        let session = tables.sessions.get(&digest).filter(|session| session.expires_at > clock::wall())?;
        let role = tables.users.get(&session.username)?.role;
        let (csrf_token, expires_at) = (session.csrf_token.clone(), session.expires_at);
        Some(Identity { name: session.username.clone(), role, by: By::Cookie { csrf_token, expires_at, digest } })
    }

    /// Who bears this token. The claim token is the admin's as long as there is no other way to be one.
    pub fn by_token(&self, secret: &str) -> Option<Identity> {
        if self.is_claimable() && self.is_claim_token(secret) {
            return Some(Identity { name: "claim token".to_owned(), role: Role::Admin, by: By::Token });
        }
        let (digest, now) = (secret::digest(secret), clock::wall());
        let mut tables = self.tables();
        let token = tables.tokens.values_mut().find(|token| secret::is_same(&token.digest, &digest))?;
        if token.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return None;
        }
        token.last_used_at = Some((now / 60.0).floor() * 60.0);
        Some(Identity { name: token.name.clone(), role: token.role, by: By::Token })
    }

    /// Ends the session of a cookie.
    ///
    /// # Errors
    /// It cannot be stored.
    pub fn log_out(&self, identity: &Identity) -> Result<(), Refusal> {
        let By::Cookie { digest, .. } = &identity.by else { return Ok(()) };
        self.write(|changes| changes.remove(&session_key(digest)))?;
        self.tables().sessions.remove(digest);
        Ok(())
    }

    /// Exchanges users and tokens for those of a backup; all sessions end, but for that of a user who is in it, too.
    ///
    /// # Errors
    /// There is no admin among them.
    pub fn restore(&self, users: Vec<User>, tokens: Vec<Token>) -> Result<(), Refusal> {
        if !users.iter().any(|user| user.role == Role::Admin) {
            return Err(Refusal::Invalid { field: "users", message: "there is no admin among them".to_owned() });
        }
        users.iter().try_for_each(|user| check_username(&user.username))?;
        let mut tables = self.tables();
        self.write(|changes| {
            tables.users.keys().for_each(|name| changes.remove(&format!("user/{name}")));
            tables.tokens.keys().for_each(|id| changes.remove(&format!("token/{id}")));
            users.iter().for_each(|user| changes.put(&format!("user/{}", user.username), user));
            tokens.iter().for_each(|token| changes.put(&format!("token/{}", token.id), token));
        })?;
        tables.users = users.into_iter().map(|user| (user.username.clone(), user)).collect();
        tables.tokens = tokens.into_iter().map(|token| (token.id.clone(), token)).collect();
        Ok(())
    }
}

fn session_key(digest: &str) -> String {
    format!("session/{digest}")
}

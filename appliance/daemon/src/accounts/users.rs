//! Users: people with a name, a password and a role.

use super::{ADMIN, Accounts, By, Identity, Refusal, Role, Tables, secret, session_key};
use crate::clock;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Users kept.
const USERS: usize = 1_000;

/// A user.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct User {
    /// His name.
    pub username: String,
    /// What he may do.
    pub role: Role,
    /// argon2id.
    pub hash: String,
    /// When he was made.
    pub created_at: f64,
    /// His last login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_login_at: Option<f64>,
}

impl Accounts {
    /// All users.
    pub fn users(&self) -> Vec<User> {
        self.tables().users.values().cloned().collect()
    }

    /// Makes a user.
    ///
    /// # Errors
    /// Name or password cannot be used.
    pub fn add_user(&self, username: &str, password: &str, role: Role) -> Result<User, Refusal> {
        check_username(username)?;
        check_password("password", password)?;
        if self.tables().users.contains_key(username) {
            return Err(Refusal::Taken(format!("there is a user {username} already; choose another name")));
        }
        let user = new_user(username, role, password)?;
        let mut tables = self.tables();
        if tables.users.is_empty() {
            return Err(Refusal::Conflict("the first user is made by claiming the box"));
        }
        if tables.users.len() >= USERS {
            return Err(Refusal::Conflict("there are 1,000 users already; remove one first"));
        }
        self.write(|changes| changes.put(&format!("user/{username}"), &user))?;
        tables.users.insert(username.to_owned(), user.clone());
        Ok(user)
    }

    /// Changes a user; his sessions end, but for that of `keep`.
    ///
    /// # Errors
    /// There is none, or he is the last admin, or the password cannot be used.
    pub fn change_user(
        &self,
        username: &str,
        password: Option<&str>,
        role: Option<Role>,
        keep: Option<&Identity>,
    ) -> Result<User, Refusal> {
        password.map_or(Ok(()), |password| check_password("password", password))?;
        let hash = password.map(secret::hash).transpose()?;
        let mut tables = self.tables();
        let mut user = tables.users.get(username).ok_or(Refusal::Unknown)?.clone();
        user.role = role.unwrap_or(user.role);
        user.hash = hash.unwrap_or(user.hash);
        if user.role != Role::Admin && is_last_admin(&tables, username) {
            return Err(Refusal::Conflict("this is the last admin; make another one first"));
        }
        let kept =
            keep.and_then(|identity| if let By::Cookie { digest, .. } = &identity.by { Some(digest) } else { None });
        let ended = sessions_of(&tables, username, kept);
        self.write(|changes| {
            changes.put(&format!("user/{username}"), &user);
            ended.iter().for_each(|digest| changes.remove(&session_key(digest)));
        })?;
        tables.sessions.retain(|digest, _| !ended.contains(digest));
        tables.users.insert(username.to_owned(), user.clone());
        Ok(user)
    }

    /// Gives the admin of a box that is claimed another password, or makes him anew, without the old one: for who stands at the
    /// box.
    ///
    /// # Errors
    /// Nobody has claimed it, or the password cannot be used.
    pub fn reset_password(&self, password: &str) -> Result<(), Refusal> {
        if !self.is_claimed() {
            return Err(Refusal::NotClaimable("nobody has claimed the box yet; do that on the page"));
        }
        if !self.tables().users.contains_key(ADMIN) {
            return self.add_user(ADMIN, password, Role::Admin).map(drop);
        }
        self.change_user(ADMIN, Some(password), Some(Role::Admin), None).map(drop)
    }

    /// Changes a sender's own password.
    ///
    /// # Errors
    /// The old one is wrong, or the new one cannot be used.
    pub fn change_own_password(
        &self,
        identity: &Identity,
        old: &str,
        new: &str,
        from: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        if identity.by == By::Token {
            return Err(Refusal::Conflict("a token has no password; log in with a name and a password"));
        }
        check_password("new_password", new)?;
        self.may_try(from, &identity.name)?;
        let hash = self.tables().users.get(&identity.name).map(|user| user.hash.clone());
        if !secret::verify(old, hash.as_deref()) {
            return self.refuse(from, &identity.name, "password_failed");
        }
        self.accept(from, &identity.name);
        self.change_user(&identity.name, Some(new), None, Some(identity)).map(drop)
    }

    /// Removes a user.
    ///
    /// # Errors
    /// There is none, or he is the last admin.
    pub fn remove_user(&self, username: &str) -> Result<(), Refusal> {
        let mut tables = self.tables();
        if !tables.users.contains_key(username) {
            return Err(Refusal::Unknown);
        }
        if is_last_admin(&tables, username) {
            return Err(Refusal::Conflict("this is the last admin; make another one first"));
        }
        let ended = sessions_of(&tables, username, None);
        self.write(|changes| {
            changes.remove(&format!("user/{username}"));
            ended.iter().for_each(|digest| changes.remove(&session_key(digest)));
        })?;
        tables.sessions.retain(|digest, _| !ended.contains(digest));
        tables.users.remove(username);
        Ok(())
    }
}

pub(super) fn new_user(username: &str, role: Role, password: &str) -> Result<User, Refusal> {
    let hash = secret::hash(password)?;
    Ok(User { username: username.to_owned(), role, hash, created_at: clock::wall(), last_login_at: None })
}

fn is_last_admin(tables: &Tables, username: &str) -> bool {
    let mut admins = tables.users.values().filter(|user| user.role == Role::Admin);
    admins.all(|user| user.username == username)
        && tables.users.get(username).is_some_and(|user| user.role == Role::Admin)
}

fn sessions_of(tables: &Tables, username: &str, kept: Option<&String>) -> Vec<String> {
    let theirs =
        tables.sessions.iter().filter(|(digest, session)| session.username == username && Some(*digest) != kept);
    theirs.map(|(digest, _)| digest.clone()).collect()
}

pub(super) fn check_username(name: &str) -> Result<(), Refusal> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if !name.is_empty() && name.len() <= 64 && name.bytes().all(is_good) {
        return Ok(());
    }
    let message = "1 to 64 letters, digits, dots, dashes, underscores and @".to_owned();
    Err(Refusal::Invalid { field: "username", message })
}

pub(super) fn check_password(field: &'static str, password: &str) -> Result<(), Refusal> {
    if secret::PASSWORD_CHARS.contains(&password.chars().count()) {
        return Ok(());
    }
    let (least, most) = (secret::PASSWORD_CHARS.start(), secret::PASSWORD_CHARS.end());
    Err(Refusal::Invalid { field, message: format!("{least} to {most} characters; several words are easy to keep") })
}

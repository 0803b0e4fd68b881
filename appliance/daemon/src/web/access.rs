//! Claiming, login, users and tokens.

use super::State;
use super::call::{Answer, Call, error, invalid, not_found, put};
use crate::accounts::{By, Identity, Login, Refusal, Role, Token, User};
use serde::Deserialize;
use serde_json::{Value, json};

const COOKIE: &str = "tapcopy";

/// The cookie's value.
pub(super) fn cookie(call: &Call) -> Option<&str> {
    let pairs = call.header("cookie")?.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

#[derive(Deserialize)]
struct Claim {
    claim_token: String,
    password: String,
}

/// `POST /setup`
pub(super) fn setup(state: &State, call: &Call) -> Answer {
    let claim: Claim = match call.json() {
        Ok(claim) => claim,
        Err(answer) => return answer,
    };
    match state.accounts.claim(&claim.claim_token, &claim.password, call.peer) {
        Ok(login) => logged_in(call, &login),
        Err(Refusal::Wrong) => {
            let message =
                "this is not the claim token; it is on the console and in the file claim-token of the data folder";
            error(403, "wrong_token", message)
        }
        Err(refusal) => refused(refusal, "box"),
    }
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// `POST /login`
pub(super) fn log_in(state: &State, call: &Call) -> Answer {
    let credentials: Credentials = match call.json() {
        Ok(credentials) => credentials,
        Err(answer) => return answer,
    };
    match state.accounts.log_in(&credentials.username, &credentials.password, call.peer) {
        Ok(login) => logged_in(call, &login),
        Err(Refusal::Wrong) => error(401, "wrong_credentials", "name or password are wrong"),
        Err(refusal) => refused(refusal, "user"),
    }
}

fn logged_in(call: &Call, login: &Login) -> Answer {
    let secure = if call.is_tls { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict{secure}", login.secret);
    Answer::json(200, &shown_identity(&login.identity)).with("Set-Cookie", cookie)
}

/// `POST /logout`
pub(super) fn log_out(state: &State, call: &Call) -> Answer {
    let Some(identity) = &call.identity else { return Answer::done() };
    match state.accounts.log_out(identity) {
        Ok(()) => Answer::done().with("Set-Cookie", format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")),
        Err(refusal) => refused(refusal, "session"),
    }
}

/// `GET /me`
pub(super) fn me(_: &State, call: &Call) -> Answer {
    call.identity.as_ref().map_or_else(|| not_found("sender"), |identity| Answer::json(200, &shown_identity(identity)))
}

fn shown_identity(identity: &Identity) -> Value {
    let mut shown = json!({ "username": identity.name, "role": identity.role });
    if let By::Cookie { csrf_token, expires_at, .. } = &identity.by {
        shown["csrf_token"] = Value::from(csrf_token.as_str());
        shown["expires_at"] = Value::from(*expires_at);
    }
    shown
}

#[derive(Deserialize)]
struct OwnPassword {
    old_password: String,
    new_password: String,
}

/// `POST /me/password`
pub(super) fn change_own_password(state: &State, call: &Call) -> Answer {
    let wish: OwnPassword = match call.json() {
        Ok(wish) => wish,
        Err(answer) => return answer,
    };
    let Some(identity) = &call.identity else { return not_found("sender") };
    match state.accounts.change_own_password(identity, &wish.old_password, &wish.new_password, call.peer) {
        Ok(()) => {
            state.note(call, "password_changed", "");
            Answer::done()
        }
        Err(Refusal::Wrong) => error(403, "wrong_credentials", "the old password is wrong"),
        Err(refusal) => refused(refusal, "user"),
    }
}

/// `GET /users`
pub(super) fn users(state: &State, _: &Call) -> Answer {
    let users: Vec<Value> = state.accounts.users().iter().map(shown_user).collect();
    Answer::json(200, &json!({ "users": users }))
}

fn shown_user(user: &User) -> Value {
    let mut shown = json!({ "username": user.username, "role": user.role, "created_at": user.created_at });
    put(&mut shown, "last_login_at", user.last_login_at);
    shown
}

#[derive(Deserialize)]
struct NewUser {
    username: String,
    password: String,
    role: Role,
}

/// `POST /users`
pub(super) fn add_user(state: &State, call: &Call) -> Answer {
    let wish: NewUser = match call.json() {
        Ok(wish) => wish,
        Err(answer) => return answer,
    };
    match state.accounts.add_user(&wish.username, &wish.password, wish.role) {
        Ok(user) => {
            state.note(call, "user_added", &format!("{} as {:?}", user.username, user.role));
            Answer::json(201, &shown_user(&user))
        }
        Err(refusal) => refused(refusal, "user"),
    }
}

#[derive(Deserialize)]
struct ChangedUser {
    password: Option<String>,
    role: Option<Role>,
}

/// `PATCH /users/{}`
pub(super) fn change_user(state: &State, call: &Call) -> Answer {
    let wish: ChangedUser = match call.json() {
        Ok(wish) => wish,
        Err(answer) => return answer,
    };
    match state.accounts.change_user(call.variable(), wish.password.as_deref(), wish.role, call.identity.as_ref()) {
        Ok(user) => {
            state.note(call, "user_changed", &format!("{} is {:?}", user.username, user.role));
            Answer::json(200, &shown_user(&user))
        }
        Err(refusal) => refused(refusal, "user of this name"),
    }
}

/// `DELETE /users/{}`
pub(super) fn remove_user(state: &State, call: &Call) -> Answer {
    match state.accounts.remove_user(call.variable()) {
        Ok(()) => {
            state.note(call, "user_removed", call.variable());
            Answer::done()
        }
        Err(refusal) => refused(refusal, "user of this name"),
    }
}

/// `GET /tokens`
pub(super) fn tokens(state: &State, _: &Call) -> Answer {
    let tokens: Vec<Value> = state.accounts.tokens().iter().map(shown_token).collect();
    Answer::json(200, &json!({ "tokens": tokens }))
}

fn shown_token(token: &Token) -> Value {
    let mut shown = json!({
        "id": token.id, "name": token.name, "role": token.role, "created_at": token.created_at,
        "created_by": token.created_by,
    });
    put(&mut shown, "expires_at", token.expires_at);
    put(&mut shown, "last_used_at", token.last_used_at);
    shown
}

#[derive(Deserialize)]
struct NewToken {
    name: String,
    role: Role,
    expires_in_days: Option<u32>,
}

/// `POST /tokens`
pub(super) fn add_token(state: &State, call: &Call) -> Answer {
    let wish: NewToken = match call.json() {
        Ok(wish) => wish,
        Err(answer) => return answer,
    };
    match state.accounts.add_token(&wish.name, wish.role, wish.expires_in_days, call.who()) {
        Ok((token, secret)) => {
            state.note(call, "token_added", &format!("{} as {:?}", token.name, token.role));
            let mut shown = shown_token(&token);
            shown["secret"] = Value::from(secret);
            Answer::json(201, &shown)
        }
        Err(refusal) => refused(refusal, "token"),
    }
}

/// `DELETE /tokens/{}`
pub(super) fn remove_token(state: &State, call: &Call) -> Answer {
    match state.accounts.remove_token(call.variable()) {
        Ok(token) => {
            state.note(call, "token_removed", &token.name);
            Answer::done()
        }
        Err(refusal) => refused(refusal, "token of this id"),
    }
}

/// A refusal as an answer.
pub(super) fn refused(refusal: Refusal, what: &str) -> Answer {
    let message = refusal.to_string();
    match refusal {
        Refusal::NotClaimable(_) => error(409, "not_claimable", &message),
        Refusal::Wrong => error(403, "wrong_credentials", &message),
        Refusal::Wait(wait) => {
            error(429, "too_many_attempts", &message).with("Retry-After", (wait.as_secs() + 1).to_string())
        }
        Refusal::Invalid { field, .. } => invalid(422, field, &message),
        Refusal::Taken(_) => error(409, "taken", &message),
        Refusal::Unknown => not_found(what),
        Refusal::Conflict(_) => error(409, "conflict", &message),
        Refusal::Store(_) => error(500, "store", &message),
    }
}

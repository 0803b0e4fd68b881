//! Every call of the interface, who may make it, and who answers it. `webui/openapi.yaml` describes the same calls.

use super::call::{Answer, Call, Method, error};
use super::{
    State, access, captures, certificate, decode, diagnostics, exchanges, figures, firmware, machine, metrics, mirror,
    overview, page, sessions, settings, system,
};
use crate::accounts::{By, Role};
use std::io::Read;

/// Who may make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Least {
    /// Anyone.
    Open,
    /// A viewer; before the box is claimed, anyone who reaches a page on a loopback address.
    Figures,
    /// Somebody with this role.
    Role(Role),
}

/// One call.
pub(super) struct Route {
    method: Method,
    /// `{}` stands for any one segment.
    path: &'static str,
    least: Least,
    handle: Handle,
}

/// Who answers a call.
#[derive(Clone, Copy)]
enum Handle {
    /// With its body in memory.
    Whole(fn(&State, &Call) -> Answer),
    /// With a body that it reads itself.
    Streamed(fn(&State, &Call, &mut dyn Read) -> Answer),
}

const OPEN: Least = Least::Open;
const FIGURES: Least = Least::Figures;
const VIEWER: Least = Least::Role(Role::Viewer);
const OPERATOR: Least = Least::Role(Role::Operator);
const ADMIN: Least = Least::Role(Role::Admin);

const fn get(path: &'static str, least: Least, handle: fn(&State, &Call) -> Answer) -> Route {
    Route { method: Method::Get, path, least, handle: Handle::Whole(handle) }
}

const fn post(path: &'static str, least: Least, handle: fn(&State, &Call) -> Answer) -> Route {
    Route { method: Method::Post, path, least, handle: Handle::Whole(handle) }
}

const fn put(path: &'static str, least: Least, handle: fn(&State, &Call) -> Answer) -> Route {
    Route { method: Method::Put, path, least, handle: Handle::Whole(handle) }
}

const fn patch(path: &'static str, least: Least, handle: fn(&State, &Call) -> Answer) -> Route {
    Route { method: Method::Patch, path, least, handle: Handle::Whole(handle) }
}

const fn delete(path: &'static str, least: Least, handle: fn(&State, &Call) -> Answer) -> Route {
    Route { method: Method::Delete, path, least, handle: Handle::Whole(handle) }
}

const fn upload(path: &'static str, least: Least, handle: fn(&State, &Call, &mut dyn Read) -> Answer) -> Route {
    Route { method: Method::Post, path, least, handle: Handle::Streamed(handle) }
}

const ROUTES: &[Route] = &[
    get("/api/v1/health", OPEN, figures::health),
    get("/api/v1/openapi.yaml", OPEN, page::openapi),
    get("/api/v1/docs", OPEN, page::docs),
    post("/api/v1/setup", OPEN, access::setup),
    post("/api/v1/login", OPEN, access::log_in),
    post("/api/v1/logout", VIEWER, access::log_out),
    get("/api/v1/me", VIEWER, access::me),
    post("/api/v1/me/password", VIEWER, access::change_own_password),
    get("/api/v1/users", ADMIN, access::users),
    post("/api/v1/users", ADMIN, access::add_user),
    patch("/api/v1/users/{}", ADMIN, access::change_user),
    delete("/api/v1/users/{}", ADMIN, access::remove_user),
    get("/api/v1/tokens", ADMIN, access::tokens),
    post("/api/v1/tokens", ADMIN, access::add_token),
    delete("/api/v1/tokens/{}", ADMIN, access::remove_token),
    get("/api/v1/settings", VIEWER, settings::document),
    put("/api/v1/settings", OPERATOR, settings::stage),
    post("/api/v1/settings/import", OPERATOR, settings::stage),
    get("/api/v1/settings/export", VIEWER, settings::export),
    post("/api/v1/settings/check", VIEWER, settings::check),
    get("/api/v1/settings/pending", VIEWER, settings::pending),
    post("/api/v1/settings/apply", OPERATOR, settings::apply),
    post("/api/v1/settings/confirm", OPERATOR, settings::confirm),
    post("/api/v1/settings/revert", OPERATOR, settings::revert),
    get("/api/v1/settings/versions", VIEWER, settings::versions),
    get("/api/v1/settings/versions/{}", VIEWER, settings::version),
    post("/api/v1/settings/versions/{}/revert", OPERATOR, settings::revert_to),
    post("/api/v1/replay/start", OPERATOR, figures::start_replay),
    post("/api/v1/replay/stop", OPERATOR, figures::stop_replay),
    get("/api/v1/ledger", FIGURES, figures::ledger),
    get("/api/v1/snapshot", FIGURES, overview::snapshot),
    get("/api/v1/sessions", VIEWER, sessions::sessions),
    get("/api/v1/sessions/{}", VIEWER, sessions::session),
    get("/api/v1/findings", FIGURES, figures::findings),
    get("/api/v1/latency", FIGURES, figures::latency),
    get("/api/v1/reasons", FIGURES, figures::reasons),
    get("/metrics", FIGURES, metrics::metrics),
    get("/api/v1/exchanges", VIEWER, exchanges::page),
    get("/api/v1/exchanges.jsonl", VIEWER, exchanges::export),
    get("/api/v1/exchanges/{}", VIEWER, exchanges::exchange),
    get("/api/v1/exchanges/{}/evidence", VIEWER, exchanges::evidence),
    get("/api/v1/doctor", OPERATOR, mirror::doctor),
    get("/api/v1/discovery", OPERATOR, mirror::discovery),
    post("/api/v1/target/test", OPERATOR, mirror::test_target),
    get("/api/v1/captures", VIEWER, captures::captures),
    post("/api/v1/captures/start", OPERATOR, captures::start),
    post("/api/v1/captures/stop", OPERATOR, captures::stop),
    get("/api/v1/captures/{}", OPERATOR, captures::download),
    delete("/api/v1/captures/{}", OPERATOR, captures::remove),
    get("/api/v1/diagnostics", OPERATOR, diagnostics::diagnostics),
    get("/api/v1/nics", VIEWER, machine::nics),
    get("/api/v1/system", VIEWER, machine::system),
    patch("/api/v1/system", ADMIN, machine::change),
    post("/api/v1/system/restart", ADMIN, system::restart),
    upload("/api/v1/system/update", ADMIN, firmware::update),
    post("/api/v1/system/reboot", ADMIN, firmware::reboot),
    post("/api/v1/system/power-off", ADMIN, firmware::power_off),
    post("/api/v1/system/factory-reset", ADMIN, firmware::factory_reset),
    get("/api/v1/certificate", VIEWER, certificate::certificate),
    put("/api/v1/certificate", ADMIN, certificate::replace),
    get("/api/v1/audit", ADMIN, system::audit),
    get("/api/v1/backup", ADMIN, system::backup),
    post("/api/v1/restore", ADMIN, system::restore),
];

/// What is there for a call.
pub(super) enum Found {
    /// A call of the interface that the sender may make.
    Route(&'static Route),
    /// The answer.
    Answer(Answer),
}

impl Route {
    /// Makes the call. The front has bounded its body.
    pub fn answer(&self, state: &State, call: &mut Call, body: &mut dyn Read) -> Answer {
        match self.handle {
            Handle::Streamed(handle) => handle(state, call, body),
            Handle::Whole(handle) => match body.read_to_end(&mut call.body) {
                Ok(_) => handle(state, call),
                Err(_) => error(400, "bad_body", "the body did not arrive whole; send it again"),
            },
        }
    }

    fn variables(&self, path: &str) -> Option<Vec<String>> {
        let (mut own, mut asked) = (self.path.split('/'), path.split('/'));
        let mut variables = Vec::new();
        loop {
            match (own.next(), asked.next()) {
                (None, None) => return Some(variables),
                (Some("{}"), Some(segment)) if !segment.is_empty() => variables.push(decode(segment)),
                (Some(mine), Some(theirs)) if mine == theirs => {}
                _ => return None,
            }
        }
    }
}

/// Finds the route of a call, and who the sender is. Nothing is read of a body before that.
pub(super) fn find(state: &State, call: &mut Call) -> Found {
    let mut allowed = Vec::new();
    // The answer to HEAD is that to GET without its body.
    let wanted = if call.method == Method::Head { Method::Get } else { call.method };
    for route in ROUTES {
        let Some(variables) = route.variables(&call.path) else { continue };
        if route.method != wanted {
            allowed.push(route.method.name());
            continue;
        }
        call.variables = variables;
        return match admit(state, call, route.least) {
            Ok(()) => Found::Route(route),
            Err(answer) => Found::Answer(answer),
        };
    }
    Found::Answer(match page::file(call) {
        Some(file) if wanted == Method::Get => file,
        Some(_) => not_allowed("GET, HEAD"),
        None if allowed.is_empty() => {
            error(404, "not_found", &format!("there is nothing at {}; the page is at /", call.path))
        }
        None => {
            if allowed.contains(&"GET") {
                allowed.push("HEAD");
            }
            not_allowed(&allowed.join(", "))
        }
    })
}

fn not_allowed(allow: &str) -> Answer {
    let message = format!("this path takes {allow}; use one of these methods");
    error(405, "method_not_allowed", &message).with("Allow", allow)
}

/// Whether the sender may make a call.
fn admit(state: &State, call: &mut Call, least: Least) -> Result<(), Answer> {
    let bearer = call.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    call.identity = match bearer {
        Some(secret) => state.accounts.by_token(secret.trim()),
        None => access::cookie(call).and_then(|secret| state.accounts.by_cookie(secret)),
    };
    // A browser says itself when a page of another site has made it send this: so nobody is logged in under a name that is not
    // his, either.
    let site = call.header("sec-fetch-site").unwrap_or("none");
    if !call.method.is_safe() && !["none", "same-origin"].contains(&site) {
        return Err(error(403, "csrf", "a page of another site has sent this; use the box's own page"));
    }
    let role = match least {
        Least::Open => return Ok(()),
        Least::Figures if call.identity.is_none() && is_local_and_unclaimed(state, call) => return Ok(()),
        Least::Figures => Role::Viewer,
        Least::Role(role) => role,
    };
    let Some(identity) = &call.identity else {
        let message = "log in, or send the header `Authorization: Bearer TOKEN`";
        return Err(error(401, "unauthorized", message).with("WWW-Authenticate", "Bearer"));
    };
    if let By::Cookie { csrf_token, .. } = &identity.by {
        let sent = call.header("x-csrf-token").unwrap_or_default();
        if !call.method.is_safe() && !crate::accounts::secret::is_same(csrf_token, sent) {
            let message = "the header X-CSRF-Token is not that of the login; load the page again";
            return Err(error(403, "csrf", message));
        }
    }
    if identity.role < role {
        let message = "your role does not allow this; ask an admin";
        return Err(error(403, "forbidden", message));
    }
    Ok(())
}

/// A browser on this machine may be led here by another site's name, which its page could then read by: so the name must
/// be one of loopback.
fn is_local_and_unclaimed(state: &State, call: &Call) -> bool {
    let host = call.header("host").unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let is_local = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    state.is_loopback && is_local && !state.accounts.is_claimed()
}

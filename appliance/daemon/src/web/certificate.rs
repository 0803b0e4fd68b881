//! The page's certificate: shown, and exchanged.

use super::State;
use super::call::{Answer, Call, error, invalid, not_found};
use super::tls::Certificate;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::PoisonError;

/// `GET /certificate`
pub(super) fn certificate(state: &State, _: &Call) -> Answer {
    match &state.certificate {
        Some(certificate) => Answer::json(200, &shown(&certificate.lock().unwrap_or_else(PoisonError::into_inner))),
        None => not_found("certificate: the page is plain HTTP on a loopback address"),
    }
}

fn shown(certificate: &Certificate) -> Value {
    json!({ "fingerprint_sha256": certificate.fingerprint, "is_own": certificate.is_own })
}

#[derive(Deserialize)]
struct Uploaded {
    certificate_pem: String,
    private_key_pem: String,
}

/// `PUT /certificate`
pub(super) fn replace(state: &State, call: &Call) -> Answer {
    let wish: Uploaded = match call.json() {
        Ok(wish) => wish,
        Err(answer) => return answer,
    };
    let new = match Certificate::uploaded(&wish.certificate_pem, &wish.private_key_pem) {
        Ok(new) => new,
        Err(fault) => return invalid(422, "certificate_pem", &fault.to_string()),
    };
    let (Some(kept), Some(tls), Some(folder)) = (&state.certificate, &state.tls, state.accounts.folder()) else {
        return not_found("certificate: the page is plain HTTP on a loopback address");
    };
    if let Err(fault) = new.store(folder) {
        return error(500, "store", &format!("the certificate cannot be stored: {fault}"));
    }
    *tls.lock().unwrap_or_else(PoisonError::into_inner) = new.config.clone();
    state.note(call, "certificate_replaced", &new.fingerprint);
    let answer = Answer::json(200, &shown(&new));
    *kept.lock().unwrap_or_else(PoisonError::into_inner) = new;
    answer
}

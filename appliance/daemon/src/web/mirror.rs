//! Looks at the mirror: the doctor, and what services there are.

use super::State;
use super::call::{Answer, Call, error, invalid, put};
use crate::desk::Refusal;
use crate::doctor;
use crate::nic::choice::name_of;
use crate::nic::interface::refuse_kernel_addresses;
use crate::reach;
use crate::settings::document::{self, Addressing, Nics};
use crate::settings::{Document, Purpose, Settings};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tapcopy_engine::config::Protocol;
use tapcopy_engine::doctor::{Report, Service};

/// How long the mirror is looked at unless the request says it, and at most: the answer waits for it.
const LOOK_SECONDS: u64 = 3;
const LOOK_SECONDS_MAX: u64 = 30;

/// Looks at the mirror NICs now, beside the run.
fn look(state: &State, call: &Call) -> Result<Report, Answer> {
    let seconds = call.number("seconds", LOOK_SECONDS, 1..=LOOK_SECONDS_MAX)?;
    let asked: Vec<String> =
        call.query("nic").unwrap_or_default().split(',').map(|name| name.trim().to_owned()).collect();
    let nics = match call.query("nic") {
        Some(_) if asked.iter().any(String::is_empty) => {
            return Err(invalid(400, "nic", "nic names interfaces, joined by commas"));
        }
        Some(_) => asked,
        None => state.desk.document().map(|document| document.nics.mirror).unwrap_or_default(),
    };
    if nics.is_empty() {
        return Err(invalid(400, "nic", "there are no settings that name a mirror NIC yet; name one in the query"));
    }
    let Ok(_one) = state.looking.try_lock() else {
        return Err(error(503, "busy", "somebody looks at the mirror already; try again in a few seconds"));
    };
    let report = doctor::of_nics(&nics, Duration::from_secs(seconds), None);
    report.map_err(|fault| {
        if fault.is_bad_setting() {
            invalid(400, "nic", &fault.to_string())
        } else {
            error(409, "nic", &fault.to_string())
        }
    })
}

/// `GET /doctor`
pub(super) fn doctor(state: &State, call: &Call) -> Answer {
    look(state, call).map_or_else(|answer| answer, |report| Answer::json(200, &report))
}

#[derive(Deserialize)]
struct Tried {
    target: String,
    nic: Option<String>,
    pool: Option<Vec<String>>,
    gateway: Option<String>,
    vlan: Option<u16>,
}

/// `POST /target/test`
pub(super) fn test_target(state: &State, call: &Call) -> Answer {
    let wish: Tried = match call.json() {
        Ok(wish) => wish,
        Err(answer) => return answer,
    };
    let Ok(server) = wish.target.parse::<SocketAddr>() else {
        return invalid(422, "target", "write IP:PORT with a numeric address, IPv6 in brackets");
    };
    let present = state.desk.document().unwrap_or_default();
    let nic = wish.nic.or_else(|| present.nics.target.clone());
    if state.plant.shards() > 0 && nic.as_deref().map(name_of) == present.nics.target.as_deref().map(name_of) {
        let message = "the box replays over this interface; its own figures tell whether the target answers";
        return error(409, "busy", message);
    }
    let Ok(_one) = state.looking.try_lock() else {
        return error(503, "busy", "somebody looks at the mirror or tries a target; try again in a few seconds");
    };
    let document = Document {
        nics: Nics { target: nic, target_vlan: wish.vlan.or(present.nics.target_vlan), ..Nics::default() },
        addressing: Addressing {
            pool: wish.pool.unwrap_or(present.addressing.pool),
            gateway: wish.gateway.or(present.addressing.gateway),
            ..Addressing::default()
        },
        service: vec![document::Service {
            origins: vec![reach::origin().to_string()],
            targets: vec![server.to_string()],
            protocol: "raw".to_owned(),
            ..document::Service::default()
        }],
        ..Document::default()
    };
    let settings = match Settings::parse(document, Purpose::Replay) {
        Ok(settings) => settings,
        Err(faults) => return super::settings::refused(Refusal::Faults(faults.0)),
    };
    if let Err(fault) = refuse_kernel_addresses(&settings.addressing) {
        return invalid(422, "pool", &fault.to_string());
    }
    match reach::reach(&settings, server) {
        Ok(reach) => {
            let (sent, received) = reach.frames;
            let mut shown = json!({
                "outcome": reach.outcome, "sentence": reach.sentence, "frames_sent": sent, "frames_received": received,
            });
            put(&mut shown, "milliseconds", reach.took.map(|took| took.as_secs_f64() * 1_000.0));
            Answer::json(200, &shown)
        }
        Err(fault) => error(409, "nic", &fault.to_string()),
    }
}

/// `GET /discovery`
pub(super) fn discovery(state: &State, call: &Call) -> Answer {
    let report = match look(state, call) {
        Ok(report) => report,
        Err(answer) => return answer,
    };
    let services: Vec<Value> = report.services.iter().map(proposed).collect();
    let traffic = &report.figures.traffic;
    Answer::json(200, &json!({ "services": services, "seconds": traffic.seconds, "frames": traffic.frames }))
}

fn proposed(service: &Service) -> Value {
    let (address, port) = service.address.rsplit_once(':').unwrap_or((&service.address, "0"));
    let speaks = serde_json::to_value(service.protocol).ok();
    let speaks = speaks.as_ref().and_then(Value::as_str).unwrap_or("unknown");
    // What has no framer is replayed by turns; `auto` looks again at each session.
    let setting = Protocol::names().find(|name| *name == speaks).unwrap_or("auto");
    json!({
        "origin": service.address, "address": address.trim_matches(['[', ']']), "port": port.parse::<u16>().unwrap_or(0),
        "protocol": speaks, "setting_protocol": setting, "sessions": service.flows, "clients": service.clients,
        "turns_per_second": service.turns_per_second, "bits_per_second": service.bits_per_second,
        "one_way": service.one_way,
    })
}

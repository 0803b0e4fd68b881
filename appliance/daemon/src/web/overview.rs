//! What the overview shows: the four stages with their states, the services' strips, the series of the last minutes.

use super::State;
use super::call::{Answer, Call, JSON, put};
use crate::clock;
use crate::history::History;
use crate::host::has_link;
use crate::nic::choice;
use crate::shard::{self, Handle, Snapshot};
use serde_json::{Map, Value, json};
use tapcopy_engine::Ledger;
use tapcopy_engine::ledger::{NotReplayed, Reason, Tally};

/// What the stages are judged by.
struct Sight<'a> {
    total: &'a Snapshot,
    history: &'a History,
    /// A mirror NIC is without a carrier.
    is_mirror_cut: bool,
    /// The target NIC is.
    is_target_cut: bool,
}

/// What a stage is said to be.
struct Judged {
    state: &'static str,
    /// Kind of the sentence, for translation.
    code: &'static str,
    sentence: &'static str,
}

const fn judged(state: &'static str, code: &'static str, sentence: &'static str) -> Judged {
    Judged { state, code, sentence }
}

const WELL: Judged = judged("ok", "", "");
const NO_PLANT: Judged = judged("idle", "no_settings", "there are no settings yet");

/// `GET /snapshot`
pub(super) fn snapshot(state: &State, call: &Call) -> Answer {
    let seconds = match call.number("seconds", 300, 1..=600) {
        Ok(seconds) => usize::try_from(seconds).unwrap_or(usize::MAX),
        Err(answer) => return answer,
    };
    // One overview for each sample: what several pages ask for in the same second is the same.
    let mut text = {
        let history = state.history.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        overview(state, &history, seconds).to_string()
    };
    let tag = format!("\"{:08x}\"", crc32fast::hash(text.as_bytes()));
    if call.header("if-none-match") == Some(tag.as_str()) {
        return Answer::new(304, JSON, "").with("ETag", tag);
    }
    text.push('\n');
    Answer::new(200, JSON, text).with("ETag", tag)
}

fn overview(state: &State, history: &History, seconds: usize) -> Value {
    let total = state.plant.total();
    let fault = state.plant.fault();
    let document = state.desk.document();
    let is_replaying = !state.plant.is_stopped() && !total.loop_alarm;
    let word = match () {
        () if fault.is_some() => "failed",
        // While other shards take the place of the former, or at the end, there are none, and yet settings.
        () if document.is_none() => "idle",
        () if !is_replaying => "stopped",
        () => "running",
    };
    let waiting = state.desk.waiting();
    let left = waiting.as_ref().and_then(|waiting| waiting.left);
    let nics = choice::by_name(document.unwrap_or_default().nics);
    let is_mirror_cut = !nics.mirror.iter().all(|nic| has_link(nic));
    let is_target_cut = nics.target.is_some_and(|nic| !has_link(&nic));
    let sight = Sight { total: &total, history, is_mirror_cut, is_target_cut };
    let mut shown = json!({
        "at": clock::wall().floor(), "name": state.name(), "state": word, "replaying": is_replaying,
        "loop_alarm": total.loop_alarm, "uptime_seconds": state.clock.uptime().as_secs(),
        "pending_state": waiting.map_or("none", |_| if left.is_some() { "applied" } else { "staged" }),
        "stages": stages(word, &sight), "totals": totals(&total.ledger), "services": services(&total, history),
        "series": history.series(seconds), "shards": shards(state),
    });
    put(&mut shown, "message", fault);
    put(&mut shown, "confirm_seconds_left", left.map(|left| left.as_secs()));
    shown
}

fn totals(ledger: &Ledger) -> Value {
    let (requests, verdicts) = (&ledger.requests, &ledger.verdicts);
    json!({
        "frames": ledger.frames.received, "sessions": ledger.sessions.opened, "sessions_live": ledger.sessions.live,
        "captured": requests.captured, "replayed": requests.replayed, "answered": requests.answered,
        "in_progress": requests.in_progress, "not_replayed": requests.not_replayed.sum(),
        "not_answered": requests.not_answered.sum(), "match": verdicts.matched, "differ": verdicts.differ,
        "incomparable": verdicts.incomparable.sum(), "findings": ledger.findings,
    })
}

fn shards(state: &State) -> Value {
    let shown = |(number, shard): (usize, Handle)| {
        let Snapshot { ledger, processor, load, .. } = shard.snapshot();
        json!({
            "name": shard::thread_name(number), "processor": processor, "load": (load * 1_000.0).round() / 1_000.0,
            "frames": ledger.frames.received, "dropped_kernel": ledger.frames.dropped_kernel,
            "sessions_live": ledger.sessions.live, "in_progress": ledger.requests.in_progress,
        })
    };
    state.plant.handles().into_iter().enumerate().map(shown).collect()
}

fn services(total: &Snapshot, history: &History) -> Value {
    let shown = total.services.iter().map(|(name, outcomes)| {
        let mut service = json!(outcomes);
        service["name"] = Value::from(name.as_str());
        service["strip"] = history.strip(name);
        let findings = total.learned.findings.iter().filter(|finding| finding.service == *name);
        service["findings"] = Value::from(findings.count());
        service
    });
    shown.collect()
}

fn stages(word: &str, sight: &Sight<'_>) -> Value {
    let (ledger, history) = (&sight.total.ledger, sight.history);
    let judged = |judge: fn(&Sight<'_>) -> Judged| match word {
        "failed" => judged("fault", "failed", "the settings cannot be used at present"),
        "idle" => NO_PLANT,
        _ => judge(sight),
    };
    let dropped = [("dropped_kernel", ledger.frames.dropped_kernel), ("dropped_nic", ledger.frames.dropped_nic)];
    let gaps = [("gaps", ledger.sessions.gaps)];
    let mut unsent = counted(&ledger.requests.not_replayed);
    LEFT_OUT.iter().for_each(|cause| {
        unsent.remove(cause.word());
    });
    unsent.extend(
        counted(&ledger.requests.not_answered).into_iter().map(|(cause, count)| (format!("answer_{cause}"), count)),
    );
    let lost_rate = history.rate("not_replayed") - history.rate("left_out") + history.rate("not_answered");
    json!({
        "mirror": stage(judged(mirror), history.rate("frames"), "frames", history.rate("dropped"), named(&dropped)),
        "sessions": stage(judged(sessions), history.rate("sessions"), "sessions", history.rate("gaps"), named(&gaps)),
        "replay": stage(judged(replay), history.rate("replayed"), "requests", lost_rate.max(0.0), unsent),
        "comparison": stage(
            judged(comparison), history.rate("answered"), "answers", history.rate("incomparable"),
            counted(&ledger.verdicts.incomparable),
        ),
    })
}

/// What the settings or a person leave out is no loss.
const LEFT_OUT: [NotReplayed; 4] =
    [NotReplayed::NotSampled, NotReplayed::Filtered, NotReplayed::RateCapped, NotReplayed::Stopped];

fn stage(judged: Judged, rate: f64, unit: &str, loss_rate: f64, losses: Map<String, Value>) -> Value {
    let tenths = |rate: f64| (rate * 10.0).round() / 10.0;
    let total: u64 = losses.values().filter_map(Value::as_u64).sum();
    json!({
        "state": judged.state, "code": judged.code, "sentence": judged.sentence, "rate": tenths(rate), "unit": unit,
        "loss_rate": tenths(loss_rate), "loss_total": total, "losses": losses,
    })
}

fn named(counts: &[(&str, u64)]) -> Map<String, Value> {
    let counted = counts.iter().filter(|(_, count)| *count > 0);
    counted.map(|(name, count)| ((*name).to_owned(), Value::from(*count))).collect()
}

fn counted<R: Reason>(tally: &Tally<R>) -> Map<String, Value> {
    let counted = tally.iter().filter(|(_, count)| *count > 0);
    counted.map(|(reason, count)| (reason.word().to_owned(), Value::from(count))).collect()
}

fn mirror(sight: &Sight<'_>) -> Judged {
    let Sight { total, history, .. } = sight;
    match () {
        () if sight.is_mirror_cut => {
            judged("fault", "mirror_cut", "a mirror NIC has no link; look at its cable, and at the switch's port")
        }
        () if total.loop_alarm => {
            judged("fault", "loop_alarm", "the mirror shows the box's own frames; take the target's port out of it")
        }
        () if history.rate("dropped") > 0.0 => {
            judged("warning", "dropping", "frames are lost before they can be read; sample fewer clients, or filter")
        }
        () if history.rate("frames") == 0.0 => {
            judged("idle", "no_frames", "no frame of the services was seen in the last seconds; ask the doctor")
        }
        () => WELL,
    }
}

fn sessions(sight: &Sight<'_>) -> Judged {
    let Sight { total, history, .. } = sight;
    match () {
        () if history.rate("gaps") > 0.0 => {
            judged("warning", "gaps", "the mirror does not show all bytes of the sessions; ask the doctor")
        }
        () if total.ledger.sessions.live == 0 && history.rate("sessions") == 0.0 => {
            judged("idle", "no_sessions", "no session is open")
        }
        () => WELL,
    }
}

fn replay(sight: &Sight<'_>) -> Judged {
    let Sight { total, history, .. } = sight;
    let lost = history.rate("not_replayed") - history.rate("left_out") + history.rate("not_answered");
    match () {
        () if sight.is_target_cut => {
            judged("fault", "target_cut", "the target NIC has no link; look at its cable, and at the switch's port")
        }
        () if total.loop_alarm => {
            judged("fault", "loop_alarm_replay", "replay has stopped; mend the mirror, then start it again")
        }
        () if history.rate("left_out") > 0.0 && history.rate("replayed") == 0.0 => {
            judged("idle", "left_out", "nothing is replayed: by the kill switch, the sample or the rules")
        }
        () if !total.address_conflicts.is_empty() => {
            judged("warning", "address_conflict", "somebody else has addresses that the box is to use; see the health")
        }
        () if lost > 0.0 && history.rate("answered") == 0.0 => {
            judged("fault", "target_silent", "the target answers nothing; look at the causes, and at the target")
        }
        () if lost > 0.05 => {
            judged("warning", "losing", "requests are not replayed or not answered; look at the causes")
        }
        () if history.rate("replayed") == 0.0 => {
            judged("idle", "no_requests", "no request was sent in the last seconds")
        }
        () => WELL,
    }
}

/// Production differs from itself; only what is beyond that is worth a colour.
fn comparison(sight: &Sight<'_>) -> Judged {
    let Sight { total, history, .. } = sight;
    match () {
        () if history.rate("answered") == 0.0 => judged("idle", "no_answers", "no answer came in the last seconds"),
        () if total.ledger.findings > 0 => {
            judged("warning", "differing", "the target differs beyond production's own noise; look at the differences")
        }
        () if history.rate("differ") > 0.0 => {
            judged("ok", "noise", "answers differ, but not beyond production's own noise so far")
        }
        () => WELL,
    }
}

//! Captures of the mirror: recorded to files of the data folder when somebody asks for it, listed, taken away, removed.

use super::State;
use super::call::{Answer, Body, Call, error, invalid, not_found, too_many_downloads};
use crate::clock::{self, Clock};
use crate::record::{self, Recorders, Recording};
use crate::settings::{Purpose, Settings};
use crate::shard::Order;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::File;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

/// What all captures may take together; the oldest go beyond it.
const TOTAL_BYTES: u64 = 10 << 30;
/// How long one is kept.
const TOTAL_AGE: Duration = Duration::from_secs(30 * 24 * 3_600);
const OPEN: &str = ".part";

/// A capture that is being recorded.
pub(super) struct Running {
    recorders: Recorders,
    since: Clock,
    wall: f64,
    seconds: u64,
    max_bytes: u64,
}

/// Where the files are: the settings' own folder where they record, the data folder's else.
fn folder(state: &State) -> Option<PathBuf> {
    let recorded =
        state.desk.document().and_then(|document| document.record).map(|record| PathBuf::from(record.directory));
    recorded.or_else(|| state.accounts.folder().map(|folder| folder.join("captures")))
}

fn is_recorded_by_settings(state: &State) -> bool {
    state.desk.document().is_some_and(|document| document.record.is_some())
}

/// The files, by name.
fn files(state: &State) -> Vec<(String, PathBuf, std::fs::Metadata)> {
    let entries = folder(state).and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten();
    let files = entries.filter_map(Result::ok).filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let stem = name.strip_suffix(OPEN).unwrap_or(&name);
        let is_ours = stem.starts_with("tapcopy-") && stem.ends_with(".pcapng");
        let metadata = entry.metadata().ok().filter(|metadata| is_ours && metadata.is_file())?;
        Some((name, entry.path(), metadata))
    });
    files.collect()
}

/// `GET /captures`
pub(super) fn captures(state: &State, _: &Call) -> Answer {
    let mut shown: Vec<(f64, Value)> = files(state)
        .into_iter()
        .map(|(name, _, metadata)| {
            let modified = metadata.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let at = modified.unwrap_or_default().as_secs_f64();
            (at, json!({ "name": name, "bytes": metadata.len(), "modified_at": at, "is_open": name.ends_with(OPEN) }))
        })
        .collect();
    shown.sort_by(|a, b| b.0.total_cmp(&a.0));
    let running = state.capture.lock().unwrap_or_else(PoisonError::into_inner);
    let recording = match &*running {
        Some(running) => {
            let left = running.seconds.saturating_sub(running.since.uptime().as_secs());
            json!({ "since": running.wall, "seconds_left": left, "by_settings": false })
        }
        None if is_recorded_by_settings(state) && state.plant.shards() > 0 => {
            json!({ "since": clock::wall() - state.clock.uptime().as_secs_f64(), "seconds_left": null, "by_settings": true })
        }
        None => Value::Null,
    };
    let shown: Vec<Value> = shown.into_iter().map(|(_, capture)| capture).collect();
    Answer::json(200, &json!({ "captures": shown, "recording": recording }))
}

#[derive(Deserialize)]
struct Wanted {
    seconds: Option<u64>,
    services: Option<Vec<String>>,
    max_mib: Option<u64>,
}

/// `POST /captures/start`
pub(super) fn start(state: &State, call: &Call) -> Answer {
    let wish: Wanted = match call.json() {
        Ok(wish) => wish,
        Err(answer) => return answer,
    };
    let (seconds, max_mib) = (wish.seconds.unwrap_or(60), wish.max_mib.unwrap_or(1_024));
    if !(1..=86_400).contains(&seconds) {
        return invalid(422, "seconds", "a number from 1 to 86400");
    }
    if !(1..=102_400).contains(&max_mib) {
        return invalid(422, "max_mib", "a number from 1 to 102400");
    }
    if is_recorded_by_settings(state) {
        return error(409, "recording", "the settings record the mirror already ([record]); its files are in the list");
    }
    let settings = state.desk.document().map(|document| Settings::parse(document, Purpose::Run));
    let (Some(Ok(settings)), interfaces, Some(directory)) = (settings, state.plant.interfaces(), folder(state)) else {
        return error(409, "idle", "nothing is mirrored yet; make settings first");
    };
    if let Some(unknown) =
        wish.services.iter().flatten().find(|name| settings.services.iter().all(|one| one.name != **name))
    {
        return invalid(422, "services", &format!("there is no service {unknown}"));
    }
    let mut running = state.capture.lock().unwrap_or_else(PoisonError::into_inner);
    let shards = state.plant.handles();
    if running.is_some() || interfaces.is_empty() || shards.is_empty() {
        let message = "a capture is being recorded already, or nothing is mirrored; stop it, or make settings first";
        return error(409, "recording", message);
    }
    let max_bytes = max_mib << 20;
    let recording = Recording {
        directory,
        services: wish.services,
        file_bytes: max_bytes,
        file_age: Duration::from_secs(seconds + 60),
        total_bytes: TOTAL_BYTES.max(max_bytes),
        total_age: TOTAL_AGE,
    };
    let (mut recorder, recorders) = match record::start(&recording, interfaces) {
        Ok(started) => started,
        Err(fault) => return error(409, "disk", &fault.to_string()),
    };
    recorder.configure(&settings.services);
    for shard in &shards[1..] {
        shard.order(Order::Record(Some(Box::new(recorder.another()))));
    }
    shards[0].order(Order::Record(Some(Box::new(recorder))));
    *running = Some(Running { recorders, since: Clock::start(), wall: clock::wall(), seconds, max_bytes });
    drop(running);
    state.note(call, "capture_started", &format!("{seconds} s"));
    Answer::done()
}

/// `POST /captures/stop`
pub(super) fn stop(state: &State, call: &Call) -> Answer {
    if end(state, |_| true) {
        state.note(call, "capture_stopped", "");
        return Answer::done();
    }
    error(409, "not_recording", "no capture is being recorded that was started here")
}

/// Ends the capture that is being recorded if it is to; whether there was one.
fn end(state: &State, is_over: impl Fn(&Running) -> bool) -> bool {
    let mut running = state.capture.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(ended) = running.take_if(|running| is_over(running)) else { return false };
    state.plant.handles().iter().for_each(|shard| shard.order(Order::Record(None)));
    // The file is closed when the shard has let go of it.
    ended.recorders.finish();
    true
}

/// Ends a capture whose time or size is reached, or whose shard has gone.
pub(super) fn tick(state: &State) {
    end(state, |running| {
        running.since.uptime() >= Duration::from_secs(running.seconds)
            || running.recorders.recorded().bytes >= running.max_bytes
            || running.recorders.is_finished()
    });
}

fn named(state: &State, call: &Call) -> Option<(String, PathBuf, std::fs::Metadata)> {
    files(state).into_iter().find(|(name, _, _)| name == call.variable())
}

/// `GET /captures/{}`
pub(super) fn download(state: &State, call: &Call) -> Answer {
    let Some((name, path, metadata)) = named(state, call) else { return not_found("capture of this name") };
    let Some(turn) = state.downloads.take() else {
        return too_many_downloads();
    };
    state.note(call, "capture_downloaded", &name);
    match File::open(path) {
        Ok(file) => Answer::of(200, "application/octet-stream", Body::File(file, metadata.len(), turn)).saved_as(&name),
        Err(fault) => error(404, "not_found", &fault.to_string()),
    }
}

/// `DELETE /captures/{}`
pub(super) fn remove(state: &State, call: &Call) -> Answer {
    let Some((name, path, _)) = named(state, call) else { return not_found("capture of this name") };
    if name.ends_with(OPEN) {
        return error(409, "recording", "this capture is still being recorded; stop it first");
    }
    match std::fs::remove_file(path) {
        Ok(()) => {
            state.note(call, "capture_removed", &name);
            Answer::done()
        }
        Err(fault) => error(409, "disk", &fault.to_string()),
    }
}

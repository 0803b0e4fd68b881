//! The settings of a run while it runs: staged, applied, confirmed.
//!
//! New settings are staged first: checked, stored, and without effect. Applied, they are in force, but are taken back when
//! nobody confirms them in time: who has cut himself off from the box cannot confirm. Only confirmed settings are those of
//! the next start, so that any restart takes back what is merely applied; it finds the mark `applied` in the store, and
//! says so. Each confirmation makes a version.
//!
//! What a change reaches: services and addresses at once; other interfaces, another mode of addressing or another recording
//! need another plant. The page's own address follows the settings, too, where the machine is the box's own; what was said of
//! it at the console before there were any settings becomes part of the first ones.

mod difference;
mod refusal;
#[cfg(test)]
mod tests;
mod versions;

pub use difference::{Change, difference};
pub use refusal::Refusal;
pub use versions::Version;

use crate::accounts::audit::Audit;
use crate::clock::{self, Clock};
use crate::fault::Fault;
use crate::management::Manager;
use crate::nic::choice;
use crate::nic::interface::refuse_kernel_addresses;
use crate::nic::mirror::check_filter;
use crate::plant::Plant;
use crate::settings::document::Management;
use crate::settings::{Document, FieldFault, Format, Purpose, Settings};
use crate::store::{Changes, Store};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tapcopy_engine::Time;
use tapcopy_engine::config::Speed;

const STAGED: &str = "staged";
const APPLIED: &str = "applied";
const STOPPED: &str = "replay_stopped";
const MANAGEMENT: &str = "management";

/// Who wants a change, and why.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Author {
    /// User, or token.
    pub who: String,
    /// In his words.
    pub why: String,
    /// Seconds since the Unix epoch.
    pub at: f64,
}

/// A document that was staged.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Staged {
    #[serde(flatten)]
    author: Author,
    document: Value,
}

/// What an application reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Sessions that open from now on follow it.
    Now,
    /// Capture and replay begin anew.
    Restart,
}

/// What waits to be applied or confirmed.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Whose it is.
    pub author: Author,
    /// The document.
    pub document: Value,
    /// Against the settings before it.
    pub difference: Vec<Change>,
    /// What its application reaches, or reached.
    pub effect: Effect,
    /// When it is applied: how long until it is taken back.
    pub left: Option<Duration>,
}

struct Applied {
    staged: Staged,
    before: Option<Document>,
    effect: Effect,
    until: Time,
}

#[derive(Default)]
struct State {
    /// In force.
    current: Option<Document>,
    staged: Option<Staged>,
    applied: Option<Applied>,
}

/// The one place where settings are read and changed at run time.
pub struct Desk {
    /// Without one, settings are read-only.
    store: Option<Arc<Store>>,
    plant: Arc<Plant>,
    /// Who has the page's address, where the machine is the box's own.
    manager: OnceLock<Arc<Manager>>,
    clock: Clock,
    /// How long an application waits to be confirmed.
    pub confirm: Duration,
    /// Held by who changes anything, so that changes follow one another.
    changing: Mutex<()>,
    /// Held for moments only.
    state: Mutex<State>,
}

impl Desk {
    /// A desk with settings in force, if there are any.
    pub fn new(
        store: Option<Arc<Store>>,
        plant: Arc<Plant>,
        current: Option<Document>,
        clock: Clock,
        confirm: Duration,
    ) -> Self {
        let state = Mutex::new(State { current, ..State::default() });
        Self { store, plant, manager: OnceLock::new(), clock, confirm, changing: Mutex::new(()), state }
    }

    /// Lets the page's address follow the settings from now on.
    pub fn manage_by(&self, manager: Arc<Manager>) {
        let _ = self.manager.set(manager);
        self.manage(self.document().as_ref());
    }

    fn manage(&self, document: Option<&Document>) {
        let Some(manager) = self.manager.get() else { return };
        let beside = || self.stored::<Management>(MANAGEMENT);
        match document {
            Some(document) => manager.enter(document, document.management.as_ref()),
            None => manager.enter(&Document::default(), beside().as_ref()),
        }
    }

    /// What is said of the page's address.
    pub fn management(&self) -> Management {
        let said = self.document().map_or_else(|| self.stored(MANAGEMENT), |document| document.management);
        said.unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> Result<&Store, Refusal> {
        self.store.as_deref().ok_or(Refusal::ReadOnly)
    }

    /// Whether settings came from the command line.
    pub fn is_read_only(&self) -> bool {
        self.store.is_none()
    }

    /// The data folder, where settings are stored.
    pub fn folder(&self) -> Option<&Path> {
        self.store.as_deref().map(Store::folder)
    }

    /// A value beside the settings.
    pub fn stored<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.store.as_ref()?.get(key)
    }

    /// Stores values beside the settings.
    ///
    /// # Errors
    /// They are not stored.
    pub fn write(&self, changes: Changes) -> Result<(), Refusal> {
        Ok(self.store()?.write(changes)?)
    }

    /// Goes on where the last run ended: what was staged is, what was merely applied is taken back, and a kill switch that
    /// was used holds.
    pub fn recall(&self, audit: &Audit) {
        let Some(store) = &self.store else { return };
        if store.get::<bool>(STOPPED).unwrap_or_default() {
            log::warn!("replay was stopped by the kill switch before the restart, and stays so");
            self.plant.replay(false);
        }
        let staged = store.get::<Staged>(STAGED);
        if let Some(applied) = store.get::<Staged>(APPLIED) {
            log::warn!("settings that were applied and not confirmed are taken back by the restart");
            audit.note("restart", None, "settings_reverted", &applied.author.who);
            let mut changes = Changes::default();
            changes.remove(APPLIED);
            changes.remove(STAGED);
            if let Err(fault) = store.write(changes) {
                log::error!("{fault}");
            }
        } else {
            self.state().staged = staged;
        }
    }

    /// The settings in force, if there are any.
    pub fn document(&self) -> Option<Document> {
        self.state().current.clone()
    }

    /// What waits to be applied or confirmed.
    pub fn waiting(&self) -> Option<Waiting> {
        let state = self.state();
        if let Some(Applied { staged, before, effect, until }) = &state.applied {
            let difference = difference(&value_of(before.as_ref()), &staged.document);
            let left = Some(until.since(self.clock.now()));
            let (author, document) = (staged.author.clone(), staged.document.clone());
            return Some(Waiting { author, document, difference, effect: *effect, left });
        }
        let staged = state.staged.as_ref()?;
        let difference = difference(&value_of(state.current.as_ref()), &staged.document);
        let (document, faults) = Document::read(&staged.document.to_string(), Format::Json);
        let effect = if faults.is_empty() { self.effect(&document) } else { Effect::Restart };
        let (author, document) = (staged.author.clone(), staged.document.clone());
        Some(Waiting { author, document, difference, effect, left: None })
    }

    /// What a change is made from: another text whenever the settings in force, or those that are staged, are others.
    pub fn tag(&self) -> String {
        let state = self.state();
        let staged = state.staged.as_ref().map(|staged| &staged.document);
        let text = serde_json::to_vec(&(&state.current, staged)).expect("a document has only string keys");
        format!("\"{:08x}\"", crc32fast::hash(&text))
    }

    fn effect(&self, document: &Document) -> Effect {
        if self.plant.can_take(document) { Effect::Now } else { Effect::Restart }
    }

    /// All faults of a document, as far as they can be known before it is applied.
    pub fn check(&self, text: &str, format: Format) -> Vec<FieldFault> {
        self.parse_here(text, format).err().unwrap_or_default()
    }

    /// Settings that this machine has the interfaces for, as far as they are not in use already. Those that are only staged
    /// may name a card that is still to be put in.
    fn parse_here(&self, text: &str, format: Format) -> Result<Settings, Vec<FieldFault>> {
        let settings = parse(text, format)?;
        let mut faults = Vec::new();
        if !self.plant.can_take(&settings.document) {
            let of_nics = choice::faults(&settings.document.nics).into_iter();
            faults.extend(of_nics.map(|(field, fault)| FieldFault { field, message: fault.to_string() }));
        }
        faults.extend(self.manager.get().map(|manager| manager.faults(&settings.document)).unwrap_or_default());
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }

    /// Checks and stages settings; with the tag that they were made from, only while it is still that.
    ///
    /// # Errors
    /// They have faults, or may not be changed now.
    pub fn stage(
        &self,
        text: &str,
        format: Format,
        who: &str,
        why: &str,
        made_from: Option<&str>,
    ) -> Result<(), Refusal> {
        let store = self.store()?;
        let mut settings = parse(text, format).map_err(Refusal::Faults)?;
        let _changing = self.changing();
        if self.state().applied.is_some() {
            return Err(Refusal::Conflict("settings wait to be confirmed; confirm or revert them first"));
        }
        if made_from.is_some_and(|tag| tag != self.tag()) {
            return Err(Refusal::Changed);
        }
        if self.document().is_none() && settings.document.management.is_none() {
            // Who has just found the page shall find it there again.
            let unmoved = || self.manager.get()?.unmoved(&settings.document);
            settings.document.management = self.stored(MANAGEMENT).or_else(unmoved);
        }
        let author = Author { who: who.to_owned(), why: why.to_owned(), at: clock::wall() };
        let staged = Staged { author, document: value_of(Some(&settings.document)) };
        let mut changes = Changes::default();
        changes.put(STAGED, &staged);
        store.write(changes)?;
        self.state().staged = Some(staged);
        Ok(())
    }

    /// Applies what is staged.
    ///
    /// # Errors
    /// Nothing is, or it cannot be applied; the settings before it are in force then.
    pub fn apply(&self) -> Result<(), Refusal> {
        let store = self.store()?;
        let _changing = self.changing();
        let (staged, before) = {
            let state = self.state();
            if state.applied.is_some() {
                return Err(Refusal::Conflict("settings wait to be confirmed; confirm or revert them first"));
            }
            (state.staged.clone(), state.current.clone())
        };
        let staged = staged.ok_or(Refusal::Conflict("nothing is staged; send settings first"))?;
        // The machine may have changed since they were staged.
        let settings = self.parse_here(&staged.document.to_string(), Format::Json).map_err(Refusal::Faults)?;
        let effect = self.effect(&settings.document);
        let mut changes = Changes::default();
        changes.put(APPLIED, &staged);
        store.write(changes)?;
        if let Err(fault) = self.enter(&settings) {
            let mut changes = Changes::default();
            changes.remove(APPLIED);
            store.write(changes)?;
            self.manage(before.as_ref());
            return Err(Refusal::NotStarted(fault.to_string()));
        }
        let mut state = self.state();
        state.current = Some(settings.document);
        state.staged = None;
        state.applied = Some(Applied { staged, before, effect, until: self.clock.now() + self.confirm });
        Ok(())
    }

    fn enter(&self, settings: &Settings) -> Result<(), Fault> {
        let prepared = self.plant.prepare(settings)?;
        // Before anything is received on an interface that has carried the address.
        self.manage(Some(&settings.document));
        self.plant.enter(prepared, settings, Speed::Times(1.0))
    }

    /// Tries to put the present settings in force, where they could not be used before: an interface may have come up.
    pub fn retry(&self) {
        let _changing = self.changing();
        let Some(Ok(settings)) = self.document().map(|document| Settings::parse(document, Purpose::Run)) else {
            return;
        };
        let is_late = self.plant.fault().is_some();
        match self.enter(&settings) {
            Ok(()) if is_late => log::info!("the settings can be used now"),
            Ok(()) => {}
            Err(fault) => self.plant.fail(Some(fault.to_string())),
        }
    }

    /// Starts capture and replay anew, by the settings in force.
    ///
    /// # Errors
    /// They cannot be used; what runs goes on.
    pub fn restart(&self) -> Result<(), Refusal> {
        let _changing = self.changing();
        let document = self.document().ok_or(Refusal::Conflict("there are no settings yet; make some first"))?;
        let settings = Settings::parse(document, Purpose::Run).map_err(|faults| Refusal::Faults(faults.0))?;
        let started = Plant::prepare_anew(&settings)
            .and_then(|prepared| self.plant.enter(prepared, &settings, Speed::Times(1.0)));
        started.map_err(|fault| Refusal::NotStarted(fault.to_string()))
    }

    /// Keeps what was applied.
    ///
    /// # Errors
    /// Nothing was.
    pub fn confirm(&self, who: &str) -> Result<Version, Refusal> {
        let store = self.store()?;
        let _changing = self.changing();
        let (staged, document) = {
            let state = self.state();
            let applied = state.applied.as_ref().ok_or(Refusal::Conflict("nothing waits to be confirmed"))?;
            (applied.staged.clone(), state.current.clone().unwrap_or_default())
        };
        let author = Author { who: who.to_owned(), at: clock::wall(), ..staged.author };
        let version = self.keep(store, &document, author)?;
        self.state().applied = None;
        Ok(version)
    }

    /// Gives the page another address at once, in the settings or, before there are any, beside them. For who stands at the box,
    /// whatever else keeps the settings from being used: he needs no way back.
    ///
    /// # Errors
    /// The address cannot be used, or is not stored.
    pub fn set_management(&self, said: Management, who: &str) -> Result<(), Refusal> {
        let store = self.store()?;
        let _changing = self.changing();
        if self.state().applied.is_some() {
            return Err(Refusal::Conflict("settings wait to be confirmed; confirm or revert them first"));
        }
        let current = self.document();
        let document = Document { management: Some(said.clone()), ..current.clone().unwrap_or_default() };
        let faults = self.manager.get().map(|manager| manager.faults(&document)).unwrap_or_default();
        if !faults.is_empty() {
            return Err(Refusal::Faults(faults));
        }
        if current.is_none() {
            let mut changes = Changes::default();
            changes.put(MANAGEMENT, &said);
            store.write(changes)?;
            self.manage(None);
            return Ok(());
        }
        Settings::parse(document.clone(), Purpose::Run).map_err(|faults| Refusal::Faults(faults.0))?;
        let author = Author { who: who.to_owned(), why: "set at the console".to_owned(), at: clock::wall() };
        self.keep(store, &document, author)?;
        {
            let mut state = self.state();
            (state.current, state.staged) = (Some(document.clone()), None);
        }
        self.manage(Some(&document));
        Ok(())
    }

    /// Drops what is staged, or takes back what was applied and not confirmed.
    ///
    /// # Errors
    /// There is nothing, or the settings before it cannot be put in force again.
    pub fn revert(&self) -> Result<(), Refusal> {
        let store = self.store()?;
        let _changing = self.changing();
        self.take_back(store)
    }

    fn take_back(&self, store: &Store) -> Result<(), Refusal> {
        let (applied, had_staged) = {
            let mut state = self.state();
            (state.applied.take(), state.staged.take().is_some())
        };
        if applied.is_none() && !had_staged {
            return Err(Refusal::Conflict("nothing is staged or waits to be confirmed"));
        }
        let mut changes = Changes::default();
        changes.remove(STAGED);
        changes.remove(APPLIED);
        let stored = store.write(changes);
        if let Some(Applied { before, .. }) = applied {
            self.state().current.clone_from(&before);
            // First of all: nobody may be able to reach the box by the address that it has.
            self.manage(before.as_ref());
            let settings = before.map(|document| Settings::parse(document, Purpose::Run));
            let settings = settings.transpose().map_err(|faults| Refusal::Faults(faults.0))?;
            match settings.map(|settings| self.enter(&settings)) {
                None => self.plant.rest(),
                Some(Ok(())) => {}
                Some(Err(fault)) => {
                    // The main thread tries again.
                    self.plant.fail(Some(fault.to_string()));
                    return Err(Refusal::NotStarted(fault.to_string()));
                }
            }
        }
        Ok(stored?)
    }

    /// Takes back what nobody has confirmed in time; whether there was any.
    pub fn tick(&self) -> bool {
        let is_due = || self.state().applied.as_ref().is_some_and(|applied| applied.until <= self.clock.now());
        if !is_due() {
            return false;
        }
        let _changing = self.changing();
        // It may have been confirmed while this waited.
        let Some(store) = self.store.as_deref().filter(|_| is_due()) else { return false };
        log::warn!("nobody has confirmed the new settings; they are taken back");
        if let Err(fault) = self.take_back(store) {
            log::error!("the earlier settings are not in force again: {fault:?}");
        }
        true
    }

    /// Starts or stops the replay, also of later runs.
    ///
    /// # Errors
    /// It is done, but not stored.
    pub fn replay(&self, is_on: bool) -> Result<(), Refusal> {
        self.plant.replay(is_on);
        let Some(store) = &self.store else { return Ok(()) };
        let mut changes = Changes::default();
        if is_on {
            changes.remove(STOPPED)
        } else {
            changes.put(STOPPED, &true)
        }
        Ok(store.write(changes)?)
    }
}

fn value_of(document: Option<&Document>) -> Value {
    let document = document.map(|document| serde_json::to_value(document).expect("a document has only string keys"));
    document.unwrap_or(Value::Null)
}

/// Everything that can be known of settings before they are applied.
fn parse(text: &str, format: Format) -> Result<Settings, Vec<FieldFault>> {
    let settings = Settings::read(text, format, Purpose::Run).map_err(|faults| faults.0)?;
    let of = |field: &str, message: String| vec![FieldFault { field: field.to_owned(), message }];
    if let Some(filter) = &settings.filter {
        check_filter(filter).map_err(|fault| of("nics.filter", fault.to_string()))?;
    }
    refuse_kernel_addresses(&settings.addressing).map_err(|fault| of("addressing", fault.to_string()))?;
    Ok(settings)
}

//! The settings of a run while it runs: who may see and change them, and what a change reaches.

use crate::fault::Fault;
use crate::nic::interface::refuse_kernel_addresses;
use crate::nic::mirror::check_filter;
use crate::plant::{Plant, Prepared};
use crate::settings::{Document, FieldFault, Format, Purpose, Settings};
use crate::store::Store;
use std::sync::{Arc, Mutex, PoisonError};
use tapcopy_engine::config::Speed;

/// The one place where settings are read and changed at run time.
pub struct Desk {
    /// Without one, nobody may.
    token: Option<String>,
    /// Without one, settings are read-only.
    store: Option<Store>,
    /// Held throughout a change, so that two are applied in the order in which they are stored.
    current: Mutex<Document>,
    plant: Arc<Plant>,
}

/// Why settings are not changed.
#[derive(Debug)]
pub enum Refusal {
    /// They came from a file, for automation.
    ReadOnly,
    /// They have faults.
    Faults(Vec<FieldFault>),
    /// They cannot be stored.
    Store(String),
}

impl Desk {
    /// A desk for a plant, with the settings that it has or is to have.
    pub fn new(token: Option<String>, store: Option<Store>, document: Document, plant: Arc<Plant>) -> Self {
        Self { token, store, current: Mutex::new(document), plant }
    }

    /// Whether this is the claim token. The time it takes does not tell how much of it is right.
    pub fn admits(&self, token: &str) -> bool {
        let Some(own) = &self.token else { return false };
        let unequal = own.bytes().zip(token.bytes()).fold(0, |unequal, (a, b)| unequal | (a ^ b));
        own.len() == token.len() && unequal == 0
    }

    /// The settings in force; empty in a box that waits for its first ones.
    pub fn document(&self) -> Document {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks, stores and applies new settings.
    ///
    /// # Errors
    /// Nothing has changed.
    pub fn change(&self, text: &str, format: Format) -> Result<(), Refusal> {
        let store = self.store.as_ref().ok_or(Refusal::ReadOnly)?;
        let settings = parse(text, format).map_err(Refusal::Faults)?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let of_nics = |fault: Fault| Refusal::Faults(vec![in_nics(&fault)]);
        let prepared = self.plant.prepare(&settings).map_err(of_nics)?;
        store.put(&settings.document).map_err(|fault| Refusal::Store(fault.to_string()))?;
        current.clone_from(&settings.document);
        self.enter(prepared, &settings);
        Ok(())
    }

    /// Tries to put the present settings into force, where they could not be used before: an interface may have come up.
    pub fn retry(&self) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(settings) = Settings::parse(current.clone(), Purpose::Run) else { return };
        match self.plant.prepare(&settings) {
            Ok(prepared) => {
                let is_late = self.plant.fault().is_some();
                self.enter(prepared, &settings);
                if is_late && self.plant.fault().is_none() {
                    log::info!("the settings can be used now");
                }
            }
            Err(fault) => self.plant.fail(Some(fault.to_string())),
        }
    }

    fn enter(&self, prepared: Prepared, settings: &Settings) {
        if let Err(fault) = self.plant.enter(prepared, settings, Speed::Times(1.0)) {
            log::error!("{fault}");
            self.plant.fail(Some(fault.to_string()));
        }
    }
}

fn in_nics(fault: &Fault) -> FieldFault {
    FieldFault { field: "nics".to_owned(), message: fault.to_string() }
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

//! The settings of a run while it runs: who may see and change them, and what a change reaches.

use crate::nic::interface::{kernel_addresses, refuse_kernel_addresses};
use crate::nic::mirror::check_filter;
use crate::settings::document::Nics;
use crate::settings::{Document, FieldFault, Format, Purpose, Settings};
use crate::shard::{Handle, Order};
use crate::store::Store;
use std::sync::{Mutex, PoisonError};
use tapcopy_engine::config::{FarEnd, Speed};

/// The one place where settings are read and changed at run time.
pub struct Desk {
    /// Without one, nobody may.
    token: Option<String>,
    /// Without one, settings are read-only.
    store: Option<Store>,
    current: Mutex<Document>,
    shards: Vec<Handle>,
    far_end: FarEnd,
}

/// What a change has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Sessions that open from now on follow it.
    Now,
    /// It is stored, and needs a restart: it names other interfaces, changes whose addresses are used, or records otherwise.
    AtNextStart,
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
    /// A desk for the shards of a run.
    pub fn new(
        token: Option<String>,
        store: Option<Store>,
        settings: &Settings,
        shards: Vec<Handle>,
        far_end: FarEnd,
    ) -> Self {
        Self { token, store, current: Mutex::new(settings.document.clone()), shards, far_end }
    }

    /// Whether this is the claim token. The time it takes does not tell how much of it is right.
    pub fn admits(&self, token: &str) -> bool {
        let Some(own) = &self.token else { return false };
        let unequal = own.bytes().zip(token.bytes()).fold(0, |unequal, (a, b)| unequal | (a ^ b));
        own.len() == token.len() && unequal == 0
    }

    /// The settings in force or, after a change of interfaces, those of the next start.
    pub fn document(&self) -> Document {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks, stores and applies new settings.
    ///
    /// # Errors
    /// Nothing has changed.
    pub fn change(&self, text: &str, format: Format) -> Result<Applied, Refusal> {
        let store = self.store.as_ref().ok_or(Refusal::ReadOnly)?;
        let settings = parse(text, format).map_err(Refusal::Faults)?;
        // Held throughout, so that two changes are applied in the order in which they are stored.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        store.put(&settings.document).map_err(|fault| Refusal::Store(fault.to_string()))?;
        let nics = |document: &Document| Nics { filter: None, ..document.nics.clone() };
        let starting =
            |document: &Document| (nics(document), document.addressing.mode.clone(), document.record.clone());
        let is_same = |a: &Document, b: &Document| starting(a) == starting(b);
        let applied = if is_same(&current, &settings.document) { Applied::Now } else { Applied::AtNextStart };
        if applied == Applied::Now {
            self.apply(&settings);
        }
        *current = settings.document;
        Ok(applied)
    }

    fn apply(&self, settings: &Settings) {
        let kernel = kernel_addresses().unwrap_or_default();
        for shard in &self.shards {
            let config = Box::new(settings.config(self.far_end, &kernel, Speed::Times(1.0)));
            shard.order(Order::Configure { config, filter: settings.filter.clone() });
        }
        log::info!("new settings: {} services", settings.services.len());
    }
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

//! The console of the firmware, on the screen and on serial lines: what a person at the box needs who does not reach its page.
//!
//! Each terminal has a thread and a dialogue of its own. `screen` and `dialogue` are functions of what is known and of the keys;
//! only this file asks the box and orders it. A terminal is sent something when a key was pressed or something has changed. Every
//! order is in the audit log, as somebody's at the `console`. A box that is claimed shows no secret.

mod dialogue;
mod keys;
mod screen;

use crate::accounts::Accounts;
use crate::desk::Desk;
use crate::firmware::Firmware;
use crate::host;
use crate::nic::choice;
use crate::nic::interface;
use crate::web::Sign;
use dialogue::{Action, Dialogue};
use screen::{Facts, Nic};
use std::sync::Arc;
use std::time::Duration;
use tapcopy_machine::power::End;
use tapcopy_machine::terminal::{self, Terminal};

/// Who orders at the console, in the audit log.
const WHO: &str = "console";
/// How often it is looked whether something has changed.
const LOOK: Duration = Duration::from_secs(1);
/// Where readers look for a page by themselves.
const HTTPS: u16 = 443;

/// What the console tells of, and orders.
#[derive(Clone)]
pub struct Console {
    /// The machine.
    pub firmware: Arc<Firmware>,
    /// Its settings.
    pub desk: Arc<Desk>,
    /// Its accounts.
    pub accounts: Arc<Accounts>,
    /// What its page is known by.
    pub sign: Sign,
}

impl Console {
    /// Shows the console on every terminal from now on.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn start(self) -> std::io::Result<()> {
        for terminal in terminal::all() {
            let own = self.clone();
            let thread = std::thread::Builder::new().name("console".to_owned());
            thread.spawn(move || own.serve(terminal))?;
        }
        Ok(())
    }

    fn serve(&self, mut terminal: Terminal) {
        let (mut dialogue, mut facts) = (Dialogue::default(), self.facts());
        let mut shown = Vec::new();
        loop {
            let lines = screen::lines(&facts, &dialogue);
            if lines != shown {
                let sent = if terminal.is_screen() {
                    screen::sent_to_screen(&lines)
                } else {
                    screen::sent_to_line(&shown, &lines)
                };
                terminal.write(&sent);
                shown = lines;
            }
            let bytes = match terminal.read(LOOK) {
                Ok(bytes) => bytes,
                Err(fault) => return log::warn!("{}: there is no console: {fault}", terminal.name()),
            };
            for key in keys::keys(&bytes) {
                if let Some(action) = dialogue.press(key, &facts) {
                    dialogue.tell(self.perform(action));
                }
            }
            facts = self.facts();
        }
    }

    fn facts(&self) -> Facts {
        let present = self.firmware.manager.present();
        let port = self.sign.port();
        let page = present.fixed.as_ref().map(|fixed| match port {
            HTTPS => format!("https://{}", fixed.address),
            port => format!("https://{}:{port}", fixed.address),
        });
        let how = if present.is_fixed { "static" } else { "DHCP" };
        let address = present.fixed.map_or("waiting for an address".to_owned(), |fixed| fixed.to_string());
        Facts {
            name: self.sign.name(),
            page: page.unwrap_or_default(),
            address: format!("{how} on {}, {address}", present.nic.as_deref().unwrap_or("no interface")),
            fingerprint: self.sign.fingerprint().unwrap_or_default(),
            claim_token: self.accounts.open_claim().map(str::to_owned),
            nics: self.nics(present.nic),
        }
    }

    fn nics(&self, management: Option<String>) -> Vec<Nic> {
        let nics = choice::by_name(self.desk.document().unwrap_or_default().nics);
        let (mut mirror, mut target) = (nics.mirror, nics.target);
        if mirror.is_empty() {
            mirror.extend(self.firmware.nics().first().map(|nic| nic.name.clone()));
            target = target.or_else(|| self.firmware.nics().get(1).map(|nic| nic.name.clone()));
        }
        let third = management.filter(|name| target.as_ref() != Some(name));
        let roles = mirror.into_iter().map(|name| ("Mirror NIC", name));
        let roles = roles.chain(target.map(|name| ("Target NIC", name))).chain(third.map(|name| ("Page's NIC", name)));
        let all = interface::all().unwrap_or_default();
        let nic = |(role, name): (&'static str, String)| {
            let mac = all.get(&name).and_then(|found| found.mac).map(interface::mac_text);
            Nic { role, has_link: host::has_link(&name), mac: mac.unwrap_or_else(|| "not there".to_owned()), name }
        };
        roles.map(nic).collect()
    }

    /// Does it; what became of it, as a sentence.
    fn perform(&self, action: Action) -> String {
        let done = match action {
            Action::Address(management) => {
                let detail = management.to_string();
                let done = self.desk.set_management(management, WHO).map_err(|refusal| refusal.to_string());
                done.map(|()| ("management_changed", detail, "The address is set.".to_owned()))
            }
            Action::Password(password) => {
                let done = self.accounts.reset_password(&password).map_err(|refusal| refusal.to_string());
                done.map(|()| ("password_reset", "admin".to_owned(), "The password of admin is set.".to_owned()))
            }
            Action::Erase => {
                let done = self.firmware.ask_for_reset().map_err(|fault| format!("The disk refuses: {fault}."));
                done.map(|()| ("factory_reset", String::new(), self.ending(End::Restart)))
            }
            Action::Restart => Ok(("rebooted", String::new(), self.ending(End::Restart))),
            Action::PowerOff => Ok(("switched_off", String::new(), self.ending(End::Off))),
        };
        match done {
            Ok((what, detail, sentence)) => {
                self.accounts.audit.note(WHO, None, what, &detail);
                sentence
            }
            Err(sentence) => sentence,
        }
    }

    fn ending(&self, how: End) -> String {
        self.firmware.end(how);
        "The box ends.".to_owned()
    }
}

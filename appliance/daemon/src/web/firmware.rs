//! What only a box of its own takes: an update of its system, its end, and the state of a new box.

use super::State;
use super::call::{Answer, Call, error};
use crate::firmware::Firmware;
use crate::store;
use serde_json::json;
use std::io::{Read, copy, sink};
use tapcopy_machine::power::End;

fn firmware(state: &State) -> Result<&Firmware, Answer> {
    state.firmware.as_deref().ok_or_else(|| {
        let message = "this is an ordinary host, whose program is updated as it was installed, and which is not the box's \
                       to end; only a box of its own has slots";
        error(409, "not_firmware", message)
    })
}

/// `POST /system/update`
pub(super) fn update(state: &State, call: &Call, body: &mut dyn Read) -> Answer {
    let answer = firmware(state).map_or_else(|answer| answer, |firmware| install(state, firmware, call, &mut *body));
    // Who is still sending would not hear an answer.
    let _ = copy(body, &mut sink());
    answer
}

fn install(state: &State, firmware: &Firmware, call: &Call, body: &mut dyn Read) -> Answer {
    let Some(installed) = firmware.install(body, store::SCHEMA) else {
        return error(409, "busy", "another update is being installed; wait for its end");
    };
    match installed {
        Ok(release) => {
            state.note(call, "update_installed", &release.version);
            let message = format!("version {} is installed; a reboot starts it", release.version);
            Answer::json(202, &json!({ "message": message, "version": release.version }))
        }
        Err(fault) => {
            state.note(call, "update_refused", fault.code());
            error(422, fault.code(), &fault.to_string())
        }
    }
}

/// `POST /system/reboot`
pub(super) fn reboot(state: &State, call: &Call) -> Answer {
    end(state, call, End::Restart, "rebooted", "the machine ends and starts again")
}

/// `POST /system/power-off`
pub(super) fn power_off(state: &State, call: &Call) -> Answer {
    end(state, call, End::Off, "switched_off", "the machine ends and is switched off")
}

/// `POST /system/factory-reset`
pub(super) fn factory_reset(state: &State, call: &Call) -> Answer {
    match firmware(state).map(Firmware::ask_for_reset) {
        Ok(Ok(())) => end(state, call, End::Restart, "factory_reset", "the machine starts again, and is as a new one"),
        Ok(Err(fault)) => error(500, "disk", &format!("the disk cannot take the order: {fault}; try again")),
        Err(answer) => answer,
    }
}

fn end(state: &State, call: &Call, how: End, noted: &str, message: &str) -> Answer {
    match firmware(state) {
        Ok(firmware) => {
            state.note(call, noted, "");
            firmware.end(how);
            Answer::json(202, &json!({ "message": message }))
        }
        Err(answer) => answer,
    }
}

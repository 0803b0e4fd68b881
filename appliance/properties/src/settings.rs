//! Settings, as TOML and as JSON, and the rules of the command line.

use tapcopy_daemon::map::{Map, services};
use tapcopy_daemon::settings::document::{Addressing, Document, Nics};
use tapcopy_daemon::settings::{FieldFault, Format, Purpose, Settings};

const PURPOSES: [Purpose; 3] = [Purpose::Run, Purpose::Replay, Purpose::Rehearse];

/// Beginnings of what is said of a text in which no field can be found.
const WHOLE: [&str; 3] = ["not JSON", "not TOML", "the document is no object"];

/// Takes from the first byte what the text behind it is.
pub fn check(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let purpose = PURPOSES[usize::from(kind / 3) % 3];
    match kind % 3 {
        0 => document(&text, Format::Toml, purpose),
        1 => document(&text, Format::Json, purpose),
        _ => rules(&text, purpose),
    }
}

fn document(text: &str, format: Format, purpose: Purpose) {
    match Settings::read(text, format, purpose) {
        Ok(settings) => same_again(&settings, purpose),
        Err(faults) => faults.0.iter().for_each(|fault| tells(fault, faults.0.len())),
    }
}

/// What is accepted is accepted again as it is written out.
fn same_again(settings: &Settings, purpose: Purpose) {
    let written = settings.document.to_json();
    let again = Settings::read(&written, Format::Json, purpose).unwrap_or_else(|faults| panic!("{faults}: {written}"));
    assert_eq!(format!("{settings:?}"), format!("{again:?}"));
}

/// A fault names its field and says something; without a field, it is the only one.
fn tells(fault: &FieldFault, faults: usize) {
    assert!(fault.message.contains("; "), "no mend: {fault}");
    assert!(!fault.to_string().contains('\n'), "more than a line: {fault}");
    let is_whole = faults == 1 && WHOLE.iter().any(|start| fault.message.starts_with(start));
    assert!(!fault.field.is_empty() || is_whole, "no field: {fault}");
}

/// One rule a line.
fn rules(text: &str, purpose: Purpose) {
    let mut maps: Vec<Map> = Vec::new();
    for line in text.lines() {
        match line.parse() {
            Ok(map) => maps.push(map),
            Err(fault) => assert!(fault.to_string().contains("; "), "no mend: {fault}"),
        }
    }
    let nics = Nics { mirror: vec!["m0".to_owned()], target: Some("t0".to_owned()), ..Nics::default() };
    let addressing = Addressing { pool: vec!["10.0.0.8-10.0.0.9/24".to_owned()], ..Addressing::default() };
    let document = Document { nics, addressing, service: services(&maps), ..Document::default() };
    match Settings::parse(document, purpose) {
        Ok(settings) => same_again(&settings, purpose),
        Err(faults) => faults.0.iter().for_each(|fault| tells(fault, faults.0.len())),
    }
}

//! Messages as collectors take them (RFC 5424).

use crate::calendar::rfc3339;
use crate::logbook::Line;
use log::Level;

/// System daemons (section 6.2.1).
const FACILITY: u8 = 3;
const HOST_BYTES: usize = 255;
/// Before a text that has more than ASCII (section 6.4).
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A line of the log as a message of this host and process.
pub(super) fn message(line: &Line, host: &str, process: u32) -> String {
    let priority = FACILITY * 8 + severity(line.level);
    let mark = if line.text.is_ascii() { "" } else { BYTE_ORDER_MARK };
    let text = line.text.replace(char::is_control, " ");
    format!("<{priority}>1 {} {} tapcopy {process} - - {mark}{text}", rfc3339(line.at), host_name(host))
}

fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// A name without anything but visible ASCII.
fn host_name(host: &str) -> String {
    let name: String =
        host.chars().map(|letter| if letter.is_ascii_graphic() { letter } else { '_' }).take(HOST_BYTES).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// A message as it goes over TCP, after its length (RFC 6587, section 3.4.1).
pub(super) fn counted(message: &str) -> String {
    format!("{} {message}", message.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn of(level: Level, text: &str, host: &str) -> String {
        message(&Line { at: Duration::from_millis(1_500), level, text: text.to_owned() }, host, 7)
    }

    #[test]
    fn messages() {
        assert_eq!(of(Level::Info, "up", "box"), "<30>1 1970-01-01T00:00:01.500000Z box tapcopy 7 - - up");
        assert_eq!(of(Level::Error, "a\nb", ""), "<27>1 1970-01-01T00:00:01.500000Z - tapcopy 7 - - a b");
        let chinese = of(Level::Warn, "盒子", "my box é");
        assert_eq!(chinese, "<28>1 1970-01-01T00:00:01.500000Z my_box__ tapcopy 7 - - \u{feff}盒子");
        assert!(of(Level::Debug, "", "box").starts_with("<31>1 "));
    }

    #[test]
    fn lengths_are_of_bytes() {
        assert_eq!(counted("up"), "2 up");
        assert_eq!(counted("é"), "2 é");
    }
}

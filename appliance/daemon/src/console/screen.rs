//! What the console shows, as lines of text: at most 24 of 79 characters, so that they fit any screen and any serial line.

use super::dialogue::Dialogue;

/// Characters of a line; in the eightieth, some terminals begin the next line by themselves.
const WIDTH: usize = 79;
/// Where values begin.
const INDENT: usize = 16;
/// Digits of the fingerprint in a line.
const DIGITS: usize = 32;

/// What the console tells of the box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The box's own name.
    pub name: String,
    /// Where the page is, as a person types it; empty while there is no address.
    pub page: String,
    /// What has the address, and how: `DHCP on enp0s4, 10.0.2.15/24`.
    pub address: String,
    /// Of the certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// Until somebody has claimed the box; a secret.
    pub claim_token: Option<String>,
    /// The interfaces with a role.
    pub nics: Vec<Nic>,
}

/// An interface with a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Nic {
    /// As people say it.
    pub role: &'static str,
    /// Its name.
    pub name: String,
    /// Its Ethernet address.
    pub mac: String,
    /// Whether there is somebody at the other end of the cable.
    pub has_link: bool,
}

/// All lines; the last is where keys are echoed.
pub(super) fn lines(facts: &Facts, dialogue: &Dialogue) -> Vec<String> {
    let mut lines = vec![format!("TapCopy {}   {}", env!("CARGO_PKG_VERSION"), facts.name), String::new()];
    let mut row = |label: &str, value: &str| lines.push(format!("  {label:<width$}{value}", width = INDENT - 2));
    row("Page", if facts.page.is_empty() { "not yet: there is no address" } else { &facts.page });
    row("Address", &facts.address);
    let (first, second) = facts.fingerprint.split_at_checked(DIGITS).unwrap_or((&facts.fingerprint, ""));
    row("Certificate", &format!("SHA-256 {first}"));
    row("", &format!("        {second}"));
    if let Some(token) = &facts.claim_token {
        row("Claim token", token);
        row("", "for the page, to set the first password");
    }
    for Nic { role, name, mac, has_link } in &facts.nics {
        row(role, &format!("{name:<16}{mac:<20}{}", if *has_link { "link" } else { "no link" }));
    }
    lines.push(String::new());
    lines.push("  a address   p password   f factory reset   r restart   o power off".to_owned());
    lines.push(format!("  {}", dialogue.notice()));
    lines.push(format!("> {}", dialogue.prompt()));
    lines.into_iter().map(|line| shown(&line)).collect()
}

/// As much of a line as there is room for; of a prompt its end, where the cursor is.
fn shown(line: &str) -> String {
    let count = line.chars().count();
    let skipped = if line.starts_with('>') { count.saturating_sub(WIDTH) } else { 0 };
    line.chars().skip(skipped).take(WIDTH).collect()
}

/// What a serial line is sent, on which nothing can be changed that was sent before: what was typed or taken back, else
/// everything again.
pub(super) fn sent_to_line(before: &[String], after: &[String]) -> String {
    if let (Some((old, above_old)), Some((new, above_new))) = (before.split_last(), after.split_last())
        && above_old == above_new
    {
        if let Some(typed) = new.strip_prefix(old.as_str()) {
            return typed.to_owned();
        }
        if let Some(gone) = old.strip_prefix(new.as_str()) {
            return "\u{8} \u{8}".repeat(gone.chars().count());
        }
    }
    format!("\n\n{}", after.join("\n"))
}

/// What a screen is sent.
pub(super) fn sent_to_screen(after: &[String]) -> String {
    format!("\u{1b}[H\u{1b}[J{}", after.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::Key;
    use super::*;

    fn facts() -> Facts {
        let nic = |role, name: &str, has_link| Nic {
            role,
            name: name.to_owned(),
            mac: "52:54:00:00:00:01".to_owned(),
            has_link,
        };
        Facts {
            name: "box".to_owned(),
            page: "https://10.0.2.15".to_owned(),
            address: "DHCP on enp0s4, 10.0.2.15/24".to_owned(),
            fingerprint: "0123456789abcdef".repeat(4),
            claim_token: Some("5ec2e7".to_owned()),
            nics: vec![nic("Mirror NIC", "enp0s3", true), nic("Target NIC", "enp0s4", false)],
        }
    }

    #[test]
    fn it_fits_the_smallest_screen() {
        let nics =
            ["Mirror NIC"; 3].map(|role| Nic { role, name: "n".repeat(15), mac: "m".repeat(17), has_link: false });
        let facts = Facts { name: "n".repeat(64), nics: nics.to_vec(), ..facts() };
        let mut dialogue = Dialogue::default();
        for key in "pp".chars().chain(std::iter::repeat_n('x', 200)).map(Key::Char) {
            dialogue.press(key, &Facts { claim_token: None, ..facts.clone() });
        }
        let lines = lines(&facts, &dialogue);
        assert!(lines.len() <= 24 && lines.iter().all(|line| line.chars().count() < 80), "{lines:#?}");
    }

    #[test]
    fn what_it_tells() {
        let told = lines(&facts(), &Dialogue::default()).join("\n");
        let expected = "  Page          https://10.0.2.15\n  Address       DHCP on enp0s4, 10.0.2.15/24\n  \
             Certificate   SHA-256 0123456789abcdef0123456789abcdef\n                        \
             0123456789abcdef0123456789abcdef\n  Claim token   5ec2e7\n                \
             for the page, to set the first password\n  \
             Mirror NIC    enp0s3          52:54:00:00:00:01   link\n  \
             Target NIC    enp0s4          52:54:00:00:00:01   no link\n";
        assert!(told.contains(expected), "{told}");
        let claimed = Facts { claim_token: None, ..facts() };
        assert!(!lines(&claimed, &Dialogue::default()).join("\n").contains("Claim token"));
    }

    #[test]
    fn a_serial_line_is_sent_what_is_new() {
        let lines = |last: &str| vec!["a".to_owned(), last.to_owned()];
        assert_eq!(sent_to_line(&[], &lines("> ")), "\n\na\n> ");
        assert_eq!(sent_to_line(&lines("> "), &lines("> x")), "x");
        assert_eq!(sent_to_line(&lines("> xy"), &lines("> ")), "\u{8} \u{8}\u{8} \u{8}");
        assert_eq!(sent_to_line(&lines("> "), &lines("> ")), "");
        assert_eq!(sent_to_line(&lines("> x"), &lines("> y")), "\n\na\n> y");
        assert_eq!(sent_to_line(&["b".to_owned(), "> ".to_owned()], &lines("> ")), "\n\na\n> ");
    }
}

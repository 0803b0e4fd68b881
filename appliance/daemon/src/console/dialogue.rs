//! The dialogue at the console: which key means what, and what is asked next. Nothing here touches the box.
//!
//! A key of the menu begins a row of questions, each of which is answered by a line; Escape leaves it. What is destroyed has to
//! be written out. Who stands at the box may set the password without the old one: he could as well take the disk.

use super::screen::Facts;
use crate::settings::Faults;
use crate::settings::document::Management;
use crate::settings::management::fixed;

/// Characters of an answer.
const ANSWER_CHARS: usize = 128;
/// What has to be written before all data is removed.
const ERASE: &str = "erase";
const YES: &str = "yes";
const STARS: &str = "*";

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A letter, a digit, a sign.
    Char(char),
    /// The end of an answer.
    Enter,
    /// Takes the last character back.
    Back,
    /// Leaves the question.
    Escape,
}

/// What the box is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Its page has this address.
    Address(Management),
    /// The admin has this password.
    Password(String),
    /// It restarts without its data.
    Erase,
    /// It restarts.
    Restart,
    /// It is switched off.
    PowerOff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Interface,
    Mode,
    Address,
    Gateway,
    Password,
    PasswordAgain,
    Erase,
    Restart,
    PowerOff,
}

/// Where the dialogue is.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    /// None: a key of the menu is waited for.
    question: Option<Question>,
    /// What was typed of the answer.
    typed: String,
    /// What was answered so far.
    management: Management,
    password: String,
    notice: String,
}

impl Question {
    fn text(self) -> &'static str {
        match self {
            Self::Interface => "Interface by name, MAC or PCI address (Enter: the target NIC): ",
            Self::Mode => "dhcp or static (Enter: dhcp): ",
            Self::Address => "Address and prefix, as 192.0.2.10/24: ",
            Self::Gateway => "Gateway (Enter: none): ",
            Self::Password => "New password of admin: ",
            Self::PasswordAgain => "The same again: ",
            Self::Erase => "All data and settings are removed. Write `erase` to do it: ",
            Self::Restart => "Restart? Write `yes`: ",
            Self::PowerOff => "Power off? Write `yes`: ",
        }
    }

    fn is_secret(self) -> bool {
        matches!(self, Self::Password | Self::PasswordAgain)
    }
}

impl Dialogue {
    /// What stands above the prompt: what became of the last order.
    pub(super) fn notice(&self) -> &str {
        &self.notice
    }

    /// The present question, and what was typed of its answer.
    pub(super) fn prompt(&self) -> String {
        match self.question {
            None => String::new(),
            Some(question) if question.is_secret() => {
                format!("{}{}", question.text(), STARS.repeat(self.typed.chars().count()))
            }
            Some(question) => format!("{}{}", question.text(), self.typed),
        }
    }

    /// Tells what became of an order.
    pub(super) fn tell(&mut self, notice: String) {
        self.notice = notice;
    }

    /// Takes a key; what the box is to do by it.
    pub(super) fn press(&mut self, key: Key, facts: &Facts) -> Option<Action> {
        let Some(question) = self.question else {
            if let Key::Char(key) = key {
                self.choose(key.to_ascii_lowercase(), facts);
            }
            return None;
        };
        match key {
            Key::Char(key) if self.typed.chars().count() < ANSWER_CHARS => self.typed.push(key),
            Key::Char(_) => {}
            Key::Back => drop(self.typed.pop()),
            Key::Escape => self.leave("Nothing was changed."),
            Key::Enter => {
                let answer = std::mem::take(&mut self.typed);
                return self.answer(question, answer);
            }
        }
        None
    }

    fn choose(&mut self, key: char, facts: &Facts) {
        let question = match key {
            'a' => Question::Interface,
            'p' if facts.claim_token.is_some() => {
                return self.tell("There is no password yet: set it on the page, with the claim token.".to_owned());
            }
            'p' => Question::Password,
            'f' => Question::Erase,
            'r' => Question::Restart,
            'o' => Question::PowerOff,
            _ => return,
        };
        self.management = Management::default();
        self.ask(question, "Escape leaves it.");
    }

    fn ask(&mut self, question: Question, notice: &str) {
        self.question = Some(question);
        self.tell(notice.to_owned());
    }

    fn leave(&mut self, notice: &str) {
        self.question = None;
        self.typed.clear();
        self.password.clear();
        self.tell(notice.to_owned());
    }

    fn act(&mut self, action: Action) -> Option<Action> {
        self.leave("It is being done.");
        Some(action)
    }

    fn answer(&mut self, question: Question, answer: String) -> Option<Action> {
        let said = answer.trim();
        let given = || (!said.is_empty()).then(|| said.to_owned());
        match question {
            Question::Interface => {
                self.management.nic = given();
                self.ask(Question::Mode, "");
            }
            Question::Mode => return self.answer_mode(said),
            Question::Address => self.answer_address(given()),
            Question::Gateway => return self.answer_gateway(given()),
            Question::Password => {
                self.password = answer;
                self.ask(Question::PasswordAgain, "");
            }
            Question::PasswordAgain if answer == self.password => return self.act(Action::Password(answer)),
            Question::PasswordAgain => self.ask(Question::Password, "The two were not the same."),
            Question::Erase if said == ERASE => return self.act(Action::Erase),
            Question::Restart if said == YES => return self.act(Action::Restart),
            Question::PowerOff if said == YES => return self.act(Action::PowerOff),
            Question::Erase | Question::Restart | Question::PowerOff => self.leave("Nothing was changed."),
        }
        None
    }

    fn answer_mode(&mut self, said: &str) -> Option<Action> {
        match said {
            "" | "dhcp" => return self.act(Action::Address(self.management.clone())),
            "static" => {
                said.clone_into(&mut self.management.mode);
                self.ask(Question::Address, "");
            }
            _ => self.ask(Question::Mode, "It is one of these two."),
        }
        None
    }

    fn answer_address(&mut self, given: Option<String>) {
        self.management.address = given;
        match fault_of(&self.management) {
            Some(fault) => self.ask(Question::Address, &fault),
            None => self.ask(Question::Gateway, ""),
        }
    }

    fn answer_gateway(&mut self, given: Option<String>) -> Option<Action> {
        self.management.gateway = given;
        match fault_of(&self.management) {
            None => self.act(Action::Address(self.management.clone())),
            Some(fault) => {
                self.management.gateway = None;
                self.ask(Question::Gateway, &fault);
                None
            }
        }
    }
}

fn fault_of(management: &Management) -> Option<String> {
    let mut faults = Faults::default();
    fixed(management, &mut faults);
    faults.first().map(|fault| fault.message.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed() -> Facts {
        Facts::default()
    }

    /// Types at a dialogue: `\n` is Enter, `\u{1b}` Escape, `\u{8}` Back; what was ordered on the way.
    fn typed(dialogue: &mut Dialogue, keys: &str, facts: &Facts) -> Vec<Action> {
        let key = |key| match key {
            '\n' => Key::Enter,
            '\u{1b}' => Key::Escape,
            '\u{8}' => Key::Back,
            key => Key::Char(key),
        };
        keys.chars().filter_map(|one| dialogue.press(key(one), facts)).collect()
    }

    #[track_caller]
    fn check(keys: &str, ordered: &[Action], notice: &str) {
        let mut dialogue = Dialogue::default();
        assert_eq!(typed(&mut dialogue, keys, &claimed()), ordered, "{keys:?}");
        assert!(dialogue.notice().contains(notice), "{keys:?}: {:?}", dialogue.notice());
    }

    fn fixed_address(nic: Option<&str>, gateway: Option<&str>) -> Action {
        Action::Address(Management {
            nic: nic.map(str::to_owned),
            mode: "static".to_owned(),
            address: Some("192.0.2.10/24".to_owned()),
            gateway: gateway.map(str::to_owned),
        })
    }

    #[test]
    fn an_address_is_set_up() {
        check("a\n\n", &[Action::Address(Management::default())], "being done");
        check("a\nstatic\n192.0.2.10/24\n\n", &[fixed_address(None, None)], "being done");
        let mended = "Aenp0s6\nboth\nstatic\n192.0.2.0/24\n192.0.2.10/24\n10.0.0.1\n192.0.2.1\n";
        check(mended, &[fixed_address(Some("enp0s6"), Some("192.0.2.1"))], "being done");
        check("a\nboth\n", &[], "one of these two");
        check("a\nstatic\n\n", &[], "is missing");
        check("a\nstatic\n192.0.2.10/24\n10.0.0.1\n", &[], "`10.0.0.1` is no host");
        check("a\nstatic\n192.0.2.1\u{1b}", &[], "Nothing was changed");
    }

    #[test]
    fn a_password_is_typed_twice_and_never_shown() {
        check("pnew password\nnew password\n", &[Action::Password("new password".to_owned())], "being done");
        check("pnew password\nanother one\n", &[], "not the same");
        check("pone\nother\nnew password\nnew password\n", &[Action::Password("new password".to_owned())], "");
        let mut dialogue = Dialogue::default();
        typed(&mut dialogue, "psecret", &claimed());
        assert_eq!(dialogue.prompt(), "New password of admin: ******");
        typed(&mut dialogue, "\u{8}", &claimed());
        assert_eq!(dialogue.prompt(), "New password of admin: *****");
        assert!(!format!("{}{}", dialogue.notice(), dialogue.prompt()).contains("secre"));
    }

    #[test]
    fn a_box_that_nobody_has_claimed_has_no_password() {
        let facts = Facts { claim_token: Some("5ec2e7".to_owned()), ..Facts::default() };
        let mut dialogue = Dialogue::default();
        assert_eq!(typed(&mut dialogue, "p", &facts), []);
        assert_eq!(dialogue.prompt(), "");
        assert!(dialogue.notice().contains("claim token"));
    }

    #[test]
    fn what_cannot_be_undone_is_written_out() {
        check("ferase\n", &[Action::Erase], "being done");
        check("f\n", &[], "Nothing was changed");
        check("fyes\n", &[], "Nothing was changed");
        check("ryes\n", &[Action::Restart], "");
        check("oyes\n", &[Action::PowerOff], "");
        check("r\no\n", &[], "Nothing was changed");
        check("xyz\n\u{1b}\u{8}", &[], "");
    }
}

//! Reading scenario files.

use super::expect::Expectation;
use super::word::{Word, number, plain, split};
use crate::packet::flag;
use core::time::Duration;
use tapcopy_engine::config::{Pacing, Protocol};
use tapcopy_engine::selection::Selection;
use tapcopy_engine::selection::filter::{Action, Glob, Rule};
use tapcopy_engine::selection::rewrite::{PathPrefix, Rewrite};
use tapcopy_engine::{Limits, Time};

/// A fault in a file: its line and a sentence.
pub type Fault = (usize, String);

/// A file that was read.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// What happens, in the order of the file.
    pub events: Vec<(Time, Event)>,
    /// What the target does.
    pub acts: Vec<Act>,
    /// What the target says when a connection opens.
    pub greeting: Vec<u8>,
    /// What it says over and over on every connection, and how often; it does not close then.
    pub pushes: Option<(Duration, Vec<u8>)>,
    /// It never reads.
    pub is_deaf: bool,
    /// No packet reaches it.
    pub is_absent: bool,
    /// How many connections the target refuses.
    pub refusals: usize,
    /// The settings.
    pub settings: Settings,
    /// What must come out, with the line.
    pub expectations: Vec<(usize, Expectation)>,
}

/// One event of a scenario.
#[derive(Clone, Debug)]
pub enum Event {
    /// A frame passes the switch.
    Frame(Box<Frame>),
    /// An order to the engine.
    Order(Order),
}

/// An order to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The kill switch.
    Stop,
    /// And back.
    Start,
    /// The end of the mirror.
    Finish,
}

/// One frame.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Which client, from 1.
    pub client: u8,
    /// Which origin, from 1.
    pub origin: u8,
    /// Whether the client sent it.
    pub from_client: bool,
    /// TCP flag bits.
    pub flags: u8,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Payload.
    pub payload: Vec<u8>,
    /// Window in the header.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// TCP options.
    pub options: Vec<u8>,
    /// 802.1Q tags, the outermost first.
    pub vlans: Vec<u16>,
    /// Time to live.
    pub hops: u8,
    /// Whether the checksum is wrong.
    pub bad_checksum: bool,
    /// The most bytes shown.
    pub snap: Option<usize>,
    /// Whether the mirror shows it twice.
    pub twice: bool,
    /// Whether the mirror does not show it.
    pub lost: bool,
}

/// One act of the target's script.
#[derive(Clone, Debug)]
pub enum Act {
    /// Says this, when bytes have come.
    Reply(Vec<u8>),
    /// Waits so long.
    Wait(Duration),
    /// Closes.
    Close,
    /// Resets.
    Reset,
}

/// Settings of a scenario.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The engine's bounds.
    pub limits: Limits,
    /// How the engine cuts the bytes.
    pub protocol: Protocol,
    /// When the engine releases requests.
    pub pacing: Pacing,
    /// How often the engine replays each session.
    pub copies: u16,
    /// Which requests it replays, and in which words.
    pub selection: Selection,
    /// How many of 10,000 clients it replays.
    pub sample: u16,
    /// Its cap on sessions.
    pub sessions_per_second: Option<u32>,
    /// IPv6 instead of IPv4.
    pub ipv6: bool,
    /// Whether the engine is told to finish; otherwise its own time limits end the run.
    pub finish: bool,
    /// How long after the last event the engine is told to finish.
    pub settle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            protocol: Protocol::Auto,
            pacing: Pacing::Turns,
            copies: 1,
            selection: Selection::default(),
            sample: 10_000,
            sessions_per_second: None,
            ipv6: false,
            finish: true,
            settle: Duration::from_secs(5),
        }
    }
}

/// Reads a file.
///
/// # Errors
/// The first fault.
pub fn parse(text: &str) -> Result<Scenario, Fault> {
    let mut scenario = Scenario::default();
    for (number, line) in (1..).zip(text.lines()) {
        let words = split(line).map_err(|fault| (number, fault))?;
        parse_line(&mut scenario, number, &words).map_err(|fault| (number, fault))?;
    }
    scenario.events.sort_by_key(|(at, _)| *at);
    Ok(scenario)
}

fn parse_line(scenario: &mut Scenario, number: usize, words: &[Word]) -> Result<(), String> {
    let Some(Word::Plain(first)) = words.first() else { return Ok(()) };
    match first.as_str() {
        "set" => parse_setting(&mut scenario.settings, &plain(&words[1..])?),
        "target" => parse_target(scenario, &words[1..]),
        "expect" => {
            let expectation = parse_expectation(&words[1..])?;
            scenario.expectations.push((number, expectation));
            Ok(())
        }
        time => {
            let seconds: f64 = time.parse().map_err(|_| format!("{time} is neither a time nor a known word"))?;
            let at = Time::from_micros((seconds * 1e6).round() as u64);
            scenario.events.push((at, parse_event(&words[1..])?));
            Ok(())
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match text.strip_suffix("ms") {
        Some(millis) => number(millis).map(Duration::from_millis),
        None => number(text.strip_suffix('s').ok_or(format!("{text} is neither s nor ms"))?).map(Duration::from_secs),
    }
}

fn parse_setting(settings: &mut Settings, words: &[&str]) -> Result<(), String> {
    match words {
        ["protocol", name] => {
            settings.protocol = Protocol::named(name).ok_or(format!("protocol {name} is not known"))?
        }
        ["pacing", "turns"] => settings.pacing = Pacing::Turns,
        ["pacing", "immediate"] => settings.pacing = Pacing::Immediate,
        ["copies", count] => settings.copies = number(count)?,
        ["sample", share] => settings.sample = number(share)?,
        ["max_sessions_per_second", rate] => settings.sessions_per_second = Some(number(rate)?),
        ["deny", rule @ ..] => settings.selection.rules.push(parse_rule(Action::Deny, rule)?),
        ["allow", rule @ ..] => settings.selection.rules.push(parse_rule(Action::Allow, rule)?),
        ["rewrite", change @ ..] => parse_rewrite(settings.selection.rewrite.get_or_insert_default(), change)?,
        ["ipv6"] => settings.ipv6 = true,
        ["finish", "off"] => settings.finish = false,
        ["settle", time] => settings.settle = duration(time)?,
        ["limit", name, value] => return parse_limit(&mut settings.limits, name, value),
        _ => return Err(format!("set {} is not known", words.join(" "))),
    }
    Ok(())
}

fn parse_rule(action: Action, words: &[&str]) -> Result<Rule, String> {
    let mut rule = Rule { action, methods: Vec::new(), path: None, header: None };
    for word in words {
        match word.split_once('=') {
            Some(("method", method)) => rule.methods.push(method.to_owned()),
            Some(("path", path)) => rule.path = Some(Glob::new(path)),
            Some((name, value)) => rule.header = Some((name.to_owned(), Glob::new(value))),
            None => return Err(format!("{word} is neither method=, path= nor FIELD=")),
        }
    }
    Ok(rule)
}

fn parse_rewrite(rewrite: &mut Rewrite, words: &[&str]) -> Result<(), String> {
    match words {
        ["host", host] => rewrite.host = Some((*host).to_owned()),
        ["path", from, to] => {
            rewrite.path_prefix = Some(PathPrefix { from: (*from).to_owned(), to: (*to).to_owned() });
        }
        ["set", name, value] => rewrite.set.push(((*name).to_owned(), (*value).to_owned())),
        ["remove", name] => rewrite.remove.push((*name).to_owned()),
        _ => return Err(format!("rewrite {} is not known", words.join(" "))),
    }
    Ok(())
}

fn parse_limit(limits: &mut Limits, name: &str, value: &str) -> Result<(), String> {
    let size = match name {
        "sessions" => &mut limits.sessions,
        "stream_ahead_bytes" => &mut limits.stream_ahead_bytes,
        "ahead_bytes" => &mut limits.ahead_bytes,
        "outbox_bytes" => &mut limits.outbox_bytes,
        "outboxes_bytes" => &mut limits.outboxes_bytes,
        "request_held_bytes" => &mut limits.request_held_bytes,
        "exchanges" => &mut limits.exchanges,
        "head_bytes" => &mut limits.head_bytes,
        "body_bytes" => &mut limits.body_bytes,
        "bodies_bytes" => &mut limits.bodies_bytes,
        _ => return parse_time_limit(limits, name, value),
    };
    *size = number(value)?;
    Ok(())
}

fn parse_time_limit(limits: &mut Limits, name: &str, value: &str) -> Result<(), String> {
    let time = match name {
        "gap_grace" => &mut limits.gap_grace,
        "hole_timeout" => &mut limits.hole_timeout,
        "connect_timeout" => &mut limits.connect_timeout,
        "answer_timeout" => &mut limits.answer_timeout,
        "quiet" => &mut limits.quiet,
        "lag" => &mut limits.lag,
        "streaming" => &mut limits.streaming,
        "request_held" => &mut limits.request_held,
        "idle_timeout" => &mut limits.idle_timeout,
        "closing_timeout" => &mut limits.closing_timeout,
        "port_rest" => &mut limits.port_rest,
        _ => return Err(format!("{name} is not a limit")),
    };
    *time = duration(value)?;
    Ok(())
}

fn parse_target(scenario: &mut Scenario, words: &[Word]) -> Result<(), String> {
    use Word::{Plain, Quoted};
    match words {
        [Plain(word), Quoted(bytes)] if word == "replies" => scenario.acts.push(Act::Reply(bytes.clone())),
        [Plain(word), Quoted(bytes)] if word == "greets" => scenario.greeting = bytes.clone(),
        [Plain(word), Plain(time), Quoted(bytes)] if word == "pushes" => {
            scenario.pushes = Some((duration(time)?, bytes.clone()));
        }
        [Plain(word)] if word == "deaf" => scenario.is_deaf = true,
        [Plain(word)] if word == "absent" => scenario.is_absent = true,
        [Plain(word), Plain(time)] if word == "waits" => scenario.acts.push(Act::Wait(duration(time)?)),
        [Plain(word), Plain(count)] if word == "refuses" => scenario.refusals = number(count)?,
        [Plain(word)] if word == "closes" => scenario.acts.push(Act::Close),
        [Plain(word)] if word == "resets" => scenario.acts.push(Act::Reset),
        [Plain(word)] if word == "silent" => scenario.acts.push(Act::Wait(Duration::from_secs(1_000_000))),
        _ => {
            return Err(
                "the target replies, waits, closes, resets, greets, pushes, refuses, is silent, deaf or absent"
                    .to_owned(),
            );
        }
    }
    Ok(())
}

fn parse_expectation(words: &[Word]) -> Result<Expectation, String> {
    use Word::{Plain, Quoted};
    match words {
        [Plain(target), Plain(less), Quoted(bytes)] if target == "target" && less == "<" => {
            Ok(Expectation::TargetRead(1, bytes.clone()))
        }
        [Plain(target), Plain(connection), Plain(less), Quoted(bytes)] if target == "target" && less == "<" => {
            Ok(Expectation::TargetRead(number(connection)?, bytes.clone()))
        }
        [Plain(record), Plain(index), rest @ ..] if record == "record" => {
            Ok(Expectation::Record(number(index)?, plain(rest)?.join(" ")))
        }
        [Plain(path), Plain(equals), Plain(value)] if equals == "=" => {
            Ok(Expectation::Count(path.clone(), number(value)?))
        }
        _ => Err("expected: target [N] < \"...\", record N OUTCOME, or PATH = NUMBER".to_owned()),
    }
}

fn parse_event(words: &[Word]) -> Result<Event, String> {
    if let [Word::Plain(command), Word::Plain(order)] = words
        && command == "command"
    {
        return Ok(Event::Order(match order.as_str() {
            "stop" => Order::Stop,
            "start" => Order::Start,
            "finish" => Order::Finish,
            _ => return Err(format!("command {order} is not known")),
        }));
    }
    let [Word::Plain(from), Word::Plain(arrow), Word::Plain(to), Word::Plain(flags), Word::Plain(range), rest @ ..] =
        words
    else {
        return Err("expected: TIME FROM > TO FLAGS SEQ:SEQ [ack N] [\"...\"] [options]".to_owned());
    };
    let (from, to) = (parse_end(from)?, parse_end(to)?);
    if arrow != ">" || from.0 == to.0 {
        return Err("a frame goes from a client to an origin or back: C > O, O > C".to_owned());
    }
    let (client, origin) = if from.0 { (from.1, to.1) } else { (to.1, from.1) };
    let mut frame = Frame { client, origin, from_client: from.0, window: 0xFFFF, hops: 64, ..Frame::default() };
    frame.flags = parse_flags(flags)?;
    parse_options(&mut frame, rest)?;
    let (seq, end) = range.split_once(':').ok_or(format!("{range} is not SEQ:SEQ"))?;
    let (seq, end): (u32, u32) = (number(seq)?, number(end)?);
    if end.wrapping_sub(seq) as usize != frame.payload.len() {
        return Err(format!("{range} is not the payload's length, {}", frame.payload.len()));
    }
    frame.seq = seq;
    Ok(Event::Frame(Box::new(frame)))
}

fn parse_end(text: &str) -> Result<(bool, u8), String> {
    let fault = || format!("{text} is neither C, C2 to C9, O nor O2");
    let (letter, digits) = text.split_at_checked(1).ok_or_else(fault)?;
    let number = if digits.is_empty() { 1 } else { digits.parse().map_err(|_| fault())? };
    match letter {
        "C" if (1..10).contains(&number) => Ok((true, number)),
        "O" if (1..3).contains(&number) => Ok((false, number)),
        _ => Err(fault()),
    }
}

fn parse_flags(text: &str) -> Result<u8, String> {
    text.chars().try_fold(0, |flags, letter| {
        Ok(flags
            | match letter {
                'S' => flag::SYN,
                'F' => flag::FIN,
                'R' => flag::RST,
                'P' => flag::PSH,
                'A' => flag::ACK,
                'U' => flag::URG,
                '.' => 0,
                _ => return Err(format!("{letter} is not a flag")),
            })
    })
}

fn parse_options(frame: &mut Frame, mut words: &[Word]) -> Result<(), String> {
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        let name = match word {
            Word::Quoted(bytes) => {
                frame.payload.clone_from(bytes);
                continue;
            }
            Word::Plain(name) => name.as_str(),
        };
        let mut argument = || match words.split_first() {
            Some((Word::Plain(text), rest)) => {
                words = rest;
                Ok(text.as_str())
            }
            _ => Err(format!("{name} needs a value")),
        };
        match name {
            "ack" => (frame.ack, frame.flags) = (number(argument()?)?, frame.flags | flag::ACK),
            "win" => frame.window = number(argument()?)?,
            "urg" => (frame.urgent, frame.flags) = (number(argument()?)?, frame.flags | flag::URG),
            "vlan" => frame.vlans.push(number(argument()?)?),
            "ttl" => frame.hops = number(argument()?)?,
            "snap" => frame.snap = Some(number(argument()?)?),
            "badsum" => frame.bad_checksum = true,
            "twice" => frame.twice = true,
            "lost" => frame.lost = true,
            "sackok" => frame.options.extend([4, 2]),
            "mss" => push_option(frame, 2, &number::<u16>(argument()?)?.to_be_bytes()),
            "wscale" => push_option(frame, 3, &[number(argument()?)?]),
            "tfo" => push_option(frame, 34, &vec![0xAB; number(argument()?)?]),
            "ts" => {
                let (value, echo): (u32, u32) = (number(argument()?)?, number(argument()?)?);
                push_option(frame, 8, &[value.to_be_bytes(), echo.to_be_bytes()].concat());
            }
            "sack" => {
                let (from, to) = argument()?.split_once('-').ok_or("sack needs FROM-TO")?;
                let (from, to): (u32, u32) = (number(from)?, number(to)?);
                push_option(frame, 5, &[from.to_be_bytes(), to.to_be_bytes()].concat());
            }
            _ => return Err(format!("{name} is not an option of a frame")),
        }
    }
    Ok(())
}

fn push_option(frame: &mut Frame, kind: u8, bytes: &[u8]) {
    frame.options.extend([kind, bytes.len() as u8 + 2]);
    frame.options.extend_from_slice(bytes);
}

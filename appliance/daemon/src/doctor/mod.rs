//! `tapcopy doctor`: the engine's examination, fed from mirror NICs for some seconds, or from captures.
//!
//! A NIC is read without a filter, beside whatever else reads it. An examination has nothing of a run: no settings, no
//! shard, no target.

mod text;

use crate::capture::Captures;
use crate::cli::DoctorArgs;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::nic::interface::{self, Interface};
use crate::nic::mirror::MirrorNic;
use crate::nic::{NicFault, choice};
use crate::settings::document::Nics;
use crate::signals::Signals;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;
use tapcopy_engine::Time;
use tapcopy_engine::doctor::{Examination, Intake, Nic, Report};
use tapcopy_engine::share::Share;

/// How long a NIC is looked at unless it is said.
const SECONDS: u64 = 10;
/// Frames taken from one NIC before the next has its turn.
const BATCH: usize = 512;
/// How long a wait may last: an interface that was lost is not waited for with poll(2).
const WAIT_MS: u16 = 100;
/// A last look at the rings: a block is handed over when it is 1 ms old.
const LAST_READ: Duration = Duration::from_millis(20);
/// Frames of a capture between two looks for a signal.
const SIGNAL_EVERY: u64 = 4_096;

/// Looks at the NICs or captures and tells what it saw.
///
/// # Errors
/// It cannot look.
pub fn doctor(args: &DoctorArgs) -> Result<(), Fault> {
    let signals = Signals::collect().map_err(|source| Fault::system("collect signals", source))?;
    let (report, warnings) = if args.nic.is_empty() {
        of_captures(&args.captures, args.seconds.map(Duration::from_secs), &signals)?
    } else {
        let seconds = Duration::from_secs(args.seconds.unwrap_or(SECONDS));
        (of_nics(&args.nic, seconds, Some(&signals)).map_err(Fault::Look)?, Vec::new())
    };
    let told = if args.json {
        serde_json::to_string_pretty(&report).expect("a report has only string keys") + "\n"
    } else {
        text::told(&report)
    };
    // A reader that has gone is no fault.
    let _ = std::io::stdout().write_all(told.as_bytes());
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    Ok(())
}

/// Looks at mirror NICs for so long, or until a signal.
///
/// # Errors
/// An interface cannot be used.
pub fn of_nics(names: &[String], seconds: Duration, signals: Option<&Signals>) -> Result<Report, NicFault> {
    let buffer_bytes = Nics::default().buffer_mib << 20;
    let open = |name: &String| MirrorNic::open(name, buffer_bytes, &[], None, Share::default());
    let names: Vec<String> = names.iter().map(|wanted| choice::name_of(wanted)).collect();
    let mut nics = names.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let interfaces = interface::all()?;
    let own = interfaces.values().filter(|interface| !interface.is_loopback).filter_map(|interface| interface.mac);
    let mut examination = Examination::new(own.collect(), getrandom::u64().unwrap_or_default());
    let sent_before = names.iter().map(|name| interface::frames_sent(name)).collect::<Vec<_>>();
    let clock = Clock::start();
    look(&mut nics, &mut examination, clock, seconds, signals);
    let passed = clock.uptime().as_secs_f64();
    let losses = nics.iter_mut().map(MirrorNic::losses).collect::<Vec<_>>();
    let nic = |(name, before): (&String, u64)| told_nic(interfaces.get(name), name, before);
    let intake = Intake {
        nics: names.iter().zip(sent_before).map(nic).collect(),
        dropped_kernel: losses.iter().map(|losses| losses.kernel).sum(),
        dropped_nic: losses.iter().map(|losses| losses.nic).sum(),
        seconds: Some(passed),
    };
    Ok(examination.report(intake))
}

fn look(
    nics: &mut [MirrorNic],
    examination: &mut Examination,
    clock: Clock,
    seconds: Duration,
    signals: Option<&Signals>,
) {
    let mut end = Time::ZERO + seconds;
    let mut last_read = false;
    loop {
        let now = clock.now();
        let frames: usize = nics.iter_mut().map(|nic| nic.read(now, BATCH, |frame| examination.take(&frame))).sum();
        if !last_read && (now >= end || signals.is_some_and(Signals::has_come)) {
            (end, last_read) = (now + LAST_READ, true);
        }
        if last_read && now >= end {
            return;
        }
        if frames == 0 {
            wait(nics, signals, end.since(now));
        }
    }
}

fn wait(nics: &[MirrorNic], signals: Option<&Signals>, at_most: Duration) {
    let descriptors = nics.iter().filter_map(MirrorNic::descriptor).chain(signals.map(AsFd::as_fd));
    let mut descriptors: Vec<_> = descriptors.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let millis = u16::try_from(at_most.as_millis()).unwrap_or(WAIT_MS).clamp(1, WAIT_MS);
    // An interrupted wait is a short one.
    let _ = poll(&mut descriptors, PollTimeout::from(millis));
}

fn told_nic(interface: Option<&Interface>, name: &str, sent_before: u64) -> Nic {
    Nic {
        name: name.to_owned(),
        frames_sent: interface::frames_sent(name).saturating_sub(sent_before),
        addresses: interface.map(|interface| interface.addresses.clone()).unwrap_or_default(),
        bits_per_second: interface::bits_per_second(name),
    }
}

/// Reads captures to their end, as far as so long after their first frame, or until a signal.
fn of_captures(
    paths: &[PathBuf],
    seconds: Option<Duration>,
    signals: &Signals,
) -> Result<(Report, Vec<String>), Fault> {
    let mut captures = Captures::open(paths)?;
    let begin = captures.frame().map_or(Time::ZERO, |frame| frame.captured_at);
    let end = seconds.map_or(Time::MAX, |seconds| begin + seconds);
    // The seed is constant: the same captures give the same report.
    let mut examination = Examination::new(Vec::new(), 0);
    let mut frames = 0_u64;
    while let Some(frame) = captures.frame().filter(|frame| frame.captured_at <= end) {
        examination.take(&frame.stamped(frame.captured_at));
        captures.advance();
        frames += 1;
        if frames.is_multiple_of(SIGNAL_EVERY) && signals.has_come() {
            break;
        }
    }
    Ok((examination.report(Intake::default()), captures.take_warnings()))
}

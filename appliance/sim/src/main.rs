//! The command `tapcopy-sim`: one seed, many seeds, scenario files, or a seed's mirror traffic as a capture file.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use tapcopy_sim::world::Options;
use tapcopy_sim::{batch, pcap, scenario};

const USAGE: &str = "tapcopy-sim: the deterministic world in which the engine is proved

  tapcopy-sim --seed N [--trace] [--capture FILE]   one seed; FILE gets the mirror's frames (pcap)
  tapcopy-sim --seeds N [--first N]                 N seeds, from 0 or from --first
  tapcopy-sim --scenario FILE [--trace]             one scenario file
  --faultless                                       draw no faults
  --production-only                                 leave the engine out: only the world itself is checked";

#[derive(Default)]
struct Arguments {
    seed: Option<u64>,
    seeds: Option<u64>,
    first: u64,
    capture: Option<PathBuf>,
    scenario: Option<PathBuf>,
    options: Options,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(arguments) => perform(arguments),
        Err(fault) => {
            eprintln!("{fault}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is not a number"));
        match word.as_str() {
            "--seed" => arguments.seed = Some(number(value()?)?),
            "--seeds" => arguments.seeds = Some(number(value()?)?),
            "--first" => arguments.first = number(value()?)?,
            "--capture" => arguments.capture = Some(value()?.into()),
            "--scenario" => arguments.scenario = Some(value()?.into()),
            "--trace" => arguments.options.trace = true,
            "--faultless" => arguments.options.faultless = true,
            "--production-only" => arguments.options.production_only = true,
            "--help" | "-h" => return Err("help:".to_owned()),
            _ => return Err(format!("{word} is not known")),
        }
    }
    Ok(arguments)
}

fn perform(arguments: Arguments) -> ExitCode {
    match (&arguments.scenario, arguments.seed, arguments.seeds) {
        (Some(path), ..) => one_scenario(path, arguments.options.trace),
        (None, Some(seed), _) => one_seed(seed, &arguments),
        (None, None, Some(seeds)) => many_seeds(arguments.first, seeds, arguments.options),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn one_scenario(path: &std::path::Path, trace: bool) -> ExitCode {
    match scenario::check(path, scenario::Mode { update: std::env::var_os("UPDATE").is_some(), trace }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(faults) => {
            println!("{faults}");
            ExitCode::FAILURE
        }
    }
}

fn one_seed(seed: u64, arguments: &Arguments) -> ExitCode {
    let options = Options { capture: arguments.capture.is_some(), ..arguments.options };
    let (report, captured) = batch::run(seed, options);
    if let Some(path) = &arguments.capture {
        let written = File::create(path).and_then(|file| pcap::write(BufWriter::new(file), &captured));
        if let Err(fault) = written {
            eprintln!("{}: {fault}", path.display());
            return ExitCode::FAILURE;
        }
    }
    println!("{report}");
    println!("  hash {:016x}", report.hash);
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many_seeds(first: u64, seeds: u64, options: Options) -> ExitCode {
    let failed = AtomicUsize::new(0);
    let reports = batch::run_many(first, seeds, options, |report| {
        if !report.violations.is_empty() {
            failed.fetch_add(1, Ordering::Relaxed);
            println!("{report}");
        }
    });
    let requests: usize = reports.iter().map(|report| report.requests).sum();
    let arrived: usize = reports.iter().map(|report| report.arrived).sum();
    let failed = failed.into_inner();
    println!("{seeds} seeds, {failed} failed; {requests} requests planned, {arrived} arrived at targets");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

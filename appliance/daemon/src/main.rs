//! TapCopy, the appliance: the command line's entry.

use clap::Parser;
use clap::error::ErrorKind;
use env_logger::Target;
use std::io::Write;
use std::process::ExitCode;
use tapcopy_daemon::archive::offline;
use tapcopy_daemon::cli::{CheckArgs, Cli, Command, GenerateArgs, Origin, RehearseArgs};
use tapcopy_daemon::fault::Fault;
use tapcopy_daemon::logbook::Kept;
use tapcopy_daemon::nic::mirror::check_filter;
use tapcopy_daemon::progress::LogWriter;
use tapcopy_daemon::settings::Purpose;
use tapcopy_daemon::summary::Destination;
use tapcopy_daemon::{doctor, firmware, generate, rehearse, run};
use tapcopy_machine::init::is_first;
use tapcopy_machine::memory::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    if is_first() {
        start_log(None);
        firmware::run();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(fault) => return usage(&fault),
    };
    start_log(cli.log_level);
    let result = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Replay(args) => run::replay(args),
        Command::Rehearse(args) => rehearse(args),
        Command::Doctor(args) => doctor::doctor(args),
        Command::Records(args) => offline::records(args),
        Command::Check(args) => check(args),
        Command::Generate(args) => generate(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // One line for each fault of a settings file, one line for any other.
            fault.to_string().lines().for_each(|line| eprintln!("tapcopy: {line}"));
            fault.exit_code()
        }
    }
}

/// Help and version as they are; a fault as one sentence, as all others.
fn usage(fault: &clap::Error) -> ExitCode {
    if !fault.use_stderr() || fault.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = fault.print();
        return ExitCode::from(if fault.use_stderr() { 2 } else { 0 });
    }
    let text = fault.to_string();
    // The first paragraph says what is wrong; the others repeat the usage.
    let what: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let what = what.join(" ");
    eprintln!("tapcopy: {}; see `tapcopy --help`", what.strip_prefix("error: ").unwrap_or(&what));
    ExitCode::from(2)
}

/// Levels come from the flag, else from RUST_LOG, else it is `info`.
fn start_log(level: Option<log::LevelFilter>) {
    let mut log = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"));
    if let Some(level) = level {
        log.filter_level(level);
    }
    // sled tells its inner life at these levels.
    log.filter_module("sled", log::LevelFilter::Error).format_target(false).target(Target::Pipe(Box::new(LogWriter)));
    let log = log.build();
    log::set_max_level(log.filter());
    // Nobody else sets one.
    let _ = log::set_boxed_logger(Box::new(Kept(log)));
}

fn rehearse(args: &RehearseArgs) -> Result<(), Fault> {
    let summary = args.summary.summary.as_ref();
    summary.map_or(Ok(()), Destination::check)?;
    let settings = run::load(&args.short.origin(args.settings.as_ref(), &args.mirror_nic), Purpose::Rehearse)?;
    rehearse::rehearse(&args.captures, &settings, summary)
}

fn check(args: &CheckArgs) -> Result<(), Fault> {
    let settings = run::load(&Origin::File(args.settings.clone()), Purpose::Run)?;
    settings.filter.as_deref().map_or(Ok(()), check_filter)?;
    let _ = writeln!(std::io::stdout(), "{}: no fault found", args.settings.display());
    Ok(())
}

fn generate(args: &GenerateArgs) -> Result<(), Fault> {
    let text = generate::generate(args.what).map_err(|fault| Fault::system("write", fault))?;
    let _ = std::io::stdout().write_all(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn buffers_of_connections_are_of_the_size_that_the_allocator_knows() {
        assert_eq!(tapcopy_engine::Limits::default().socket_bytes, tapcopy_machine::memory::BUFFER_BYTES);
    }
}

//! The command line.

use crate::map::{self, Map};
use crate::settings::document::{Addressing, Nics};
use crate::settings::{Document, Purpose};
use crate::summary::Destination;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tapcopy_engine::config::Speed;
use tapcopy_records::Outcome;

/// Replays production's sessions, seen on a switch's mirror port or a TAP, against a server under test, and holds its
/// answers against production's.
///
/// Nothing is installed on production hosts, and nothing is ever sent to them.
#[derive(Debug, Parser)]
#[command(name = "tapcopy", version, propagate_version = true)]
pub struct Cli {
    /// How much is logged to standard error: error, warn, info, debug or trace (also RUST_LOG)
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<log::LevelFilter>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Replay what a mirror NIC receives, until it is told to end
    Run(RunArgs),
    /// Replay captures against a real target, in place of a mirror NIC
    Replay(ReplayArgs),
    /// Show what of a capture would be replayed, what would not, and why; needs no NIC, no root and no target
    Rehearse(RehearseArgs),
    /// Look at a mirror, or captures of it, and say what is wrong with it and how to mend it
    Doctor(DoctorArgs),
    /// Write what a data folder has recorded of the exchanges, the oldest first; also while the box runs
    Records(RecordsArgs),
    /// Check a settings file and tell all its faults
    Check(CheckArgs),
    /// Write the shell completions or the man page to standard output
    #[command(hide = true)]
    Generate(GenerateArgs),
}

/// `tapcopy run`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Live traffic comes at the pace of production: it cannot be sped up or slowed down. To do that, record it ([record] in \
the settings, or tcpdump -w) and play the capture with `tapcopy replay --speed`.\n\n\
SIGTERM and SIGINT end a run within 5 seconds: capture stops, requests in flight get at most 3 seconds, the ledger is \
told. A second signal ends it at once.")]
pub struct RunArgs {
    /// Folder of the stored settings and the claim token [default: /var/lib/tapcopy]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Settings file, used in place of the stored settings, which stay as they are
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mirror_nic", "flags"])]
    pub settings: Option<PathBuf>,
    /// Address and port of the page: plain HTTP on a loopback address, HTTPS on any other
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Port of plain HTTP from which readers are sent on to an HTTPS page; 0 is none [default: 80 where the page is on 443]
    #[arg(long, value_name = "PORT")]
    pub redirect_port: Option<u16>,
    /// How long applied settings wait to be confirmed before they are taken back
    #[arg(long, value_name = "N", default_value_t = 90, hide = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub confirm_seconds: u16,
    /// Interface that the mirror port feeds; receive only (repeatable)
    #[arg(long, value_name = "IF")]
    pub mirror_nic: Vec<String>,
    /// Short flags.
    #[command(flatten)]
    pub short: ShortFlags,
    /// Summary.
    #[command(flatten)]
    pub summary: SummaryArg,
}

/// `tapcopy replay`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Captures may be larger than the memory and may be many: they are read as they are played, and a ring's files are opened \
when their time comes. Reading waits where the target is so slow that requests would be lost.\n\n\
Ctrl-C ends it as SIGTERM does: requests in flight get at most 3 seconds, the ledger is told.")]
pub struct ReplayArgs {
    /// Captures (pcap or pcapng); several are merged by time; `-` is standard input, as of `zstd -dc FILE |`
    #[arg(required = true, value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// Settings file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mirror_nic", "flags"])]
    pub settings: Option<PathBuf>,
    /// Pace: 1 is production's own, 2 is twice as fast, 0.5 half; `max` is as fast as the target answers
    #[arg(long, default_value = "1", value_name = "1|N|max", value_parser = parse_speed)]
    pub speed: Speed,
    /// Play the captures so many times, each time with new sessions from the next free addresses and ports
    #[arg(long = "loop", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Taken, so that the flags of `run` can be used again, but not opened
    #[arg(long, value_name = "IF", hide = true)]
    pub mirror_nic: Vec<String>,
    /// Short flags.
    #[command(flatten)]
    pub short: ShortFlags,
    /// Summary.
    #[command(flatten)]
    pub summary: SummaryArg,
}

/// `tapcopy rehearse`.
#[derive(Args, Debug)]
pub struct RehearseArgs {
    /// Captures (pcap or pcapng); several are merged by time; `-` is standard input
    #[arg(required = true, value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// Settings file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mirror_nic", "flags"])]
    pub settings: Option<PathBuf>,
    /// Taken, so that the flags of `run` can be used again, but not opened
    #[arg(long, value_name = "IF", hide = true)]
    pub mirror_nic: Vec<String>,
    /// Short flags.
    #[command(flatten)]
    pub short: ShortFlags,
    /// Summary.
    #[command(flatten)]
    pub summary: SummaryArg,
}

/// `tapcopy doctor`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
It needs no settings and disturbs nothing. Ctrl-C ends the look early, with the report of what was seen so far. The exit status is \
0 when it could look, whatever it saw.")]
#[group(skip)]
#[command(group = ArgGroup::new("mirror").required(true).args(["captures", "nic"]))]
pub struct DoctorArgs {
    /// Captures (pcap or pcapng); several are merged by time
    #[arg(value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// Interface that the mirror port feeds; receive only (repeatable: the two outputs of a TAP)
    #[arg(long, value_name = "IF")]
    pub nic: Vec<String>,
    /// How long to look [default: 10, or a capture to its end]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,
    /// Write the report as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `tapcopy records`.
#[derive(Args, Debug)]
pub struct RecordsArgs {
    /// Data folder of the box [default: /var/lib/tapcopy]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Only exchanges with this outcome
    #[arg(long, value_name = "OUTCOME", value_parser = parse_outcome)]
    pub verdict: Option<Outcome>,
    /// Only exchanges of this service
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Write one JSON object a line, with all that is known
    #[arg(long)]
    pub json_lines: bool,
    /// With what was said, where it was kept; secrets in it are masked
    #[arg(long, requires = "json_lines")]
    pub contents: bool,
}

/// `tapcopy check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Settings file
    #[arg(long, value_name = "FILE")]
    pub settings: PathBuf,
}

/// `tapcopy generate`.
#[derive(Args, Debug)]
pub struct GenerateArgs {
    /// What to write: man, bash, zsh, fish, elvish or powershell
    #[arg(value_parser = parse_generated)]
    pub what: Generated,
}

/// What can be made of the command line's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generated {
    /// The man page.
    Man,
    /// The completions of a shell.
    Shell(Shell),
}

/// One service without a settings file.
#[derive(Args, Debug)]
#[group(id = "flags", multiple = true)]
pub struct ShortFlags {
    /// Interface towards the servers under test
    #[arg(long, value_name = "IF")]
    pub target_nic: Option<String>,
    /// Free addresses of the target's subnet that sessions come from, as in 10.0.0.100-10.0.0.200/24 (repeatable)
    #[arg(long, value_name = "FIRST-LAST/PREFIX")]
    pub pool: Vec<String>,
    /// Router, only where a target is not in the pool's subnet
    #[arg(long, value_name = "IP")]
    pub gateway: Option<IpAddr>,
    /// What is replayed and where to: [ORIGIN-IP:]ORIGIN-PORT-TARGET-IP:TARGET-PORT, IPv6 in brackets (repeatable; maps
    /// with the same target are one service)
    #[arg(short = 'x', value_name = "MAP", value_delimiter = ',')]
    pub maps: Vec<Map>,
    /// A pcap filter that mirrored frames must pass, besides the one that the services give
    #[arg(short = 'F', value_name = "FILTER")]
    pub filter: Option<String>,
}

/// Where the ledger goes.
#[derive(Args, Debug)]
pub struct SummaryArg {
    /// Write the ledger as JSON at the end; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub summary: Option<Destination>,
}

/// Where settings come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// The short flags.
    Flags(Box<Document>),
    /// Neither was given.
    None,
}

impl ShortFlags {
    /// Where the settings come from, with the mirror NICs, which not every command has.
    pub fn origin(&self, file: Option<&PathBuf>, mirror: &[String]) -> Origin {
        if let Some(file) = file {
            return Origin::File(file.clone());
        }
        let is_empty = mirror.is_empty()
            && self.target_nic.is_none()
            && self.pool.is_empty()
            && self.gateway.is_none()
            && self.maps.is_empty()
            && self.filter.is_none();
        if is_empty { Origin::None } else { Origin::Flags(Box::new(self.document(mirror))) }
    }

    fn document(&self, mirror: &[String]) -> Document {
        let (target, filter) = (self.target_nic.clone(), self.filter.clone());
        Document {
            nics: Nics { mirror: mirror.to_vec(), target, filter, ..Nics::default() },
            addressing: Addressing {
                pool: self.pool.clone(),
                gateway: self.gateway.map(|gateway| gateway.to_string()),
                ..Addressing::default()
            },
            service: map::services(&self.maps),
            ..Document::default()
        }
    }
}

impl Purpose {
    /// What is to be written when no settings are given.
    pub fn mend(self) -> &'static str {
        match self {
            Self::Run | Self::Replay => "no settings are given; use --settings FILE, or --target-nic, --pool and -x",
            Self::Rehearse => "no settings are given; use --settings FILE, or -x MAP",
        }
    }
}

fn parse_speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let times = text.parse::<f64>().ok().filter(|times| (0.001..=1_000_000.0).contains(times));
    times.map(Speed::Times).ok_or_else(|| "write a number above 0, or `max`".to_owned())
}

fn parse_outcome(text: &str) -> Result<Outcome, String> {
    let words = Outcome::ALL.map(Outcome::word).join(", ");
    Outcome::of(text).ok_or_else(|| format!("write one of {words}"))
}

fn parse_generated(text: &str) -> Result<Generated, String> {
    if text == "man" { Ok(Generated::Man) } else { Shell::from_str(text, true).map(Generated::Shell) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn speeds() {
        assert_eq!(parse_speed("1"), Ok(Speed::Times(1.0)));
        assert_eq!(parse_speed("0.5"), Ok(Speed::Times(0.5)));
        assert_eq!(parse_speed("max"), Ok(Speed::Max));
        for bad in ["0", "-1", "nan", "inf", "fast", ""] {
            assert!(parse_speed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn run_knows_where_its_settings_come_from() {
        let origin = |words: &[&str]| match Cli::try_parse_from(words).unwrap().command {
            Command::Run(args) => args.short.origin(args.settings.as_ref(), &args.mirror_nic),
            _ => unreachable!(),
        };
        assert!(matches!(origin(&["tapcopy", "run"]), Origin::None));
        assert!(matches!(origin(&["tapcopy", "run", "--settings", "x"]), Origin::File(_)));
        assert!(matches!(origin(&["tapcopy", "run", "--mirror-nic", "m"]), Origin::Flags(_)));
        assert!(Cli::try_parse_from(["tapcopy", "run", "--settings", "x", "-x", "80-10.0.0.1:80"]).is_err());
        assert!(Cli::try_parse_from(["tapcopy", "run", "--settings", "x", "--mirror-nic", "m"]).is_err());
    }
}

//! The ledger in Prometheus's text format (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! Every reason is there from the start, also at zero: a counter that appears late has no rate at its first event.

use super::State;
use super::call::{Answer, Call};
use crate::archive::Figures;
use crate::clock::Clock;
use crate::host;
use crate::shard::Snapshot;
use crate::syslog::SENDER;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use tapcopy_engine::Ledger;
use tapcopy_engine::ledger::{Account, Reason, Services, Tally};
use tapcopy_machine::clock::{Discipline, discipline};

/// `GET /metrics`
pub(super) fn metrics(state: &State, _: &Call) -> Answer {
    let archived = state.plant.archive().map(|archive| archive.figures()).unwrap_or_default();
    let machine = Machine::look(state.accounts.folder());
    let text = text(&state.plant.total(), &archived, &state.clock, &machine);
    Answer::new(200, "text/plain; version=0.0.4; charset=utf-8", text)
}

/// What the box takes of its machine.
#[derive(Default)]
struct Machine {
    /// Seconds of processor time, by the name of the thread.
    threads: BTreeMap<String, f64>,
    memory_bytes: u64,
    /// Of the data folder's disk, where there is one: all, and what is free.
    disk_bytes: Option<(u64, u64)>,
    clock: Option<Discipline>,
    /// Lines of the log that its collector was sent, and that are lost to it, where there is one.
    syslog: Option<(u64, u64)>,
}

impl Machine {
    fn look(data: Option<&Path>) -> Self {
        Self {
            threads: host::thread_seconds(),
            memory_bytes: host::memory().2,
            disk_bytes: data.and_then(host::disk),
            clock: discipline(),
            syslog: SENDER.counts(),
        }
    }

    fn tell(&self, text: &mut Text) {
        text.head("thread_cpu_seconds_total", "counter", "Processor time of the threads of one name that there are.");
        for (name, seconds) in &self.threads {
            let _ = writeln!(text.0, "tapcopy_thread_cpu_seconds_total{{thread=\"{}\"}} {seconds}", label(name));
        }
        text.gauge("memory_resident_bytes", "Memory that the process holds.", self.memory_bytes);
        if let Some((total, free)) = self.disk_bytes {
            text.gauge("data_disk_size_bytes", "Size of the file system of the data folder.", total);
            text.gauge("data_disk_free_bytes", "What is free of it.", free);
        }
        if let Some(clock) = self.clock {
            let kept = clock.is_synchronised;
            text.gauge("clock_synchronised", "1 while somebody keeps the machine's clock, as NTP does.", kept.into());
            text.head("clock_offset_seconds", "gauge", "What is still being corrected of the clock.");
            let _ = writeln!(text.0, "tapcopy_clock_offset_seconds {}", clock.offset_seconds);
        }
        if let Some((sent, lost)) = self.syslog {
            text.counter("syslog_lines_sent_total", "Lines of the log that the collector was sent.", sent);
            text.counter("syslog_lines_lost_total", "Lines of the log that could not wait for the collector.", lost);
        }
    }
}

fn text(snapshot: &Snapshot, archived: &Figures, clock: &Clock, machine: &Machine) -> String {
    let mut text = Text::default();
    box_itself(snapshot, clock, &mut text);
    frames_and_sessions(&snapshot.ledger, &mut text);
    requests(&snapshot.ledger, &mut text);
    services(&snapshot.ledger.services, &mut text);
    target(snapshot, &mut text);
    backlog(&snapshot.ledger, &mut text);
    recording(&snapshot.ledger, &mut text);
    archive(archived, &mut text);
    latency(&snapshot.ledger, &mut text);
    machine.tell(&mut text);
    text.0
}

fn box_itself(snapshot: &Snapshot, clock: &Clock, text: &mut Text) {
    text.head("build_info", "gauge", "The program's version.");
    let _ = writeln!(text.0, "tapcopy_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    text.head("uptime_seconds", "gauge", "Time since the start.");
    let _ = writeln!(text.0, "tapcopy_uptime_seconds {:.3}", clock.uptime().as_secs_f64());
    text.head("snapshot_age_seconds", "gauge", "Age of the numbers below.");
    let _ = writeln!(text.0, "tapcopy_snapshot_age_seconds {:.3}", clock.now().since(snapshot.at).as_secs_f64());
    text.gauge("loop_alarm", "1 when replay has stopped because the mirror shows it.", snapshot.loop_alarm.into());
}

fn frames_and_sessions(ledger: &Ledger, text: &mut Text) {
    let (frames, sessions) = (&ledger.frames, &ledger.sessions);
    text.counter("frames_received_total", "Mirrored frames handed to the engine.", frames.received);
    text.counter("frames_decoded_total", "Segments of a session of a service.", frames.decoded);
    text.reasons("frames_ignored_total", "Mirrored frames that were not used.", &frames.ignored);
    text.counter("frames_with_content_total", "Decoded frames with payload.", frames.with_content);
    text.counter("frames_truncated_total", "Frames whose payload the capture had cut off.", frames.truncated);
    text.counter("frames_duplicate_total", "Frames that the mirror showed a second time.", frames.duplicates);
    text.counter("checksums_verified_total", "Frames whose TCP checksum was verified.", frames.checksums_verified);
    text.counter("checksums_bad_total", "Of these, wrong.", frames.bad_checksums);
    text.counter(
        "frames_dropped_kernel_total",
        "Frames that the mirror's ring had no room for.",
        frames.dropped_kernel,
    );
    text.counter("frames_dropped_nic_total", "Frames that the mirror NIC dropped.", frames.dropped_nic);
    text.counter("sessions_opened_total", "Sessions begun.", sessions.opened);
    text.gauge("sessions_live", "Sessions that have not ended.", sessions.live);
    text.reasons("sessions_ended_total", "Sessions ended.", &sessions.ended);
    text.counter("sessions_midstream_total", "Sessions already open when first seen.", sessions.midstream);
    text.counter("gaps_total", "Holes in streams that the mirror never filled.", sessions.gaps);
    text.counter("gap_bytes_total", "Bytes lost in them.", sessions.gap_bytes);
    text.counter("segments_duplicate_total", "Segments whose bytes had all been seen.", sessions.segments_duplicate);
    text.counter("segments_early_total", "Segments before the bytes below them.", sessions.segments_early);
}

fn requests(ledger: &Ledger, text: &mut Text) {
    let (requests, verdicts) = (&ledger.requests, &ledger.verdicts);
    text.counter("requests_captured_total", "Requests whose first byte was seen.", requests.captured);
    text.counter("requests_turns_total", "Of these, turns: cut without a framer.", requests.turns);
    text.counter("requests_replayed_total", "Requests whose first byte was sent.", requests.replayed);
    text.counter("requests_answered_total", "Requests with a whole answer and a verdict.", requests.answered);
    text.gauge("requests_in_progress", "Requests without an outcome.", requests.in_progress);
    text.reasons("requests_not_replayed_total", "Requests never sent.", &requests.not_replayed);
    text.reasons("requests_not_answered_total", "Requests sent without an answer.", &requests.not_answered);
    text.counter("verdicts_match_total", "Answers that agree.", verdicts.matched);
    text.counter("verdicts_differ_total", "Answers that differ.", verdicts.differ);
    text.reasons("verdicts_incomparable_total", "Answers that cannot be compared.", &verdicts.incomparable);
    text.gauge("findings", "Endpoints and fields that differ beyond noise.", ledger.findings);
}

/// The same by service, under names of their own: a sum over all labels must count nothing twice.
fn services(services: &Services, text: &mut Text) {
    type Count = fn(&Account) -> u64;
    let counters: [(&str, &str, Count); 5] = [
        ("requests_captured", "Requests whose first byte was seen.", |account| account.requests.captured),
        ("requests_replayed", "Requests whose first byte was sent.", |account| account.requests.replayed),
        ("requests_answered", "Requests with a verdict.", |account| account.requests.answered),
        ("verdicts_match", "Answers that agree.", |account| account.verdicts.matched),
        ("verdicts_differ", "Answers that differ.", |account| account.verdicts.differ),
    ];
    for (name, help, of) in counters {
        text.head(&format!("service_{name}_total"), "counter", help);
        for (service, account) in services.iter() {
            let _ = writeln!(text.0, "tapcopy_service_{name}_total{{service=\"{}\"}} {}", label(service), of(account));
        }
    }
    text.by_service("service_requests_not_replayed_total", "Requests never sent.", services, |account| {
        &account.requests.not_replayed
    });
    text.by_service("service_requests_not_answered_total", "Requests sent without an answer.", services, |account| {
        &account.requests.not_answered
    });
    text.by_service("service_verdicts_incomparable_total", "Answers that cannot be compared.", services, |account| {
        &account.verdicts.incomparable
    });
}

/// A label's value, in which a name may hold anything.
fn label(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn target(snapshot: &Snapshot, text: &mut Text) {
    let target = &snapshot.ledger.target;
    text.counter("target_frames_sent_total", "Frames sent to targets.", target.frames_sent);
    text.counter("target_frames_sent_with_content_total", "Of these, with payload.", target.frames_sent_with_content);
    text.counter("target_frames_received_total", "Frames of targets for the box.", target.frames_received);
    text.counter("target_frames_ignored_total", "Other frames on the target NIC.", target.frames_ignored);
    text.counter("target_frames_unsent_total", "Frames the target NIC did not take.", snapshot.target.frames_unsent);
    let dropped = snapshot.target.frames_dropped_kernel;
    text.counter("target_frames_dropped_kernel_total", "Frames of targets the kernel had no room for.", dropped);
    text.counter("target_packets_unresolved_total", "Packets whose next hop is silent.", target.packets_unresolved);
    text.counter("target_connections_opened_total", "Connections begun.", target.connections_opened);
    text.reasons("target_reconnects_total", "Of these, beyond a session's first.", &target.reconnects);
    text.counter("target_retransmits_total", "Segments sent again.", target.retransmits);
    text.counter("target_ports_exchanged_total", "Client ports that were not free.", target.ports_exchanged);
    let conflicts = target.address_conflicts;
    text.counter("target_address_conflicts_total", "Addresses found to be somebody else's.", conflicts);
    text.gauge("address_conflicts", "Addresses that are somebody else's now.", snapshot.address_conflicts.len() as u64);
}

fn backlog(ledger: &Ledger, text: &mut Text) {
    let backlog = &ledger.backlog;
    text.gauge("sessions_behind", "Replays whose next request is late, for a slow target.", backlog.sessions_behind);
    text.gauge("requests_waiting", "Requests that wait for the target alone.", backlog.requests_waiting);
    text.gauge("request_bytes_waiting", "Request bytes that wait for the target alone.", backlog.bytes_waiting);
    text.counter("requests_late_total", "Requests sent late, for a slow target.", backlog.requests_late);
    text.head("lag_seconds_max", "gauge", "The longest that a request was sent after it could have been.");
    let _ = writeln!(text.0, "tapcopy_lag_seconds_max {}", backlog.lag_us_max as f64 / 1e6);
}

fn recording(ledger: &Ledger, text: &mut Text) {
    let record = &ledger.record;
    text.counter("record_frames_total", "Frames recorded.", record.frames);
    text.counter("record_bytes_total", "Bytes of the recorded files.", record.bytes);
    text.counter("record_files_total", "Recorded files closed.", record.files);
    text.reasons("record_dropped_total", "Frames that were to be recorded and were not.", &record.dropped);
}

fn archive(archived: &Figures, text: &mut Text) {
    text.counter("records_written_total", "Records of exchanges written and synced.", archived.written);
    text.counter(
        "records_dropped_total",
        "Records of exchanges that were lost to a slow or full disk.",
        archived.dropped(),
    );
    text.counter(
        "records_contents_dropped_total",
        "Records without what was said, for a slow disk.",
        archived.contents_dropped,
    );
    text.gauge("records_bytes", "Bytes of all records.", archived.bytes);
    text.gauge("records_failing", "1 while exchanges are not recorded for a fault.", archived.fault.is_some().into());
}

fn latency(ledger: &Ledger, text: &mut Text) {
    let sides = [("origin", &ledger.latency_us.origin), ("target", &ledger.latency_us.target)];
    text.head("latency_seconds", "gauge", "Last request byte to last answer byte, by quantile since the start.");
    for (side, latencies) in sides {
        for quantile in [0.5, 0.9, 0.99] {
            let seconds = latencies.quantile_us(quantile) as f64 / 1e6;
            let _ = writeln!(text.0, "tapcopy_latency_seconds{{side=\"{side}\",quantile=\"{quantile}\"}} {seconds}");
        }
    }
    text.head("latency_measured_total", "counter", "Answers that the quantiles are of.");
    for (side, latencies) in sides {
        let _ = writeln!(text.0, "tapcopy_latency_measured_total{{side=\"{side}\"}} {}", latencies.len());
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP tapcopy_{name} {help}\n# TYPE tapcopy_{name} {kind}\n");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        let _ = writeln!(self.0, "tapcopy_{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        let _ = writeln!(self.0, "tapcopy_{name} {value}");
    }

    fn reasons<R: Reason>(&mut self, name: &str, help: &str, tally: &Tally<R>) {
        self.head(name, "counter", help);
        for (reason, count) in tally.iter() {
            let _ = writeln!(self.0, "tapcopy_{name}{{reason=\"{}\"}} {count}", reason.word());
        }
    }

    /// Reasons that occurred in each service: all of them for each of many would be more than anybody reads.
    fn by_service<R: Reason>(&mut self, name: &str, help: &str, services: &Services, of: fn(&Account) -> &Tally<R>) {
        self.head(name, "counter", help);
        for (service, account) in services.iter() {
            let service = label(service);
            for (reason, count) in of(account).iter().filter(|(_, count)| *count > 0) {
                let reason = reason.word();
                let _ = writeln!(self.0, "tapcopy_{name}{{service=\"{service}\",reason=\"{reason}\"}} {count}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use tapcopy_engine::ledger::NotReplayed;

    #[test]
    fn the_dashboard_shows_metrics_that_there_are() {
        let text = text(&Snapshot::default(), &Figures::default(), &Clock::start(), &Machine::default());
        let board = include_str!("../../../../docs/grafana.json");
        let names =
            board.split("tapcopy_").skip(1).map(|rest| rest.split(|c: char| c != '_' && !c.is_ascii_lowercase()));
        for name in names.filter_map(|mut parts| parts.next()) {
            assert!(text.contains(&format!("# TYPE tapcopy_{name} ")), "{name}");
        }
    }

    #[test]
    fn every_sample_has_its_help_and_type_once() {
        let mut snapshot = Snapshot::default();
        let account = snapshot.ledger.services.open("a\"b");
        snapshot.ledger.count(account, |requests, _| requests.captured += 2);
        let text = text(&snapshot, &Figures::default(), &Clock::start(), &Machine::look(Some(Path::new("/"))));
        assert!(text.contains("\ntapcopy_data_disk_free_bytes ") && text.contains("tapcopy_thread_cpu_seconds_total{"));
        assert!(text.contains("tapcopy_service_requests_captured_total{service=\"a\\\"b\"} 2\n"), "{text}");
        let mut described = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(described.insert(name), "{name} is described twice");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                assert!(described.contains(name), "{name} is not described");
            }
        }
        for reason in NotReplayed::ALL {
            let sample = format!("tapcopy_requests_not_replayed_total{{reason=\"{}\"}} 0\n", reason.word());
            assert!(text.contains(&sample), "{sample}");
        }
    }
}

//! A report for a person at a terminal.

use std::fmt::Write;
use tapcopy_engine::doctor::{Direction, Figure, Figures, Finding, Report, Service, Severity};
use tapcopy_engine::ledger::Ignored;

/// Where sentences are broken.
const WIDTH: usize = 100;

/// The verdict, the findings, what was seen.
pub(super) fn told(report: &Report) -> String {
    let mut text = format!("{}\n", report.verdict);
    report.findings.iter().for_each(|finding| tell_finding(&mut text, finding));
    tell_traffic(&mut text, &report.figures);
    tell_services(&mut text, report);
    text
}

fn tell_finding(text: &mut String, finding: &Finding) {
    let severity = match finding.severity {
        Severity::Critical => "CRITICAL",
        Severity::Warning => "WARNING",
        Severity::Notice => "notice",
    };
    let _ = writeln!(text, "\n{severity:<9} {}", finding.finding.word());
    tell_broken(text, &finding.summary);
    let figures: Vec<_> =
        finding.evidence.iter().map(|(name, figure)| format!("{name}={}", figure_of(figure))).collect();
    tell_broken(text, &figures.join(" "));
    tell_broken(text, &format!("Mend: {}.", finding.mend));
}

fn figure_of(figure: &Figure) -> String {
    match figure {
        Figure::Count(count) => count.to_string(),
        Figure::Measure(measure) => format!("{measure:.4}"),
        Figure::Word(word) => word.clone(),
    }
}

/// A paragraph, indented and broken between words.
fn tell_broken(text: &mut String, words: &str) {
    let mut line = String::new();
    for word in words.split(' ') {
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH - 10 {
            let _ = writeln!(text, "          {line}");
            line.clear();
        }
        let _ = write!(line, "{}{word}", if line.is_empty() { "" } else { " " });
    }
    let _ = writeln!(text, "          {line}");
}

fn tell_traffic(text: &mut String, figures: &Figures) {
    let traffic = &figures.traffic;
    let _ = writeln!(text, "\n{} frames in {:.1} s", traffic.frames, traffic.seconds);
    if traffic.frames == 0 {
        return;
    }
    let _ = writeln!(
        text,
        "  rate       {:.0} frames/s, {} in the mean, {} in the busiest tenth of a second",
        traffic.frames_per_second,
        rate(traffic.bits_per_second),
        rate(traffic.peak_bits_per_second as f64)
    );
    let other = |reasons: &[Ignored]| reasons.iter().map(|reason| traffic.other_frames.of(*reason)).sum::<u64>();
    let (other_ip, not_ip) = (other(&[Ignored::NotTcp]), other(&[Ignored::NotIp]));
    let unreadable = traffic.other_frames.sum() - other_ip - not_ip;
    let of_all = |count: u64| 100.0 * count as f64 / traffic.frames as f64;
    let _ = writeln!(
        text,
        "  content    TCP {:.1} %, other IP {:.1} %, not IP {:.1} %, unreadable or in pieces {:.1} %",
        of_all(traffic.tcp_frames),
        of_all(other_ip),
        of_all(not_ip),
        of_all(unreadable)
    );
    let sizes = traffic.sizes.iter().filter(|class| class.frames > 0);
    let size = |most: u32| if most == u32::MAX { "more".to_owned() } else { format!("to {most}") };
    let sizes: Vec<_> =
        sizes.map(|class| format!("{}: {:.0} %", size(class.up_to_bytes), of_all(class.frames))).collect();
    let _ = writeln!(text, "  bytes      {}", sizes.join(", "));
    let kinds = traffic.link_types.iter().chain(&traffic.wrappings).chain(&traffic.unreadable);
    let kinds: Vec<_> = kinds.map(|(word, frames)| format!("{word} {:.0} %", of_all(*frames))).collect();
    let _ = writeln!(text, "  headers    {}", kinds.join(", "));
    tell_direction(text, "to servers", &figures.to_servers);
    tell_direction(text, "from them", &figures.from_servers);
}

fn tell_direction(text: &mut String, name: &str, direction: &Direction) {
    let _ = writeln!(
        text,
        "  {name:<10} {} segments, {} bytes; of {} acknowledged bytes {} were never shown",
        direction.segments, direction.bytes, direction.acknowledged_bytes, direction.lost_bytes
    );
}

fn tell_services(text: &mut String, report: &Report) {
    if report.services.is_empty() {
        return;
    }
    let width = report.services.iter().map(|service| service.address.len()).max().unwrap_or(0).max(8);
    let _ = writeln!(
        text,
        "\n{:<width$}  {:<10} {:>7} {:>7} {:>8} {:>9} {:>12} {:>10}",
        "service", "protocol", "flows", "opened", "clients", "turns/s", "rate", "lost bytes"
    );
    report.services.iter().for_each(|service| tell_service(text, service, width));
    let talkers = report.talkers.iter().map(|talker| format!("{} ({} bytes)", talker.address, talker.bytes));
    let _ = writeln!(text, "\nmost bytes: {}", talkers.collect::<Vec<_>>().join(", "));
}

fn tell_service(text: &mut String, service: &Service, width: usize) {
    let _ = writeln!(
        text,
        "{:<width$}  {:<10} {:>7} {:>7} {:>8} {:>9.1} {:>12} {:>10}",
        service.address,
        service.protocol.name(),
        service.flows,
        service.opened,
        service.clients,
        service.turns_per_second,
        rate(service.bits_per_second),
        service.lost_bytes
    );
}

/// Bits a second with the unit that fits.
fn rate(bits_per_second: f64) -> String {
    let units = [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")];
    match units.into_iter().find(|(size, _)| bits_per_second >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", bits_per_second / size),
        None => format!("{bits_per_second:.0} bit/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapcopy_engine::doctor::{Examination, Intake, Nic};

    #[test]
    fn the_verdict_comes_first_and_every_finding_has_its_mend() {
        let nic = Nic { name: "mirror0".into(), frames_sent: 3, ..Nic::default() };
        let intake = Intake { nics: vec![nic], seconds: Some(2.0), ..Intake::default() };
        let text = told(&Examination::new(vec![], 0).report(intake));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "The mirror is not fit for a replay: no_traffic.");
        assert_eq!(lines[2], "CRITICAL  no_traffic");
        assert_eq!(lines[7], "WARNING   own_frames");
        assert_eq!(text.matches("Mend: ").count(), 2, "{text}");
        assert_eq!(lines.last(), Some(&"0 frames in 2.0 s"));
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{text}");
    }

    #[test]
    fn rates() {
        assert_eq!(rate(999.4), "999 bit/s");
        assert_eq!(rate(1_500.0), "1.5 kbit/s");
        assert_eq!(rate(2_340_000_000.0), "2.3 Gbit/s");
    }
}

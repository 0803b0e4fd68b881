//! Every finding of the doctor: a mirror that has the fault, and one that looks like it and has not.

mod wire;

use tapcopy_engine::doctor::{Figure, Guess, Intake, Kind, Nic, Severity};
use wire::*;

fn nic() -> Nic {
    Nic { name: "mirror0".into(), ..Nic::default() }
}

fn live(nic: Nic) -> Intake {
    Intake { nics: vec![nic], ..Intake::default() }
}

#[test]
fn a_sound_mirror_has_no_finding() {
    let report = examine(&sound());
    assert_eq!(kinds(&report), [""; 0]);
    assert_eq!(report.verdict, "The mirror is good.");
    let [service] = &report.services[..] else { panic!("{:?}", report.services) };
    assert_eq!((service.address.as_str(), service.protocol), ("10.0.0.1:80", Guess::Http));
    assert_eq!((service.flows, service.opened, service.clients, service.turns), (10, 10, 1, 100));
    assert_eq!(report.figures.from_servers.acknowledged_bytes, 10 * (2 + 10 * 3 * SEGMENT as u64) - 10);
    assert_eq!(report.figures.from_servers.lost_bytes + report.figures.to_servers.lost_bytes, 0);
    assert_eq!(report.figures.flows.judged, 10);
    assert_eq!(report.talkers.len(), 2);
}

#[test]
fn the_document_has_the_promised_keys() {
    let shots: Vec<_> = sound().into_iter().filter(|shot| !shot.from_server).collect();
    let document = serde_json::to_value(examine(&shots)).unwrap();
    let finding = &document["findings"][0];
    assert_eq!((&finding["finding"], &finding["severity"]), (&"one_way".into(), &"critical".into()));
    assert_eq!(finding["evidence"]["without_server"], 10);
    assert!(finding["mend"].as_str().is_some_and(|mend| !mend.is_empty()));
    assert_eq!(document["services"][0]["protocol"], "http");
}

#[test]
fn no_traffic() {
    assert_eq!(kinds(&examine(&[])), ["no_traffic"]);
    let mut arp = sound()[0].clone();
    arp.bytes = vec![0xff; 12];
    arp.bytes.extend([8, 6, 0, 1]);
    arp.bytes.resize(60, 0);
    let report = examine_with(&vec![arp; 5], vec![], live(nic()));
    let finding = found(&report, Kind::NoTraffic);
    assert_eq!((finding.severity, &finding.evidence["group_frames"]), (Severity::Critical, &Figure::Count(5)));
    assert!(finding.mend.contains("SPAN"), "{}", finding.mend);
}

#[test]
fn one_way() {
    for (from_server, without) in [(false, "without_server"), (true, "without_client")] {
        let shots: Vec<_> = sound().into_iter().filter(|shot| shot.from_server == from_server).collect();
        let report = examine(&shots);
        let finding = found(&report, Kind::OneWay);
        assert_eq!((finding.severity, &finding.evidence[without]), (Severity::Critical, &Figure::Count(10)));
        // What is not shown at all is not lost here and there.
        assert_eq!(kinds(&report), ["one_way"]);
        assert_eq!(report.services[0].address, "10.0.0.1:80");
    }
}

#[test]
fn attempts_to_connect_that_nobody_answers_are_not_one_way() {
    let mut shots = sound();
    for n in 0..50 {
        shots.extend(Talk::new(50_000 + n, 2_000_000).say(false, SYN, b"").close().into_iter().take(1));
    }
    assert_eq!(kinds(&examine(&shots)), [""; 0]);
}

#[test]
fn duplicated() {
    let copies = |after: u64, tag: Option<u8>| {
        let both = sound().into_iter().flat_map(|shot| {
            let mut copy = Shot { at: shot.at + after, ..shot.clone() };
            tag.into_iter().for_each(|vlan| copy.tag(vlan));
            [shot, copy]
        });
        let mut shots: Vec<_> = both.collect();
        shots.sort_by_key(|shot| shot.at);
        examine(&shots)
    };
    let report = copies(12, None);
    let finding = found(&report, Kind::Duplicated);
    assert_eq!((finding.severity, &finding.evidence["after_us"]), (Severity::Warning, &Figure::Measure(12.0)));
    assert_eq!(finding.evidence["share"], Figure::Measure(0.5));
    assert!(finding.mend.contains("one direction of all ports"), "{}", finding.mend);
    // A copy is counted once only, and says nothing of its flow.
    assert_eq!((report.services[0].turns, kinds(&report)), (100, vec!["duplicated"]));
    let report = copies(12, Some(7));
    assert!(found(&report, Kind::Duplicated).mend.contains("VLAN"));
    assert_eq!(kinds(&copies(20_500, None)), [""; 0], "that long after, it is a retransmission");
}

#[test]
fn vlan_on_one_side() {
    let tagged = |servers: u8, clients: u8| {
        let mut shots = sound();
        for shot in &mut shots {
            shot.tag(if shot.from_server { servers } else { clients });
        }
        kinds(&examine(&shots))
    };
    assert_eq!(tagged(7, 7), [""; 0]);
    assert_eq!(tagged(7, 8), ["vlan_on_one_side"]);
    let mut shots = sound();
    shots.iter_mut().filter(|shot| shot.from_server).for_each(|shot| shot.tag(7));
    let report = examine(&shots);
    assert_eq!(found(&report, Kind::VlanOnOneSide).severity, Severity::Notice);
}

#[test]
fn truncated() {
    let mut shots = sound();
    shots.iter_mut().for_each(|shot| shot.cut(96));
    let report = examine(&shots);
    let finding = found(&report, Kind::Truncated);
    assert_eq!((finding.severity, &finding.evidence["cut_frames"]), (Severity::Critical, &Figure::Count(400)));
    // What was cut off was on the wire nevertheless.
    assert_eq!(kinds(&report), ["truncated"]);
}

#[test]
fn super_frames() {
    let with = |content: usize| {
        let mut talk = Talk::new(41_000, 3_000_000);
        talk.open().say(true, ACK, &vec![b'.'; content]).say(false, ACK, b"");
        [sound(), talk.close()].concat()
    };
    assert_eq!(kinds(&examine(&with(SEGMENT))), [""; 0]);
    let report = examine_with(&with(10 * SEGMENT), vec![], live(nic()));
    let finding = found(&report, Kind::SuperFrames);
    assert_eq!((finding.severity, &finding.evidence["from_servers"]), (Severity::Notice, &Figure::Count(1)));
    assert!(finding.mend.contains("ethtool -K mirror0 gro off"), "{}", finding.mend);
}

#[test]
fn bad_checksums() {
    let mut shots = sound();
    let from_server = shots.iter_mut().filter(|shot| shot.from_server && shot.content > 0);
    for shot in from_server.step_by(30) {
        *shot.bytes.last_mut().unwrap() ^= 1;
    }
    let report = examine(&shots);
    let finding = found(&report, Kind::BadChecksums);
    assert_eq!((finding.severity, &finding.evidence["to_servers"]), (Severity::Warning, &Figure::Measure(0.0)));
    assert!(finding.mend.contains("cable"), "{}", finding.mend);

    // As a sender's stack leaves it to its NIC: the sum of the pseudo-header.
    for shot in shots.iter_mut().filter(|shot| shot.from_server) {
        let len = (shot.bytes.len() - 34) as u16;
        let pseudo = [&shot.bytes[26..34], &[0, 6], &len.to_be_bytes()[..]].concat();
        shot.bytes[50..52].copy_from_slice(&sum(&pseudo).to_be_bytes());
    }
    let report = examine(&shots);
    let finding = found(&report, Kind::BadChecksums);
    assert_eq!((finding.severity, &finding.evidence["left_to_the_nic"]), (Severity::Notice, &Figure::Measure(1.0)));
}

#[test]
fn oversubscribed() {
    let mut index = 0;
    let mut shots = sound();
    shots.retain(|shot| {
        index += u32::from(shot.from_server && shot.content > 0);
        !(shot.from_server && shot.content > 0 && index % 50 == 25)
    });
    let report = examine(&shots);
    let finding = found(&report, Kind::Oversubscribed);
    // Of the six that were taken out, the last may still come.
    let lost = 5 * SEGMENT as u64;
    assert_eq!(
        (finding.severity, &finding.evidence["from_servers_lost_bytes"]),
        (Severity::Critical, &Figure::Count(lost))
    );
    assert_eq!(finding.evidence["to_servers_lost_bytes"], Figure::Count(0));
    assert_eq!(report.services[0].lost_bytes, lost);
}

#[test]
fn losses_before_the_mirror_are_not_its_own() {
    let mut talk = Talk::new(42_000, 3_000_000);
    talk.open().request();
    let mut shots = talk.close();
    // The second segment of the answer is lost on its way to the switch, not acknowledged, and comes again.
    let lost = shots.iter().position(|shot| shot.from_server && shot.content > 0).unwrap() + 2;
    let again = Shot { at: shots[lost].at + 300_000, ..shots[lost].clone() };
    let rest = shots.split_off(lost);
    shots.extend(rest.into_iter().skip(2).filter(|shot| shot.from_server && shot.content > 0));
    shots.push(again);
    assert_eq!(kinds(&examine(&shots)), [""; 0]);
}

#[test]
fn a_mirror_may_show_the_directions_out_of_order() {
    let mut shots = sound();
    shots.iter_mut().filter(|shot| shot.from_server).for_each(|shot| shot.at += 50_000);
    shots.sort_by_key(|shot| shot.at);
    assert_eq!(kinds(&examine(&shots)), [""; 0]);
}

#[test]
fn encapsulated() {
    let mut shots = sound();
    for shot in &mut shots {
        let mut outer = [CLIENT_MAC, SERVER_MAC].concat();
        let len = (20 + 8 + 8 + shot.bytes.len()) as u16;
        outer.extend([0x08, 0x00, 0x45, 0]);
        outer.extend(len.to_be_bytes());
        outer.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 168, 0, 1, 192, 168, 0, 2]);
        outer.extend([0x30, 0x39, 0x12, 0xb5]);
        outer.extend((len - 20).to_be_bytes());
        outer.extend([0, 0, 8, 0, 0, 0, 0, 0, 5, 0]);
        shot.bytes.splice(0..0, outer);
        shot.wire_len = shot.bytes.len();
    }
    let report = examine_with(&shots, vec![], live(nic()));
    let finding = found(&report, Kind::Encapsulated);
    assert_eq!((finding.severity, &finding.evidence["which"]), (Severity::Notice, &Figure::Word("vxlan".into())));
    assert_eq!(kinds(&report), ["encapsulated"]);
}

#[test]
fn two_tags_are_no_encapsulation_to_speak_of() {
    let mut shots = sound();
    for shot in &mut shots {
        shot.tag(7);
        shot.tag(8);
    }
    let report = examine_with(&shots, vec![], live(nic()));
    assert_eq!(kinds(&report), [""; 0]);
    assert_eq!(report.figures.traffic.wrappings["stacked_vlan_tags"], shots.len() as u64);
}

#[test]
fn an_encapsulation_that_cannot_be_read_is_named() {
    let mut shots = sound();
    for shot in &mut shots {
        shot.bytes[12..14].copy_from_slice(&[0x88, 0xe5]);
    }
    let report = examine(&shots);
    assert_eq!(kinds(&report), ["no_traffic", "encapsulated"]);
    assert_eq!(found(&report, Kind::Encapsulated).evidence["which"], Figure::Word("macsec".into()));
}

#[test]
fn kernel_drops() {
    let with = |dropped| examine_with(&sound(), vec![], Intake { dropped_kernel: dropped, ..live(nic()) });
    assert_eq!(kinds(&with(0)), [""; 0]);
    assert_eq!(found(&with(1), Kind::KernelDrops).severity, Severity::Warning);
    assert_eq!(found(&with(1_000), Kind::KernelDrops).severity, Severity::Critical);
}

#[test]
fn clock_steps() {
    let shifted = |micros: i64, is_time: bool| {
        let mut shots = sound();
        for (n, shot) in shots.iter_mut().enumerate() {
            shot.at += 10_000_000;
            if n >= 205 {
                shot.at = shot.at.checked_add_signed(micros).unwrap();
            }
            if n >= 205 && is_time {
                // The senders' clocks have gone on as well.
                let at = 14 + 20 + 20 + if shot.bytes[47] & SYN != 0 { 8 } else { 4 };
                let ticks = u32::from_be_bytes(shot.bytes[at..at + 4].try_into().unwrap());
                shot.bytes[at..at + 4].copy_from_slice(&(ticks + (micros / 1_000) as u32).to_be_bytes());
            }
        }
        examine(&shots)
    };
    let clock = |report: &tapcopy_engine::doctor::Report| (report.figures.clock.backward, report.figures.clock.forward);
    assert_eq!(clock(&shifted(-5_000_000, false)), (1, 0));
    assert_eq!(clock(&shifted(-20_000, false)), (0, 0), "queues overtake each other");
    let report = shifted(5_000_000, false);
    assert_eq!(clock(&report), (0, 1));
    assert_eq!(found(&report, Kind::ClockStep).evidence["forward_largest_seconds"], Figure::Measure(5.001));
    let report = shifted(5_000_000, true);
    assert_eq!(clock(&report), (0, 0), "silence is no step: {:?}", report.findings);
}

#[test]
fn own_frames() {
    let report = examine_with(&sound(), vec![CLIENT_MAC], live(nic()));
    assert_eq!(found(&report, Kind::OwnFrames).severity, Severity::Critical);
    let report = examine_with(&sound(), vec![[2; 6]], live(Nic { frames_sent: 3, ..nic() }));
    assert_eq!(found(&report, Kind::OwnFrames).severity, Severity::Warning);
    let report =
        examine_with(&sound(), vec![[2; 6]], live(Nic { addresses: vec!["fe80::1".parse().unwrap()], ..nic() }));
    assert_eq!(found(&report, Kind::OwnFrames).severity, Severity::Notice);
    assert_eq!(kinds(&examine_with(&sound(), vec![[2; 6]], live(nic()))), [""; 0]);
}

#[test]
fn noise_is_never_a_panic() {
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let sound = sound();
    let mut shots = Vec::new();
    for _ in 0..10_000 {
        let mut shot = sound[next() % sound.len()].clone();
        for _ in 0..next() % 6 {
            let at = next() % shot.bytes.len();
            shot.bytes[at] = next() as u8;
        }
        shot.bytes.truncate(next() % 3_000);
        shot.at = next() as u64;
        shots.push(shot);
    }
    let report = examine(&shots);
    assert_eq!(report.figures.traffic.frames, 10_000);
}

//! Measures the engine in memory. Without a word it runs the whole benchmark; with the name of a stage it performs that stage
//! once, for an instruction counter that looks at [`hot_path`] alone, and prints how many mirrored frames that were.

mod figures;
mod layers;
mod memory;
mod production;
mod sessions;
mod tape;
mod target;

use figures::Figures;
use sessions::Held;
use std::process::ExitCode;
use std::sync::Barrier;
use tapcopy_engine::config::FarEnd;
use tape::Tape;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Each figure is the median of so many rounds. All figures are taken in each round, so that a ratio is of neighbours in time.
const ROUNDS: usize = 7;

/// Sessions whose memory is looked at: many more than have warm buffers, and no power of two, at which tables grow.
const HELD: usize = 100_000;

/// A stage of the engine, as the benchmark and the instruction counter name it.
type Stage = (&'static str, fn(&Tape));

/// The stages that look at a mirrored frame, each with those before it.
const STAGES: [Stage; 3] = [("decode", layers::decode), ("flow", layers::flow), ("reassembly", layers::reassembly)];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        None => bench(&[1_000, 10_000, 100_000]),
        Some("--large") => bench(&[1_000, 10_000, 100_000, 1_000_000]),
        Some("held") => {
            let count = words.next().and_then(|count| count.parse().ok()).unwrap_or(HELD);
            let Held { idle, after_exchange } = Held::look(count);
            println!("{idle} {after_exchange}");
        }
        Some(stage) => return once(stage),
    }
    ExitCode::SUCCESS
}

fn bench(crowds: &[usize]) {
    let wire = Tape::record(tape::wire(), 6, 512, 2);
    let rehearsal = Tape::record(FarEnd::Rehearsal, 6, 512, 2);
    let mut figures = Figures::default();
    for _ in 0..ROUNDS {
        for (name, stage) in STAGES {
            let spent = figures::cpu_nanos(|| stage(&wire));
            figures.note(name, "ns/frame", "decode", spent / wire.frames() as f64);
        }
        let (spent, asked) = wire.play(|work| {
            let before = memory::asked();
            (figures::cpu_nanos(work), memory::asked() - before)
        });
        figures.note("pipeline", "ns/frame", "decode", spent / wire.frames() as f64);
        figures.note("pipeline, allocations", "/frame", "", asked as f64 / wire.frames() as f64);
        let spent = rehearsal.play(|work| figures::cpu_nanos(work));
        figures.note("rehearse", "ns/frame", "decode", spent / rehearsal.frames() as f64);
        figures.note("rehearse, throughput", "Gbit/s", "", rehearsal.bytes() as f64 * 8.0 / spent);
        for (name, shards) in [("shards, 1", 1), ("shards, 2", 2)] {
            figures.note(name, "kframes/s", "shards, 1", frames_per_second(&wire, shards) / 1e3);
        }
        figures.note("session set-up, recycled", "ns", "decode", sessions::set_up_nanos());
    }
    for _ in 0..figures::RUNS_MIN {
        for count in crowds {
            let name = format!("stack packet, {count} sessions");
            figures.note(&name, "ns/packet", "stack packet, 10000 sessions", sessions::packet_nanos(*count));
        }
        let held = Held::measure(HELD);
        figures.note("session, idle", "bytes", "", held.idle);
        figures.note("session, after one exchange", "bytes", "session, idle", held.after_exchange);
    }
    if let Some(most) = crowds.last().filter(|most| **most > HELD) {
        let held = Held::measure(*most);
        let name = format!("{most} sessions");
        figures.note(&name, "GB", "", held.after_exchange * *most as f64 / 1e9);
    }
    figures.tell();
}

/// Mirrored frames a second that so many shards deal with at the same time, each on a thread of its own, which need not have a
/// processor of its own: its time is that in which it runs.
fn frames_per_second(tape: &Tape, shards: usize) -> f64 {
    let barrier = Barrier::new(shards);
    let one = || {
        tape.play(|work| {
            barrier.wait();
            let spent = figures::cpu_nanos(work);
            tape.frames() as f64 * 1e9 / spent
        })
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..shards).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a shard plays its tape")).sum()
    })
}

/// Performs `name` once. The capture is small: an instruction counter is fifty times slower than the machine.
fn once(name: &str) -> ExitCode {
    let tape = Tape::record(tape::wire(), 3, 64, 1);
    let mut before = 0;
    match STAGES.iter().find(|stage| stage.0 == name) {
        Some((_, stage)) => {
            before = memory::asked();
            hot_path(&mut || stage(&tape));
        }
        None if name == "pipeline" => tape.play(|work| {
            before = memory::asked();
            hot_path(work);
        }),
        None => {
            eprintln!("{name} is none of decode, flow, reassembly, pipeline: name one of them, or --large, or nothing");
            return ExitCode::from(2);
        }
    }
    println!("{}", tape.frames());
    eprintln!("{} times memory was asked for", memory::asked() - before);
    ExitCode::SUCCESS
}

/// What is counted is what this calls; it is looked for by its name.
#[inline(never)]
fn hot_path(work: &mut dyn FnMut()) {
    work();
}

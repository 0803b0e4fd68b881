//! Figures: medians over the rounds, each beside its ratio to another of the same round. The machine's speed changes from one
//! minute to the next; the ratio of two works done within a second does not.

use nix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Least number of rounds.
pub const RUNS_MIN: usize = 5;

/// The ratios as they stood when the table was last recorded, in the tree.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden.json");

/// Processor time of this thread that `work` takes: others on the same machine have no part in it, but for the caches.
pub fn cpu_nanos(work: impl FnOnce()) -> f64 {
    let before = now();
    work();
    now() - before
}

fn now() -> f64 {
    let at = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has a clock for each thread");
    at.tv_sec() as f64 * 1e9 + at.tv_nsec() as f64
}

struct Figure {
    name: String,
    unit: &'static str,
    /// The figure that it is a multiple of; empty where a ratio says nothing.
    against: &'static str,
    values: Vec<f64>,
}

/// All figures, in the order in which they were first noted.
#[derive(Default)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// Notes a value of one round; `against` is the figure that it is held against.
    pub fn note(&mut self, name: &str, unit: &'static str, against: &'static str, value: f64) {
        match self.0.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.values.push(value),
            None => self.0.push(Figure { name: name.to_owned(), unit, against, values: vec![value] }),
        }
    }

    fn ratio(&self, figure: &Figure) -> Option<f64> {
        let base = self.0.iter().find(|base| base.name == figure.against)?;
        let ratios = figure.values.iter().zip(&base.values).map(|(value, base)| value / base);
        Some((median(ratios) * 100.0).round() / 100.0)
    }

    /// Prints the table and writes `dist/bench.json`; with `UPDATE=1` the ratios become the golden ones.
    pub fn tell(&self) {
        let golden: BTreeMap<String, f64> =
            std::fs::read_to_string(GOLDEN).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        println!(
            "{:<31} {:>10} {:<9} {:>21}  {:>6} {:>6}",
            "figure", "median", "unit", "lowest..highest", "ratio", "golden"
        );
        for figure in &self.0 {
            let ratio = self.ratio(figure).map_or(String::new(), |ratio| format!("{ratio:.2}"));
            let known = golden.get(&figure.name).map_or(String::new(), |ratio| format!("{ratio:.2}"));
            let range = format!("{:.1}..{:.1}", lowest(&figure.values), highest(&figure.values));
            let (name, unit, middle) = (&figure.name, figure.unit, median(figure.values.iter().copied()));
            println!("{name:<31} {middle:>10.1} {unit:<9} {range:>21}  {ratio:>6} {known:>6}  {}", figure.against);
        }
        write(Path::new("dist/bench.json"), &self.json());
        if std::env::var_os("UPDATE").is_some() {
            let ratios: Map<String, Value> =
                self.0.iter().filter_map(|figure| Some((figure.name.clone(), json!(self.ratio(figure)?)))).collect();
            write(Path::new(GOLDEN), &ratios.into());
        }
    }

    fn json(&self) -> Value {
        let figure = |figure: &Figure| {
            json!({
                "name": figure.name,
                "unit": figure.unit,
                "median": median(figure.values.iter().copied()),
                "lowest": lowest(&figure.values),
                "highest": highest(&figure.values),
                "runs": figure.values.len(),
                "against": figure.against,
                "ratio": self.ratio(figure),
            })
        };
        json!({ "figures": self.0.iter().map(figure).collect::<Vec<_>>() })
    }
}

fn write(path: &Path, value: &Value) {
    let folder = path.parent().expect("a file stands in a folder");
    let text = format!("{value:#}\n");
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text));
    written.unwrap_or_else(|fault| panic!("{} cannot be written: {fault}", path.display()));
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn lowest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn highest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

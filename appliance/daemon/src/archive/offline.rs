//! `tapcopy records`: what a data folder has recorded, without the box; also while the box runs.

use super::FOLDER;
use crate::cli::RecordsArgs;
use crate::fault::Fault;
use crate::store::DEFAULT_DATA;
use serde_json::Value;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use tapcopy_records::{Contents, Exchange, Folder, Opened, Order, Query, Reader, Stored};

/// Records read before they are written.
const PAGE: usize = 1_000;

/// Says what a crash has left in a log.
pub fn tell(path: &Path, opened: &Opened) {
    let path = path.display();
    if opened.torn_bytes > 0 {
        let bytes = opened.torn_bytes;
        log::warn!("records: {path}: the last write was torn; {bytes} bytes behind the last whole record are cut off");
    }
    if opened.rebuilt > 0 {
        log::warn!("records: {path}: {} indices were missing or damaged and are made anew", opened.rebuilt);
    }
    for name in &opened.ignored {
        log::warn!("records: {path}/{name} is no segment of the log and is passed over; remove it");
    }
}

/// Writes the records to standard output.
///
/// # Errors
/// There are none, or they cannot be read or written.
pub fn records(args: &RecordsArgs) -> Result<(), Fault> {
    let path = args.data.as_deref().unwrap_or(Path::new(DEFAULT_DATA)).join(FOLDER);
    let of_folder = |source: std::io::Error| Fault::Records { path: path.clone(), source };
    let (reader, opened) = Reader::open(Arc::new(Folder::existing(&path))).map_err(of_folder)?;
    tell(&path, &opened);
    let mut out = BufWriter::new(std::io::stdout().lock());
    match write(args, &reader, &mut out).and_then(|()| out.flush()) {
        // Whoever reads has had enough.
        Err(fault) if fault.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(of_folder),
    }
}

fn write(args: &RecordsArgs, reader: &Reader, out: &mut impl Write) -> std::io::Result<()> {
    let classes = args.verdict.map_or(u32::MAX, |outcome| 1 << outcome.class());
    let service = args.service.as_deref();
    let (mut beyond, mut damaged) = (None, 0);
    loop {
        let query = Query { service, classes, beyond, order: Order::Oldest, limit: PAGE };
        let mut fault = None;
        let page = reader.query(&query, |stored| {
            let result = line(args, reader, &stored).and_then(|line| writeln!(out, "{line}"));
            fault = fault.take().or(result.err());
        })?;
        damaged += page.damaged;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let Some(next) = page.next else { break };
        beyond = Some(next);
    }
    if damaged > 0 {
        log::warn!("records: {damaged} records are damaged and left out");
    }
    Ok(())
}

fn line(args: &RecordsArgs, reader: &Reader, stored: &Stored) -> std::io::Result<String> {
    let Some(exchange) = Exchange::decode(&stored.service, stored.class, &stored.record) else {
        return Ok(format!("{{\"id\":{}}}", stored.number));
    };
    if !args.json_lines {
        return Ok(plain(stored.number, &exchange));
    }
    let mut object = exchange.to_json(stored.number, stored.has_contents);
    if args.contents && stored.has_contents {
        let contents = reader.get(stored.number)?.and_then(|(_, contents)| Contents::decode(&contents?));
        object.extend(contents.map(|contents| ("contents".to_owned(), contents.to_json())));
    }
    Ok(Value::from(object).to_string())
}

/// One line for a person.
fn plain(number: u64, exchange: &Exchange) -> String {
    let Exchange { service, outcome, reason, client, origin, .. } = exchange;
    format!("{number} {service} {client} > {origin} {} {reason}", outcome.word()).trim_end().to_owned()
}

//! The evidence of a finding: one archive (tar) that can be handed to whoever mends the server under test.

mod again;
mod frames;
mod http2;
mod tar;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use tapcopy_records::{Contents, Exchange, Said};

const README: &str = "\
What is in this archive
=======================

record.json          the exchange: who, when, how long, and its outcome
difference.json      where the answers differ
request.bin          what the client said
origin-answer.bin    what production answered
target-answer.bin    what the server under test answered
client-leg.pcapng    production's side as packets
target-leg.pcapng    the replay's side as packets
curl.sh              a line that asks the server under test the same; of other protocols than HTTP redis-cli.sh, psql.sh, mysql.sh
                     or nc.sh. To be run in this folder

The request is the client's. Where the settings of the service rewrite requests, the server under test got it rewritten.

Secrets are masked by asterisks, byte for byte, so that lengths stay; the line leaves masked headers out.

The packets are rebuilt from the messages, with the real addresses, ports and times of the first and last bytes; they
are not the frames that were on the wire. Sequence numbers, the cut into segments, handshake and farewell are made up.
Content that was sent in chunks is one chunk here, coded content is decoded, heads of HTTP/2 are spelled out, and what was not kept
of a long message is missing from it. Of answers of databases there is what was compared, which is not all that they said.
";

/// The archive of an exchange of this number.
pub fn bundle(number: u64, exchange: &Exchange, contents: &Contents) -> Vec<u8> {
    let seconds = exchange.captured_at / 1_000_000_000;
    let mut archive = tar::Archive::new(format!("exchange-{number}"), seconds);
    let pretty = |value: &Value| format!("{value:#}\n").into_bytes();
    archive.add("README.txt", README.as_bytes());
    archive.add("record.json", &pretty(&exchange.to_json(number, true).into()));
    archive.add("difference.json", &pretty(&difference(exchange, contents)));
    archive.add("request.bin", &whole(&contents.request));
    archive.add("origin-answer.bin", &whole(&contents.origin));
    archive.add("target-answer.bin", &whole(&contents.target));
    archive.add("client-leg.pcapng", &frames::client_leg(exchange, contents));
    archive.add("target-leg.pcapng", &frames::target_leg(exchange, contents));
    let (name, script) = again::script(exchange, &contents.request);
    archive.add(name, script.as_bytes());
    archive.finish()
}

fn difference(exchange: &Exchange, contents: &Contents) -> Value {
    let record = exchange.to_json(0, true);
    let side =
        |said: &Said| json!({ "body_bytes": said.body_bytes, "body_bytes_kept": said.body.len(), "note": said.note });
    json!({
        "outcome": exchange.outcome.word(),
        "reason": exchange.reason,
        "differences": record.get("differences").cloned().unwrap_or_else(|| json!([])),
        "origin": side(&contents.origin),
        "target": side(&contents.target),
    })
}

fn whole(said: &Said) -> Vec<u8> {
    [said.head.as_slice(), &said.body].concat()
}

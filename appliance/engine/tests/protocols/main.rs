//! Framers, each by dialogues as they stand on the wire, cut at every place.

mod dialogue;
mod http2;
mod memcached;
mod mysql;
mod postgresql;
mod redis;
mod replies;

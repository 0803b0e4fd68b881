//! The HTTP/1 framer: a conversation is cut into the same messages however the segments cut it.

mod conversation;
mod gaps;
mod hostile;
mod messages;

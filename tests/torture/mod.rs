//! Everything that is wrong, over the wire: the answer is clear, or there is none, and the server lives.

mod config;
mod cti;
mod messages;
mod stream;

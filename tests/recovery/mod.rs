//! SIGKILL and start: what the built binary has of its calls afterwards.

mod calls;
mod connections;
mod disk;
mod voice;

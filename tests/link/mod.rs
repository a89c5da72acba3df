//! One server in several processes: the T-Server, and connectors with their phones. What a desktop does is the same as with one process;
//! and any process may be killed, and is back with what it had.

mod across;
mod calls;
mod connections;
mod copy;
mod pools;
mod restarts;
mod stage;

#[cfg(feature = "fault-injection")]
pub use stage::Split;

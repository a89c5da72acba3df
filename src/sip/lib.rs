//! SIP without IO: bytes and the time go in, bytes and events come out.
//!
//! * [`anchor`]: instants as they are kept.
//! * [`flow`]: transports and connections, by name.
//! * [`message`]: a lazy index over the bytes of one message, typed access to the headers that Tandem uses, builders, stream framing.
//! * [`transaction`]: the four transaction machines (RFC 3261 s.17, RFC 6026) and their timers.
//! * [`dialog`]: dialog state (RFC 3261 s.12), early dialogs of forks.
//! * [`identity`]: who calls, who forwarded, and which headers go from leg to leg.
//! * [`conference_info`]: the document of the conference event package (RFC 4575).
//! * [`session`]: limits of session descriptions, an origin for each leg, the inactive answer (RFC 8866, RFC 3264).
//! * [`digest`]: authentication, as a server and as a client (RFC 7616, RFC 8760).
//! * [`edge`]: a device whose connection is here and whose DN is elsewhere: flow tokens, Path, stateless forwarding (RFC 5626, RFC 3327).
//! * [`registrar`]: bindings (RFC 3261 s.10).
//! * [`source_rate`]: how many requests one source may send.
//! * [`ua`]: the user agent core that ties these together: sessions, transfers, subscriptions; what an actor holds.
//!
//! What this crate does not do: open sockets, read clocks, know calls or DNs.
//!
//! ```text
//!  datagram / stream ──► message ──► ua ──► transaction ──► dialog ──► UaEvent
//!  UaOutput::Send    ◄── builder ◄── ua ◄── transaction ◄── dialog ◄── command
//! ```

pub mod anchor;
pub mod conference_info;
pub mod dialog;
pub mod digest;
pub mod edge;
pub mod flow;
pub mod identity;
mod key;
pub mod message;
pub mod registrar;
pub mod session;
pub mod source_rate;
pub mod transaction;
pub mod ua;

//! The call model: what a call, a party, a DN and an event *are*, and how they change.
//!
//! Everything here is a pure machine: `fn handle(&mut self, input, now) -> outputs`. No actix, no tokio, no
//! socket, no clock (the time is an argument), no randomness (ids come from the caller).
//!
//! Two sides meet at [`link`]:
//! * the **T-Server side** ([`call`], [`room`], [`dn`], [`event_log`], [`numbering`]) owns what CTI clients see and knows no SIP;
//! * the **connector side** ([`conference`]) owns what the network sees and knows no agents.
//!
//! # Glossary
//! | term | meaning |
//! |---|---|
//! | DN | directory number: an addressable device, named by a lower-case SIP URI |
//! | call | what CTI clients see under one ConnID: parties in states, with user data |
//! | party | one DN's part in one call; it ends with exactly one terminal event |
//! | leg | one SIP INVITE session between Tandem and one device |
//! | conference | the connector's side of a live call: it owns the legs and joins their media |
//! | terminal event | EventReleased, EventAbandoned or EventDiverted: the one event that ends a party for clients |
//! | requestor | the client whose request an event answers; its copy alone carries the ReferenceID (the starred event) |
//! | external party | the far side of a trunk: no DN of ours, so it gets no events and shows only as OtherDN |
//! | numbering | which DNs are ours, and the dial rules that lead out through trunks |
//! | snapshot | the calls on a DN as its last events told them, for a client that registers later |
//! | connector | the actor (and thread) that controls one shard of the DNs on the SIP side |
//! | link | the message stream between the T-Server side and one connector |
//! | 1pcc / 3pcc | first-party (dialled on the phone) / third-party (asked for over CTI) call control |
//! | supervisor | what restarts actors; a person listening in is a *monitoring session* |
//!
//! # Sources
//! The documentation names where a rule comes from. *RFC 3261 s.9.1* is a section. *Seed 002 line N* is a line of the guide to the
//! product that this system re-creates: Genesys Multimedia Connector for Skype for Business, Deployment Guide. *T-Library reference
//! ch. N* are our notes on T-Library from public sources. Neither of these two is part of the repository.

pub mod call;
pub mod conference;
pub mod conference_pool;
pub mod dn;
pub mod error;
pub mod event;
pub mod event_log;
pub mod ids;
pub mod kvlist;
pub mod leg;
pub mod link;
pub mod numbering;
pub mod request;
pub mod room;
pub mod vocabulary;

pub use error::{TError, TErrorCode};
pub use event::{Event, EventName};
pub use ids::{CallUuid, ClientId, ConferenceId, ConnId, ConnectorId, DnId, LegId, PartyId, ReferenceId};
pub use kvlist::{KvList, KvValue};
pub use request::{Request, Requestor};
pub use vocabulary::*;

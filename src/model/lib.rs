//! The call model: what a call, a party, a DN and an event *are*, and how they change.
//!
//! Everything here is a pure machine: `fn handle(&mut self, input, now) -> outputs`. No actix, no tokio, no
//! socket, no clock (the time is an argument), no randomness (ids come from the caller).
//!
//! Two sides meet at [`link`]:
//! * the **T-Server side** ([`call`], [`room`], [`dn`], [`event_log`], [`numbering`]) owns what CTI clients see and knows no SIP;
//! * the **connector side** ([`conference`], [`conference_pool`]) owns what the network sees and knows no agents.
//!
//! Below the connector side lies [`leg`]: what a conference says to the SIP user agent and to the media plane, and what these tell it.
//! [`request`], [`event`], [`kvlist`], [`vocabulary`] and [`error`] are T-Library's words, [`ids`] the names of everything.
//!
//! # Glossary
//! | term | meaning |
//! |---|---|
//! | DN | directory number: an addressable device, named by a lower-case SIP URI |
//! | call | what CTI clients see under one ConnID: parties in states, with user data |
//! | party | one DN's part in one call; it ends with exactly one terminal event |
//! | leg | one SIP INVITE session between Tandem and one device |
//! | device | who is in a call, once, whatever happens to the calls between them: a T-Server party is a device in one call, a connector's party is a device |
//! | consultation call | a second call that a party makes out of a first one, to transfer or to confer; it runs in the first one's conference |
//! | conference | the connector's side of a live call and its consultation calls: it owns the legs and says who hears whom |
//! | conference resource | what serves one conference after the other; a connector makes them in advance in its *pool* |
//! | room | a conference that is dialled into: a DN with PIN, lobby and roster |
//! | audio plan | who hears whom and what else, for a whole conference at once; the T-Server side's word |
//! | media plane | the pump threads that receive, relay, mix and send audio |
//! | port | the media plane's end of one leg: two UDP sockets |
//! | pump thread | a thread of the media plane; all ports of a conference are on one |
//! | direct | two legs send audio to each other: descriptions are passed from leg to leg |
//! | anchored | a leg sends its audio to its port: descriptions are the plane's |
//! | media ladder | direct, relayed, mixed: a conference *climbs* (its legs are anchored by re-INVITE) when something needs the plane, and may *descend* |
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

pub mod anchor;
pub mod call;
pub mod conference;
pub mod conference_pool;
pub mod connector;
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

pub use anchor::Anchor;
pub use error::{TError, TErrorCode};
pub use event::{Event, EventName};
pub use ids::{CallUuid, ClientId, ConferenceId, ConnId, ConnectorId, DnId, LegId, PartyId, ReferenceId};
pub use kvlist::{KvList, KvValue};
pub use request::{Request, Requestor};
pub use vocabulary::*;

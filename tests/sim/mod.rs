//! The simulation: the whole runtime in one thread, in virtual time, from a seed.
//!
//! ```text
//!   desktops ── Gateway ──► the real actors, all on one arbiter ──► Network = Wire ◄── phones (real user agents)
//!                                                    ▲                      │  latency, loss, duplicates, dead links: from the seed
//!                                                    └────── Ingress ◄──────┘
//! ```
//!
//! | module | what |
//! |---|---|
//! | `wire` | the network: a queue of datagrams in virtual time |
//! | `phone` | a phone: a user agent and its manners |
//! | `desktop` | a CTI client and the record of what it asked and got |
//! | `process`, `side`, `cable` | a server of several processes, and what is between them |
//! | `world` | the tree with its phones and desktops, and the clock that drives them |
//! | `rules` | what must hold of every record, whatever happened |
//! | `rest` | what must hold while nothing happens: who is in talk hears, and who comes late is told how things stand |
//! | `chance` | a random world from a seed |
//! | `random` | many seeds |
//! | `storm` | panics at random |
//! | `hitch` | messages are lost, late and doubled inside the server, and connectors stand still for a moment |
//! | `recorder` | the metrics of this thread |
//! | `crash` | a panic in every kind of actor at every state of a call |
//! | `escalation` | panics that do not stop |
//! | `journal` | what a server that is killed leaves behind |
//! | `recovery` | the server is killed and comes back |
//! | `lost` | a connector comes back without its disk |
//! | `trouble` | links are cut, processes are killed and stopped, at random |
//! | `faithful` | two phones that talk to each other whatever happens |
//! | `races` | messages that meet in one mailbox |
//!
//! A seed that fails is printed; `TANDEM_SIM_SEED=<seed> cargo test --test tests sim::random -- --nocapture` plays it again, and
//! `TANDEM_SIM_SEEDS=<count>` plays more of them (`TANDEM_SIM_FIRST=<seed>` begins elsewhere), and `TANDEM_SIM_OPERATIONS=100000` as many as
//! it takes for so many requests of desktops and doings of phones.

mod cable;
mod chance;
mod crash;
mod desktop;
mod escalation;
mod faithful;
mod hitch;
mod journal;
mod lost;
mod media;
mod phone;
mod process;
mod races;
mod random;
mod recorder;
mod recovery;
mod rest;
mod rules;
mod side;
mod storm;
mod trouble;
mod wire;
mod world;

//! The integration tests: the built binary as its users meet it, from outside. One program, so that there is one link.
//!
//! | module | what |
//! |---|---|
//! | `tidy` | the habits of the tree: layering, file sizes, what stands nowhere |
//! | `rig` | the server, the clients and the peers of the tests, and how to wait |
//! | `scenario` | CTI and HTTP as a desktop and an operator use them |
//! | `drain` | going down without a caller noticing, reading the configuration again, what systemd hears |
//! | `fault` | `/v1/admin/fault`: what goes wrong on order, in a build that has it |
//! | `golden` | the events of whole calls, word by word |
//! | `store` | the journal: kills, disks that fail, the tools that look into it |
//! | `link` | the T-Server and a connector as two processes |
//! | `recovery` | SIGKILL and start under calls: the load generator's, and those of real phones |
//! | `interop` | real programs: SIPp, baresip, Prometheus |
//! | `torture` | everything that is wrong: messages, streams, frames, configurations |

mod drain;
mod fault;
mod golden;
mod interop;
mod link;
mod recovery;
mod rig;
mod scenario;
mod sim;
mod store;
mod tidy;
mod torture;

//! CTI, HTTP and SIP as desktops, operators and phones use them: what is refused and with which error, what is reported, how devices
//! register, how a server ends.

mod devices;
mod http;
mod identity;
mod reasons;
mod refusals;
mod server;
mod shards;

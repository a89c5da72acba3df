//! CTI and HTTP as a desktop and an operator use them: what is refused and with which error, what is reported, how a server ends.

mod http;
mod refusals;
mod server;

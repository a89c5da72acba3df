//! The typed configuration: one struct per section of the file.
//!
//! The structs hold no defaults and no ranges: those are the registry's ([`crate::registry`]), and a test proves that each field
//! stands there. What a field means in full, its valid values and when a change takes effect is printed by `tandem config options`.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

mod calling;
mod conference;
mod folder;
mod journal;
mod link;
mod media;
mod sizing;

pub use calling::{CallingMethod, Calls, DialPlan, DirectMedia, HandleDirectCalls, PassThrough};
pub(crate) use conference::NumberedUri;
pub use conference::{Announce, Conference, ConferenceDn};
pub use folder::{DEFAULT_POOL, DnFolder};
pub(crate) use folder::{SEPARATOR, is_default};
pub use journal::{Journal, JournalSync};
pub use link::{AddpTrace, Link, LinkProtocol, LinkTls};
pub use media::{Codec, DtmfMode, Media, MediaMode, MediaPriority, SymmetricRtp, ToneLocale};
pub use sizing::Sizing;

/// The whole configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This server.
    pub server: Server,
    /// The SIP stack.
    pub sip: Sip,
    /// Registrations.
    pub registrar: Registrar,
    /// The connectors: the threads that own the DNs on the SIP side.
    pub connectors: Connectors,
    /// The CTI protocol.
    pub cti: Cti,
    /// HTTP beside the CTI protocol, on the same port.
    pub http: Http,
    /// Logs.
    pub log: Log,
    /// Upper limits of what is held in memory.
    pub limits: Limits,
    /// The media plane.
    pub media: Media,
    /// What outlives the process.
    pub journal: Journal,
    /// The resources of conferences.
    pub conference: Conference,
    /// Connectors in processes of their own.
    pub link: Vec<Link>,
    /// The certificates of links.
    pub link_tls: LinkTls,
    /// How destinations are called, and which calls are kept hold of.
    pub calls: Calls,
    /// Folders of DNs, and the pools they map to.
    pub dn_folder: Vec<DnFolder>,
    /// DNs, one by one.
    pub dn: Vec<Dn>,
    /// DNs by the thousand.
    pub dn_range: Vec<DnRange>,
    /// Trunks.
    pub trunk: Vec<Trunk>,
    /// The dial plan; the first rule that matches decides.
    pub dial_rule: Vec<DialRule>,
    /// Conferences that are dialled into.
    pub conference_dn: Vec<ConferenceDn>,
    /// Dial-plan DNs: which destinations are called back-to-back.
    pub dial_plan: Vec<DialPlan>,
    /// The load that all this is meant for.
    pub sizing: Sizing,
}

/// `[server]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The server's name, as EventServerInfo tells CTI clients.
    pub name: String,
    /// How long a drain waits for live calls, in seconds.
    pub drain_timeout_s: u64,
}

/// `[sip]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sip {
    /// The listening sockets, in the order of preference for outgoing requests.
    pub listener: Vec<Listener>,
    /// The host names that are ours, at any port; the first one stands in the URIs that Tandem makes.
    pub domains: Vec<String>,
    /// The digest realm; see [`Sip::realm`].
    pub realm: Option<String>,
    /// The Server and User-Agent header; none is sent when empty.
    pub product: String,
    /// T1, the round-trip time estimate, in milliseconds.
    pub t1_ms: u64,
    /// T2, the longest retransmission interval, in milliseconds.
    pub t2_ms: u64,
    /// T4, the longest time a message stays in the network, in milliseconds.
    pub t4_ms: u64,
    /// How long a device may ring, in milliseconds.
    pub ring_timeout_ms: u64,
    /// The most INVITE sessions (legs) of one connector.
    pub max_sessions: usize,
    /// The most server transactions of one connector.
    pub max_transactions: usize,
    /// The send and receive buffer of each UDP socket, in bytes.
    pub udp_buffer_bytes: usize,
    /// A TCP connection is closed after this long without a byte, in seconds.
    pub tcp_idle_timeout_s: u64,
    /// The most TCP connections.
    pub tcp_max_connections: usize,
    /// The most TCP connections from one address.
    pub tcp_max_connections_per_source: usize,
    /// Requests that one address may send in a second; more are dropped. 0: no limit.
    pub max_requests_per_second_per_source: u32,
    /// The networks that `max_requests_per_second_per_source` is not for, besides the trunks' trusted sources.
    pub unlimited_sources: Vec<IpNet>,
    /// The digest algorithms offered in a challenge, strongest first.
    pub digest_algorithms: Vec<DigestAlgorithm>,
    /// How long a nonce is good for, in seconds.
    pub nonce_lifetime_s: u64,
    /// Whether devices are challenged; `false` is for closed laboratories.
    pub require_auth: bool,
    /// Failed authentications of one source, or one user, per minute; more are refused with 503, unread.
    pub auth_failures_per_minute: u32,
    /// How long a session lives without a refresh, in seconds; 0: no session timer is asked for.
    pub session_expires_s: u32,
    /// A shorter one is refused with 422, in seconds.
    pub min_se_s: u32,
    /// Whether provisional responses are sent reliably.
    pub reliable_provisionals: ReliableProvisionals,
    /// The headers that are copied from an incoming leg to the outgoing one.
    pub pass_through_headers: Vec<String>,
}

/// `[[sip.listener]]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The transport.
    pub transport: Transport,
    /// The address that is bound; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// The address that stands in Via and Contact; the bound one where absent.
    pub advertised: Option<SocketAddr>,
}

/// A SIP transport.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// A digest algorithm (RFC 8760).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum DigestAlgorithm {
    /// SHA-256.
    #[serde(rename = "SHA-256")]
    Sha256,
    /// MD5, for devices that know nothing better.
    #[serde(rename = "MD5")]
    Md5,
}

/// Whether provisional responses are sent reliably (RFC 3262).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReliableProvisionals {
    /// Never.
    Off,
    /// To peers that can; it is offered.
    Supported,
    /// It is asked of the devices that are called, and given to callers that can.
    Required,
}

/// `[registrar]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registrar {
    /// A shorter expiry is refused with 423, in seconds.
    pub min_expires_s: u32,
    /// The expiry of a registration that asks for none, in seconds.
    pub default_expires_s: u32,
    /// A longer expiry is shortened to this, in seconds.
    pub max_expires_s: u32,
    /// The most contacts of one address of record.
    pub max_contacts: usize,
}

/// `[connectors]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connectors {
    /// How many connectors run in this process; 0 is one per core. See [`Connectors::resolved_count`].
    pub count: usize,
    /// The capacity of one connector's mailbox, in messages.
    pub mailbox_capacity: usize,
}

/// `[cti]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cti {
    /// The address of the CTI WebSocket and of HTTP; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// The most CTI clients at a time.
    pub max_clients: usize,
    /// The frames that may wait for a slow client before it is disconnected with close code 4008.
    pub queue_capacity: usize,
    /// A larger frame closes the socket with code 1009, in bytes.
    pub max_frame_bytes: usize,
    /// How long a socket may stay open before its OpenServer, in seconds.
    pub open_timeout_s: u64,
    /// Events that are kept.
    pub retention_events: usize,
    /// How long events are kept, in seconds.
    pub retention_s: u64,
    /// How long a client that lost its connection may take to resume, in seconds; 0: no client resumes.
    pub resume_grace_s: u64,
    /// Whether events that no client is registered for are kept as well.
    pub retain_all_events: bool,
    /// The web origins from which a browser may connect; a client that sends no Origin is not a browser and needs none.
    pub allowed_origins: Vec<String>,
    /// Who may connect.
    pub api_key: Vec<ApiKey>,
}

/// `[[cti.api_key]]`. Once loaded, exactly one of `key` and `key_sha256` is there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Who the key belongs to; problems of the configuration name it.
    pub name: String,
    /// The key itself.
    pub key: Option<Secret>,
    /// The SHA-256 of the key, 64 lower-case hex digits.
    pub key_sha256: Option<String>,
    /// A file with the key in its first line; read into `key` when the configuration is loaded.
    pub key_file: Option<PathBuf>,
    /// What the key opens.
    pub scopes: Vec<Scope>,
}

/// What an API key opens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The CTI protocol: registering DNs, making and controlling calls.
    Cti,
    /// Reading over HTTP: /v1/calls, /v1/dns, /v1/connectors, and /metrics where it wants a key.
    Read,
    /// Administration over HTTP: /v1/admin.
    Admin,
}

/// `[http]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Worker threads that serve HTTP and the CTI protocol.
    pub workers: usize,
    /// Whether /metrics wants an API key with the scope `read`.
    pub metrics_require_key: bool,
}

/// `[log]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Lines for people or for machines.
    pub format: LogFormat,
    /// What is logged, as a filter of the `tracing` crate (`info`, `warn,tandem_sip=debug`).
    pub filter: String,
    /// Whether user data is masked in logs as `**** (length:nn)`.
    pub hide_sensitive_data: bool,
    /// Headers of link messages that are masked too.
    pub hide_header: Vec<String>,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[limits]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The most live calls; a new one above it is refused with 503.
    pub max_calls: usize,
}

/// `[[dn]]`: one DN.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dn {
    /// The SIP URI, lower case once loaded.
    pub dn: String,
    /// What kind of DN it is.
    #[serde(rename = "type")]
    pub kind: DnType,
    /// What is dialled to reach it; the user part of `dn` works always.
    pub number: Option<String>,
    /// The name shown to those it calls.
    pub display_name: Option<String>,
    /// The digest password; a DN without one registers from `trusted_sources` only.
    pub password: Option<Secret>,
    /// A file with the password in its first line; read into `password` when the configuration is loaded.
    pub password_file: Option<PathBuf>,
    /// Whether the device is asked to answer by itself when it is called first for a MakeCall.
    pub auto_answer: bool,
    /// Networks from which no digest is asked.
    pub trusted_sources: Vec<IpNet>,
    /// Where its audio goes; as in `[media]` where absent.
    pub media: Option<MediaMode>,
    /// The digest algorithms of its challenges; those of `[sip]` where absent.
    pub digest_algorithms: Option<Vec<DigestAlgorithm>>,
    /// Whether calls of its own client are handled; as in `[calls]` where absent.
    pub handle_direct_calls: Option<HandleDirectCalls>,
    /// Which media of them are; as in `[calls]` where absent.
    pub handle_direct_calls_media: Option<Vec<DirectMedia>>,
    /// Whether a call from which it is the last of ours to leave may go on; as in `[calls]` where absent.
    pub allow_pass_through_calls: Option<PassThrough>,
    /// The folder it is in; see [`Config::pool_of`].
    pub folder: Option<String>,
}

/// What kind of DN a `[[dn]]` is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnType {
    /// A device that registers.
    Extension,
}

/// `[[dn_range]]`: many DNs of one pattern; `{n}` in `dn` and `password` is each number from `first` to `last`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnRange {
    /// The SIP URI with `{n}` in its user part.
    pub dn: String,
    /// The first number.
    pub first: u64,
    /// The last number, included.
    pub last: u64,
    /// The digest password; may contain `{n}`.
    pub password: Option<Secret>,
    /// As in [`Dn`].
    pub auto_answer: bool,
    /// As in [`Dn`].
    pub trusted_sources: Vec<IpNet>,
    /// As in [`Dn`].
    pub media: Option<MediaMode>,
    /// As in [`Dn`].
    pub digest_algorithms: Option<Vec<DigestAlgorithm>>,
    /// As in [`Dn`].
    pub handle_direct_calls: Option<HandleDirectCalls>,
    /// As in [`Dn`].
    pub handle_direct_calls_media: Option<Vec<DirectMedia>>,
    /// As in [`Dn`].
    pub allow_pass_through_calls: Option<PassThrough>,
    /// As in [`Dn`].
    pub folder: Option<String>,
}

/// `[[trunk]]`: a peer that carries calls from and to the outside.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    /// The SIP URI of the Trunk DN, lower case once loaded.
    pub dn: String,
    /// Where its calls go: a SIP URI by address or by name, no user part (`sip:127.0.0.1:5090;transport=udp`).
    pub address: String,
    /// The networks its calls come from; none: it carries outgoing calls only.
    pub trusted_sources: Vec<IpNet>,
    /// Whether who calls is told to it, and believed of it, where the caller wants to be private.
    pub trusted_identity: bool,
    /// The user name for its challenges.
    pub username: Option<String>,
    /// The password for its challenges.
    pub password: Option<Secret>,
    /// A file with the password in its first line; read into `password` when the configuration is loaded.
    pub password_file: Option<PathBuf>,
    /// The realm the credentials are for; any where absent.
    pub realm: Option<String>,
    /// Where the audio of its calls goes; as in `[media]` where absent.
    pub media: Option<MediaMode>,
    /// Headers that stand in every INVITE sent to it, `Name: value`. See [`Trunk::custom_headers`].
    pub headers: Vec<String>,
    /// The folder it is in; see [`Config::pool_of`].
    pub folder: Option<String>,
}

/// `[[dial_rule]]`: what happens to a dialled number that is no DN of ours.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialRule {
    /// The numbers it is for.
    pub pattern: String,
    /// Digits taken off the front.
    pub strip: usize,
    /// Put before what is left.
    pub prepend: String,
    /// The DN of the trunk that carries the call; absent only where `allow` is false.
    pub trunk: Option<String>,
    /// `false` refuses the call.
    pub allow: bool,
    /// Whether calls that come in over a trunk may use it too.
    pub from_trunk: bool,
}

impl Sip {
    /// The digest realm: `realm`, or the first of `domains`.
    pub fn realm(&self) -> &str {
        self.realm
            .as_deref()
            .or(self.domains.first().map(String::as_str))
            .unwrap_or("tandem")
    }
}

impl Connectors {
    /// The number of connectors on a machine with that many cores: at least one.
    pub fn resolved_count(&self, cores: usize) -> usize {
        if self.count == 0 { cores.max(1) } else { self.count }
    }
}

impl Trunk {
    /// The headers as (name, value).
    pub fn custom_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim()))
    }
}

impl Config {
    /// Every DN that is configured: `[[dn]]`, then `[[dn_range]]` expanded.
    pub fn dns(&self) -> impl Iterator<Item = Dn> {
        self.dn.iter().cloned().chain(self.dn_range.iter().flat_map(DnRange::dns))
    }
}

impl DnRange {
    /// What stands for the number in `dn` and `password`.
    pub const PLACEHOLDER: &'static str = "{n}";

    /// The DNs of the range, in order.
    pub fn dns(&self) -> impl Iterator<Item = Dn> {
        (self.first..=self.last).map(|n| {
            let n = n.to_string();
            Dn {
                dn: self.dn.replace(Self::PLACEHOLDER, &n),
                kind: DnType::Extension,
                number: None,
                display_name: None,
                password: self
                    .password
                    .as_ref()
                    .map(|p| Secret::new(&p.reveal().replace(Self::PLACEHOLDER, &n))),
                password_file: None,
                auto_answer: self.auto_answer,
                trusted_sources: self.trusted_sources.clone(),
                media: self.media,
                digest_algorithms: self.digest_algorithms.clone(),
                handle_direct_calls: self.handle_direct_calls,
                handle_direct_calls_media: self.handle_direct_calls_media.clone(),
                allow_pass_through_calls: self.allow_pass_through_calls,
                folder: self.folder.clone(),
            }
        })
    }
}

//! The table itself: every option of Tandem, in the order of the documentation. The tables of the file that they stand in are in `tables`.

use super::Fallback::{Absent, Required, Value};
use super::Level::{ApiKey, App, ConferenceDn, DialPlan, DialRule, Dn, DnFolder, Link, Listener, Trunk};
use super::OptionSpec;
use super::TakesEffect::{AfterRestart, Immediately, NextCall, NextConference, NextTopologyChange};
use super::kind::Kind::{self, Boolean, CidrBlock, DialPattern, Digits, DnTemplate, DnUri, File, HexDigest, Host};
use super::kind::Kind::{DialPlanRule, HeaderLine, HeaderName, NumberedUri, Pin};
use super::kind::Kind::{Integer, IpAddress, List, LogFilter, OneOf, Origin, PeerUri, Secret, SocketAddress, Text};

const TRANSPORT: Kind = OneOf { values: &["udp", "tcp"] };
const DIGEST: Kind = OneOf {
    values: &["SHA-256", "MD5"],
};
const SCOPE: Kind = OneOf {
    values: &["cti", "read", "admin"],
};
const MEDIA_MODE: Kind = OneOf {
    values: &["direct", "anchored"],
};
const CODEC: Kind = OneOf {
    values: &["PCMU", "PCMA", "G722", "opus"],
};
const LINK_PROTOCOL: Kind = OneOf { values: &["tcp", "tls"] };
const ADDP_TRACE: Kind = OneOf {
    values: &["off", "false", "no", "local", "on", "true", "yes", "remote", "both", "full"],
};
const PASS_THROUGH: Kind = OneOf {
    values: &["all", "none", "iscc"],
};
const HANDLE_DIRECT: Kind = OneOf {
    values: &["true", "false", "on-login"],
};
const DIRECT_MEDIA: Kind = OneOf {
    values: &["all", "av", "im"],
};

const fn integer(min: i64, max: i64) -> Kind {
    Integer { min, max }
}

const fn list(of: &'static Kind, min: usize, max: usize) -> Kind {
    List { of, min, max }
}

macro_rules! options {
    ($($path:literal $level:ident, $kind:expr, $default:expr, $effect:ident, $source:literal: $($meaning:literal)+;)+) => {
        /// Every option, in the order of the documentation.
        pub const OPTIONS: &[OptionSpec] = &[$(OptionSpec {
            path: $path,
            level: $level,
            kind: $kind,
            default: $default,
            takes_effect: $effect,
            meaning: concat!($($meaning),+),
            source: $source,
        }),+];
    };
}

options! {
    "server.name" App, Text { min: 1, max: 64 }, Value("\"tandem\""), AfterRestart, "":
        "The server's name, as EventServerInfo tells CTI clients.";
    "server.drain_timeout_s" App, integer(0, 86_400), Value("30"), Immediately, "":
        "How long a drain (Ctrl-C, SIGTERM, `POST /v1/admin/drain`) waits for live calls before it ends them.";

    "sip.domains" App, list(&Host, 1, 64), Value("[\"tandem.local\"]"), AfterRestart, "RFC 3261 s.16.4":
        "The host names that are ours, at any port. A request URI with one of them, or with the address of a listener, names a DN of ours; \
         the first one stands in the URIs that Tandem makes.";
    "sip.realm" App, Text { min: 1, max: 128 }, Absent, AfterRestart, "RFC 7616 s.3.3":
        "The digest realm. Without it the first of `domains`. Devices that store a hash of their password must be told anew when it changes.";
    "sip.product" App, Text { min: 0, max: 128 }, Value("\"Tandem\""), AfterRestart, "RFC 3261 s.20.35, 20.41":
        "The Server and User-Agent header. Empty: none is sent.";
    "sip.t1_ms" App, integer(10, 10_000), Value("500"), AfterRestart, "RFC 3261 s.17.1.1.1":
        "T1, the estimate of the round-trip time, from which most timers follow (64*T1 is the timeout of a transaction).";
    "sip.t2_ms" App, integer(10, 60_000), Value("4000"), AfterRestart, "RFC 3261 s.17.1.2.2":
        "T2, the longest interval between retransmissions.";
    "sip.t4_ms" App, integer(10, 60_000), Value("5000"), AfterRestart, "RFC 3261 s.17.1.2.2":
        "T4, the longest time a message stays in the network.";
    "sip.ring_timeout_ms" App, integer(1_000, 600_000), Value("120000"), NextCall, "RFC 3261 s.16.6 (timer C)":
        "How long a device may ring before the attempt is cancelled and ends as not answered.";
    "sip.max_sessions" App, integer(2, 1_000_000), Value("100000"), AfterRestart, "":
        "The most INVITE sessions (legs; a call has two) of one connector. A new one above it gets 503 with Retry-After.";
    "sip.max_transactions" App, integer(2, 1_000_000), Value("200000"), AfterRestart, "":
        "The most server transactions of one connector. A new request above it gets 503 over TCP and is dropped over UDP.";
    "sip.udp_buffer_bytes" App, integer(65_536, 268_435_456), Value("4194304"), AfterRestart, "":
        "The send and receive buffer asked for each UDP socket. The system may grant less (`net.core.rmem_max`); a warning says so.";
    "sip.tcp_idle_timeout_s" App, integer(5, 86_400), Value("300"), AfterRestart, "RFC 3261 s.18":
        "A TCP connection is closed after this long without a byte. Devices keep theirs open with CRLF keep-alives (RFC 5626 s.3.5.1).";
    "sip.tcp_max_connections" App, integer(1, 1_000_000), Value("20000"), AfterRestart, "":
        "The most TCP connections.";
    "sip.tcp_max_connections_per_source" App, integer(1, 1_000_000), Value("10000"), AfterRestart, "":
        "The most TCP connections from one address.";
    "sip.max_requests_per_second_per_source" App, integer(0, 1_000_000), Value("1000"), Immediately, "":
        "Requests that one address (IPv6: one /64) may send in a second; what is above it is dropped and counted in \
         `tandem_sip_rate_limited_total`. The trusted sources of trunks have no such limit. 0: nobody has.";
    "sip.unlimited_sources" App, list(&CidrBlock, 0, 64), Value("[\"127.0.0.0/8\", \"::1/128\"]"), Immediately, "":
        "Networks without that limit: proxies in front of many devices, and this machine.";
    "sip.digest_algorithms" App, list(&DIGEST, 1, 2), Value("[\"SHA-256\", \"MD5\"]"), AfterRestart, "RFC 8760 s.2.2":
        "The digest algorithms of a challenge, the preferred one first. Without `MD5` older devices cannot register.";
    "sip.nonce_lifetime_s" App, integer(10, 86_400), Value("60"), AfterRestart, "RFC 7616 s.3.3":
        "How long a nonce is good for; then a device gets a new one with `stale=true`.";
    "sip.require_auth" App, Boolean, Value("true"), AfterRestart, "RFC 3261 s.22":
        "Whether devices are challenged. `false` believes every From header: for closed laboratories only.";
    "sip.auth_failures_per_minute" App, integer(1, 100_000), Value("30"), AfterRestart, "":
        "Failed authentications that one source, or one user, may have in a minute. More are refused with 503 and Retry-After, unread; \
         a source that the user got in from lately is not held to the user's count.";
    "sip.session_expires_s" App, integer(0, 86_400), Value("1800"), AfterRestart, "RFC 4028 s.4":
        "How long a session lives without a refresh. 0: no session timers.";
    "sip.min_se_s" App, integer(90, 86_400), Value("90"), AfterRestart, "RFC 4028 s.5":
        "A shorter session timer is refused with 422 and Min-SE.";
    "sip.reliable_provisionals" App, OneOf { values: &["off", "supported", "required"] }, Value("\"supported\""), AfterRestart, "RFC 3262 s.3, 4":
        "Whether provisional responses are sent reliably (100rel, PRACK): never; where both sides can; or always, which refuses callers that \
         cannot with 421.";
    "sip.pass_through_headers" App, list(&HeaderName, 0, 64), Value("[]"), AfterRestart, "seed 004 line 21":
        "Headers that are copied from the INVITE of an incoming leg to that of the outgoing one. Never those that belong to one leg.";

    "sip.listener[].transport" Listener, TRANSPORT, Value("\"udp\""), AfterRestart, "RFC 3261 s.18": "The transport.";
    "sip.listener[].bind" Listener, SocketAddress, Required, AfterRestart, "RFC 3261 s.18.2.1":
        "The address that is bound, `ip:port`, IPv6 in brackets. Port 0 lets the system choose.";
    "sip.listener[].advertised" Listener, SocketAddress, Absent, AfterRestart, "RFC 3261 s.18.1.1":
        "The address that stands in Via and Contact, where it is not the bound one (behind NAT, or bound to `0.0.0.0`).";

    "registrar.min_expires_s" App, integer(1, 86_400), Value("60"), AfterRestart, "RFC 3261 s.10.3 step 7":
        "A registration for a shorter time is refused with 423 and Min-Expires.";
    "registrar.default_expires_s" App, integer(1, 604_800), Value("3600"), AfterRestart, "RFC 3261 s.10.3 step 7":
        "The expiry of a registration that asks for none.";
    "registrar.max_expires_s" App, integer(1, 604_800), Value("7200"), AfterRestart, "RFC 3261 s.10.3 step 7":
        "A registration for a longer time is granted this one.";
    "registrar.max_contacts" App, integer(1, 100), Value("10"), AfterRestart, "RFC 3261 s.10.3":
        "The most contacts of one DN. All of them ring.";

    "connectors.count" App, integer(0, 256), Value("1"), AfterRestart, "":
        "How many connectors run in this process, each on a thread of its own with its share of the DNs; 0 is one per core.";
    "connectors.mailbox_capacity" App, integer(16, 1_000_000), Value("65536"), AfterRestart, "":
        "Messages that may wait for one connector; above it, what comes from the network is dropped (SIP over UDP sends it again) and a \
         MakeCall is refused.";

    "cti.bind" App, SocketAddress, Value("\"127.0.0.1:8088\""), AfterRestart, "":
        "The address of the CTI WebSocket and of HTTP, `ip:port`. Port 0 lets the system choose.";
    "cti.max_clients" App, integer(1, 100_000), Value("4096"), AfterRestart, "":
        "The most CTI clients at a time; one more is refused with 503.";
    "cti.queue_capacity" App, integer(16, 1_000_000), Value("8192"), AfterRestart, "":
        "Frames that may wait for a slow client; then it is disconnected with close code 4008. A call never waits for a client.";
    "cti.max_frame_bytes" App, integer(1_024, 1_048_576), Value("1048576"), AfterRestart, "":
        "A larger frame from a client closes its socket with code 1009.";
    "cti.open_timeout_s" App, integer(1, 3_600), Value("10"), AfterRestart, "":
        "How long a socket may stay open before its OpenServer request.";
    "cti.retention_events" App, integer(16, 10_000_000), Value("100000"), AfterRestart, "":
        "How many events are kept for clients that resume and for `/v1/events`. Each takes about one kilobyte of memory; one with much user data \
         counts as several.";
    "cti.retention_s" App, integer(1, 86_400), Value("300"), AfterRestart, "": "How long events are kept.";
    "cti.resume_grace_s" App, integer(0, 86_400), Value("120"), AfterRestart, "":
        "How long a client that lost its connection may take to resume. Until then its registrations hold, also one as Private, and its events are \
         kept as far as `cti.retention_events` and `cti.retention_s` go. 0: none resumes.";
    "cti.retain_all_events" App, Boolean, Value("false"), AfterRestart, "":
        "Whether events that no client is registered for are kept as well, so that `/v1/events?since=` goes back to before somebody watched. \
         Without it they are kept while somebody watches and `cti.retention_s` longer.";
    "cti.allowed_origins" App, list(&Origin, 0, 64), Value("[]"), AfterRestart, "RFC 6455 s.10.2":
        "The web origins (`https://desk.example.com`, or `*`) from which a browser may connect. A client without an Origin header is no \
         browser and needs none.";

    "cti.api_key[].name" ApiKey, Text { min: 1, max: 64 }, Required, Immediately, "": "Who the key belongs to; problems of the configuration name it.";
    "cti.api_key[].key" ApiKey, Secret { min: 8, max: 256 }, Absent, Immediately, "": "The key itself.";
    "cti.api_key[].key_sha256" ApiKey, HexDigest, Absent, Immediately, "":
        "The SHA-256 of the key, so that the file holds no secret: `printf %s KEY | sha256sum`.";
    "cti.api_key[].key_file" ApiKey, File, Absent, Immediately, "":
        "A file with the key in its first line; a relative path starts at the configuration file.";
    "cti.api_key[].scopes" ApiKey, list(&SCOPE, 1, 3), Value("[\"cti\", \"read\"]"), Immediately, "":
        "What the key opens: `cti` the CTI protocol, `read` reading over HTTP, `admin` administration over HTTP (`/v1/admin`).";

    "http.workers" App, integer(1, 64), Value("1"), AfterRestart, "": "Threads that serve HTTP and the CTI protocol.";
    "http.metrics_require_key" App, Boolean, Value("false"), AfterRestart, "":
        "Whether `/metrics` wants an API key with the scope `read`.";

    "log.format" App, OneOf { values: &["text", "json"] }, Value("\"text\""), AfterRestart, "": "Lines for people, or one JSON object per line.";
    "log.filter" App, LogFilter, Value("\"info\""), Immediately, "":
        "What is logged: a level, or levels by module, separated by commas (`warn,tandem_sip=debug`).";
    "log.hide_sensitive_data" App, Boolean, Value("true"), AfterRestart, "seed 002 line 2485":
        "Whether user data is masked in logs as `**** (length:nn)`. (`hide-sensitive-data` of the seed.)";

    "log.hide_header" App, list(&Text { min: 1, max: 64 }, 0, 64), Value("[]"), AfterRestart, "seed 002 line 2502":
        "Headers of link messages that are logged as `**** (length:nn)`, besides `Data` and `Treatment-Params`; `body` is the body of a \
         message. Messages are logged where `filter` has `tandem_actors::link=debug`.";

    "limits.max_calls" App, integer(1, 1_000_000), Value("50000"), Immediately, "":
        "The most live calls; a new one above it is refused with 503 and Retry-After, a MakeCall with error 111.";

    "media.mode" App, MEDIA_MODE, Value("\"direct\""), AfterRestart, "":
        "Where the audio of two parties goes: from device to device until something needs the media plane (music on hold, a third party, a \
         tone, a prompt), or through the media plane always.";
    "media.descend" App, Boolean, Value("false"), AfterRestart, "":
        "Whether a call that needs the media plane no more goes back to direct, with one more re-INVITE for each device.";
    "media.bind" App, IpAddress, Value("\"127.0.0.1\""), AfterRestart, "": "The address that the ports of the media plane are bound to.";
    "media.advertised" App, IpAddress, Absent, AfterRestart, "RFC 8866 s.5.7":
        "The address that stands in session descriptions, where it is not the bound one (behind NAT, or bound to `0.0.0.0`).";
    "media.port_first" App, integer(1_024, 65_534), Value("20000"), AfterRestart, "RFC 3550 s.11":
        "The first UDP port. A leg has two: an even one for RTP, the odd one above it for RTCP.";
    "media.port_last" App, integer(1_025, 65_535), Value("39999"), AfterRestart, "RFC 3550 s.11": "The last UDP port, included.";
    "media.threads" App, integer(0, 256), Value("0"), AfterRestart, "": "How many threads carry media; 0 is one per core.";
    "media.priority" App, OneOf { values: &["realtime", "normal"] }, Value("\"realtime\""), AfterRestart, "sched(7)":
        "Whether those threads come before everything else on the machine, so that audio waits for nothing. `realtime` takes CAP_SYS_NICE or \
         RLIMIT_RTPRIO (`LimitRTPRIO=1` in a systemd unit); without them a larger share of the time is taken where that is allowed, and the log says \
         which it is. A thread that needs most of a core for a second goes back to normal until it is calm, and the kernel keeps 5 % of the time \
         for the rest (`kernel.sched_rt_runtime_us`).";
    "media.codecs" App, list(&CODEC, 1, 4), Value("[\"PCMU\", \"PCMA\", \"G722\", \"opus\"]"), AfterRestart, "RFC 3264 s.5.1":
        "The codecs that the media plane offers, the preferred one first.";
    "media.dtmf" App, OneOf { values: &["rfc4733", "info", "inband"] }, Value("\"rfc4733\""), AfterRestart, "RFC 4733, RFC 6086":
        "How digits are sent to a device: as telephone events (in the audio to one that cannot do that), as SIP INFO, or in the audio.";
    "media.symmetric" App, OneOf { values: &["learn", "strict", "follow"] }, Value("\"learn\""), AfterRestart, "RFC 4961":
        "Packets that come from elsewhere than the device said (NAT): the first such source is learnt and held to; none is taken; or the \
         newest is followed, which lets a stranger who finds the port take the audio.";
    "media.stall_timeout_s" App, integer(0, 86_400), Value("30"), AfterRestart, "":
        "How long nothing may come from a device that is to send before that is counted in `tandem_rtp_stalls_total`. 0: it never is.";
    "media.locale" App, OneOf { values: &["us", "uk", "de", "fr"] }, Value("\"us\""), AfterRestart, "ITU-T E.180":
        "Whose ringback, busy and other tones are played.";
    "media.music_directory" App, File, Absent, Immediately, "":
        "The directory with the music on hold; a relative path starts at the configuration file.";
    "media.music" App, File, Absent, Immediately, "seed 002 line 2641":
        "The music on hold where nothing else is asked for, in `music_directory`. Without it those on hold hear a soft tone from time to \
         time. Who is on hold when it changes goes on hearing what began. (`music-on-hold-file-path` of the seed.)";
    "media.prompt_directory" App, File, Absent, AfterRestart, "":
        "The directory with the prompts; a relative path starts at the configuration file. A tone stands for a prompt that is not there.";

    "journal.enabled" App, Boolean, Value("true"), AfterRestart, "":
        "Whether there is a journal. Without one, a server that is killed starts with no call and no registration.";
    "journal.dir" App, File, Absent, AfterRestart, "systemd.exec(5)":
        "Its directory, made where it is missing; one server has it at a time. A relative path starts at the configuration file. Without it: \
         `journal` in `$STATE_DIRECTORY` where systemd gives one, else `tandem-data/journal` beside the configuration file.";
    "journal.sync" App, OneOf { values: &["none", "interval"] }, Value("\"interval\""), AfterRestart, "fdatasync(2)":
        "What a loss of power may cost: whatever the operating system has not written yet (half a minute, as a rule), or what is younger than \
         `sync_interval_ms`. A killed process loses nothing either way.";
    "journal.sync_interval_ms" App, integer(10, 60_000), Value("1000"), AfterRestart, "":
        "How often what was written is brought to the disk where `sync` is `interval`, in milliseconds.";
    "journal.segment_bytes" App, integer(65_536, 1_073_741_824), Value("16777216"), AfterRestart, "":
        "A segment file is closed at this size, in bytes. Larger ones are read longer at the start.";
    "journal.fold_interval_ms" App, integer(100, 600_000), Value("10000"), AfterRestart, "":
        "How often closed segments are folded into the database, in milliseconds. A call that begins and ends within it never gets there.";

    "conference.max_parties" App, integer(2, 10_000), Value("100"), NextConference, "": "The most parties of one conference.";
    "conference.pool_size" App, integer(0, 6_000), Value("0"), Immediately, "seed 002 line 1299":
        "How many conferences each connector keeps made in advance: 1.2 times the most calls at a time, divided by the connectors that are \
         always there. (`conference-pool-size` of the seed.)";
    "conference.caching_enabled" App, Boolean, Value("true"), Immediately, "seed 002 line 846":
        "Whether a conference that has ended is used again, whether it was made in advance or for a call. (`caching-enabled` of the seed.)";
    "conference.reuse_avcall" App, integer(0, 1_000_000), Value("0"), Immediately, "seed 002 line 1305":
        "How many times a conference is used again before it is given up; 0: as often as it is wanted. (`reuse-avcall` of the seed.)";
    "conference.uri_pattern" App, NumberedUri, Absent, NextConference, "seed 002 line 1089":
        "The names of the conference endpoints: `{DD}` is each number from 1 to `count`, filled up with zeros. The conferences of a connector are \
         spread over them (`/v1/connectors`). The one that serves a call is the caller identity of its back-to-back calls without a `cpn`.";
    "conference.count" App, integer(0, 999_999), Value("0"), NextConference, "seed 002 line 1089": "How many conference endpoints there are.";
    "conference.lobby_bypass_enabled" App, Boolean, Value("true"), NextConference, "seed 002 line 2203":
        "Whether those who dial into a conference are admitted at once; else they wait in a lobby. (`lobby-bypass-enabled` of the seed.)";

    "link[].name" Link, Text { min: 1, max: 64 }, Required, AfterRestart, "seed 002 line 905":
        "The connector's name (`link-n-name` of the seed). The order of the links numbers the connectors: put a new one at the end.";
    "link[].hostname" Link, Host, Required, AfterRestart, "seed 002 line 910": "The host where the connector runs.";
    "link[].port" Link, integer(1, 65_535), Required, AfterRestart, "seed 002 line 911": "The port that it listens on.";
    "link[].bind" Link, SocketAddress, Absent, AfterRestart, "":
        "Where the connector listens; `hostname` and `port` where absent. Whoever reaches a `tcp` link controls the connector: keep it on a \
         network of its own, or use `tls` with `authorities_file`.";
    "link[].http_bind" Link, SocketAddress, Absent, AfterRestart, "":
        "Where the connector serves HTTP for its operators: `/livez`, `/readyz`, `/metrics`, and with a key `/v1/connectors` and `/v1/admin`. \
         Without it there is none; `tandem connector --http` comes before it. Port 0 lets the system choose.";
    "link[].protocol" Link, LINK_PROTOCOL, Value("\"tcp\""), AfterRestart, "seed 002 line 912": "What is spoken on it.";
    "link[].pool_name" Link, Text { min: 0, max: 64 }, Value("\"default\""), AfterRestart, "seed 002 line 2810":
        "The pool that the connector serves, the `pool_name` of a `[[dn_folder]]`; empty is the default one. (`pool-name` of the seed.)";
    "link[].use_certificate" Link, Boolean, Value("true"), AfterRestart, "seed 002 line 2817":
        "Whether the T-Server shows the certificate of `[link_tls]` to this connector, where there is one. For pools other than the default one; \
         in that it always does. (`use-certificate` of the seed.)";
    "link[].addp_timeout_s" Link, integer(0, 3600), Value("5"), AfterRestart, "options reference ch. J":
        "After how long of silence the T-Server polls the connector, and how long it then waits before the link counts as lost, in seconds. \
         0: it does not poll. (`addp-timeout` of T-Server.)";
    "link[].addp_remote_timeout_s" Link, integer(0, 3600), Value("5"), AfterRestart, "options reference ch. J":
        "The same for the connector's polls of the T-Server. (`addp-remote-timeout` of T-Server.)";
    "link[].addp_trace" Link, ADDP_TRACE, Value("\"off\""), AfterRestart, "options reference ch. J":
        "Which end logs its polling: `local` is the T-Server, `remote` the connector; `full` is `both`, `on` is `local`. (`addp-trace`.)";

    "link_tls.certificate_file" App, File, Absent, AfterRestart, "seed 002 line 2743 (conn-certificate)":
        "The certificate chain that this end shows, PEM. A connector needs one. A relative path starts at the configuration file.";
    "link_tls.private_key_file" App, File, Absent, AfterRestart, "": "Its private key, PEM.";
    "link_tls.authorities_file" App, File, Absent, AfterRestart, "":
        "The authorities that the other end's certificate must come from, PEM. A T-Server needs it. A connector that has it refuses a T-Server \
         without a certificate of theirs.";

    "calls.calling_method_dialplan" App, DnUri, Absent, NextCall, "seed 002 line 1953":
        "The dial plan in force: the `dn` of a `[[dial_plan]]`. (`calling-method-dialplan` of the seed.)";
    "calls.cpn" App, DnUri, Absent, NextCall, "seed 002 line 1953":
        "The caller identity that the destination of a back-to-back call is shown. The dial plan's comes first, and `CPNDigits` of the request before it. \
         Without any it is the conference endpoint (`uri_pattern` of `[conference]`), or where there is none whoever calls.";
    "calls.allow_pass_through_calls" App, PASS_THROUGH, Value("\"all\""), NextTopologyChange, "seed 002 line 2412":
        "Whether a call may go on when none of its parties is a DN of ours: always; never (it is released, and a request that would make \
         one is refused); or where a party is at another T-Server. (`allow-pass-through-calls` of the seed.)";
    "calls.handle_direct_calls" App, HANDLE_DIRECT, Value("\"true\""), NextCall, "seed 002 line 2396":
        "Whether calls that a DN's own client makes or gets are handled: always, never, or while an agent is logged in there. A call keeps \
         what held when it began. \
         (`handle-direct-calls` of the seed.)";
    "calls.handle_direct_calls_media" App, list(&DIRECT_MEDIA, 1, 3), Value("[\"all\"]"), NextCall, "seed 002 line 2377":
        "Which media of such calls are handled. (`handle-direct-calls-media` of the seed.)";

    "dn_folder[].name" DnFolder, Text { min: 1, max: 256 }, Required, NextCall, "seed 002 line 2765":
        "Its name. One that is in another begins with the name of that and `/` (`Pool11/Env11`).";
    "dn_folder[].pool_name" DnFolder, Text { min: 0, max: 64 }, Absent, NextCall, "seed 002 line 2767":
        "The pool of the DNs in it and below. Without it, when empty and with `default`: the default pool. A pool other than that has one folder; \
         below the first level there is none. (`pool-name` of the seed.)";
    "dn_folder[].max_calls" DnFolder, integer(1, 1_000_000), Absent, Immediately, "seed 002 line 2135":
        "The most calls at a time that are expected in the pool, for `tandem config check`. Without it, its part of `max_calls` of `[sizing]`, by \
         its part of the DNs.";
    "dn_folder[].allow_pass_through_calls" DnFolder, PASS_THROUGH, Absent, NextTopologyChange, "seed 002 line 2778":
        "As in `[calls]`, for calls that a DN of this pool leaves. One of the DN's own comes first.";
    "dn_folder[].calling_method_dialplan" DnFolder, DnUri, Absent, NextCall, "seed 002 line 2780":
        "As in `[calls]`, for what the DNs of this pool call.";
    "dn_folder[].cpn" DnFolder, DnUri, Absent, NextCall, "seed 002 line 2781": "As in `[calls]`, for what the DNs of this pool call.";
    "dn_folder[].music" DnFolder, File, Absent, Immediately, "seed 002 line 2786 (musicOnHoldFilePath)":
        "As in `[media]`, at the connectors of this pool.";
    "dn_folder[].conference_pool_size" DnFolder, integer(0, 6_000), Absent, Immediately, "seed 002 line 2789":
        "As `pool_size` of `[conference]`, for each connector of this pool. (`conference-pool-size` of the seed.)";
    "dn_folder[].caching_enabled" DnFolder, Boolean, Absent, Immediately, "seed 002 line 2788": "As in `[conference]`, at the connectors of this pool.";
    "dn_folder[].reuse_avcall" DnFolder, integer(0, 1_000_000), Absent, Immediately, "seed 002 line 2790":
        "As in `[conference]`, at the connectors of this pool.";
    "dn_folder[].uri_pattern" DnFolder, NumberedUri, Absent, NextConference, "seed 002 line 2806":
        "As in `[conference]`, at the connectors of this pool.";
    "dn_folder[].count" DnFolder, integer(0, 999_999), Absent, NextConference, "seed 002 line 2806":
        "As in `[conference]`, at the connectors of this pool.";
    "dn_folder[].lobby_bypass_enabled" DnFolder, Boolean, Absent, NextConference, "seed 002 line 2806":
        "As in `[conference]`, for the conference DNs of this pool.";

    "dn[].dn" Dn, DnUri, Required, Immediately, "":
        "The SIP URI that names it, without parameters (`sip:alice@tandem.local`). Case does not matter. A DN that is new can be registered at \
         once; one that is gone is out of service, and the calls that it has go on until they end.";
    "dn[].type" Dn, OneOf { values: &["extension"] }, Value("\"extension\""), NextCall, "seed 002 line 611": "What kind of DN it is.";
    "dn[].number" Dn, Digits { min: 1 }, Absent, NextCall, "": "A number that reaches it too. The user part of `dn` does so always.";
    "dn[].display_name" Dn, Text { min: 1, max: 128 }, Absent, NextCall, "RFC 3261 s.20.10": "The name shown to those it calls.";
    "dn[].password" Dn, Secret { min: 1, max: 256 }, Absent, Immediately, "RFC 3261 s.22":
        "The digest password. A DN without one registers from its `trusted_sources` only. A device that is registered when it changes stays so until \
         it has to register again.";
    "dn[].password_file" Dn, File, Absent, Immediately, "":
        "A file with the password in its first line; a relative path starts at the configuration file.";
    "dn[].auto_answer" Dn, Boolean, Value("false"), NextCall, "RFC 5373, RFC 3261 s.20.9":
        "Whether the device is asked to answer by itself (Call-Info `answer-after=0`, Alert-Info) when a MakeCall calls it first.";
    "dn[].trusted_sources" Dn, list(&CidrBlock, 0, 64), Value("[]"), Immediately, "": "Networks from which this DN needs no digest (`10.1.0.0/16`).";
    "dn[].media" Dn, MEDIA_MODE, Absent, NextCall, "": "Where its audio goes. Without it, as in `[media]`.";
    "dn[].digest_algorithms" Dn, list(&DIGEST, 1, 2), Absent, Immediately, "RFC 8760 s.2.2":
        "The digest algorithms of its challenges, for a device that knows one only. Without it, those of `[sip]`.";
    "dn[].handle_direct_calls" Dn, HANDLE_DIRECT, Absent, NextCall, "seed 002 line 2396": "As in `[calls]`, for this DN.";
    "dn[].handle_direct_calls_media" Dn, list(&DIRECT_MEDIA, 1, 3), Absent, NextCall, "seed 002 line 2377": "As in `[calls]`, for this DN.";
    "dn[].allow_pass_through_calls" Dn, PASS_THROUGH, Absent, NextTopologyChange, "seed 002 line 2435": "As in `[calls]`, for this DN.";
    "dn[].folder" Dn, Text { min: 1, max: 256 }, Absent, NextCall, "seed 002 line 2767":
        "The folder it is in, a `[[dn_folder]]` or below one. Without it, it belongs to the default pool.";

    "dn_range[].dn" Dn, DnTemplate, Required, Immediately, "": "The SIP URI, with `{n}` once in its user part (`sip:{n}@tandem.local`).";
    "dn_range[].first" Dn, integer(0, 999_999_999_999), Required, Immediately, "": "The first number.";
    "dn_range[].last" Dn, integer(0, 999_999_999_999), Required, Immediately, "": "The last number, included. A range has 100,000 DNs at most.";
    "dn_range[].password" Dn, Secret { min: 1, max: 256 }, Absent, Immediately, "RFC 3261 s.22": "The digest password; may contain `{n}`.";
    "dn_range[].auto_answer" Dn, Boolean, Value("false"), NextCall, "RFC 5373, RFC 3261 s.20.9": "As `auto_answer` of `[[dn]]`.";
    "dn_range[].trusted_sources" Dn, list(&CidrBlock, 0, 64), Value("[]"), Immediately, "": "As `trusted_sources` of `[[dn]]`.";
    "dn_range[].media" Dn, MEDIA_MODE, Absent, NextCall, "": "Where its audio goes. Without it, as in `[media]`.";
    "dn_range[].digest_algorithms" Dn, list(&DIGEST, 1, 2), Absent, Immediately, "RFC 8760 s.2.2":
        "The digest algorithms of its challenges, for a device that knows one only. Without it, those of `[sip]`.";
    "dn_range[].handle_direct_calls" Dn, HANDLE_DIRECT, Absent, NextCall, "seed 002 line 2396": "As in `[calls]`, for this DN.";
    "dn_range[].handle_direct_calls_media" Dn, list(&DIRECT_MEDIA, 1, 3), Absent, NextCall, "seed 002 line 2377": "As in `[calls]`, for this DN.";
    "dn_range[].allow_pass_through_calls" Dn, PASS_THROUGH, Absent, NextTopologyChange, "seed 002 line 2435": "As in `[calls]`, for this DN.";
    "dn_range[].folder" Dn, Text { min: 1, max: 256 }, Absent, NextCall, "seed 002 line 2767":
        "The folder they are in, a `[[dn_folder]]` or below one. Without it, they belong to the default pool.";

    "trunk[].dn" Trunk, DnUri, Required, Immediately, "": "The SIP URI that names the Trunk DN (`sip:trunk-a@tandem.local`).";
    "trunk[].address" Trunk, PeerUri, Required, NextCall, "RFC 3263":
        "Where its calls go: a SIP URI without a user part, by address or by name, with `;transport=` where it matters \
         (`sip:127.0.0.1:5090;transport=udp`). A name without a port is looked up with NAPTR and SRV.";
    "trunk[].trusted_sources" Trunk, list(&CidrBlock, 0, 64), Value("[]"), NextCall, "":
        "The networks its calls come from; they are not challenged. None: the trunk carries outgoing calls only.";
    "trunk[].trusted_identity" Trunk, Boolean, Value("true"), NextCall, "RFC 3325 s.2.3":
        "Whether it is of our trust domain: who calls is taken from its P-Asserted-Identity (or Remote-Party-ID), and it is told who calls in \
         P-Asserted-Identity, with the caller's Privacy. Towards one that is not, a caller that asks for privacy is anonymous, and what it says \
         of a caller stands in From alone.";
    "trunk[].username" Trunk, Text { min: 1, max: 128 }, Absent, NextCall, "RFC 3261 s.22.2": "The user name for its challenges.";
    "trunk[].password" Trunk, Secret { min: 1, max: 256 }, Absent, NextCall, "RFC 3261 s.22.2": "The password for its challenges.";
    "trunk[].password_file" Trunk, File, Absent, NextCall, "":
        "A file with the password in its first line; a relative path starts at the configuration file.";
    "trunk[].realm" Trunk, Text { min: 1, max: 128 }, Absent, NextCall, "RFC 3261 s.22.2": "The realm the credentials are for. Without it, any.";
    "trunk[].media" Trunk, MEDIA_MODE, Absent, NextCall, "": "Where the audio of its calls goes. Without it, as in `[media]`.";
    "trunk[].headers" Trunk, list(&HeaderLine, 0, 32), Value("[]"), NextCall, "seed 004 line 17":
        "Headers that stand in every INVITE sent to it (`X-Tenant: 7`).";
    "trunk[].folder" Trunk, Text { min: 1, max: 256 }, Absent, NextCall, "seed 002 line 2767":
        "The folder it is in, a `[[dn_folder]]` or below one. Without it, it belongs to the default pool.";

    "dial_rule[].pattern" DialRule, DialPattern, Required, NextCall, "":
        "The numbers it is for: digits, `+`, `*`, `#` for themselves, `X` any digit, `Z` 1 to 9, `N` 2 to 9, `.` at the end any rest. With \
         `@host` it is for addresses at that foreign host (`.@pbx.example.com`; `.@*.example.com` for every host below it).";
    "dial_rule[].strip" DialRule, integer(0, 64), Value("0"), NextCall, "": "How many digits are taken off the front.";
    "dial_rule[].prepend" DialRule, Digits { min: 0 }, Value("\"\""), NextCall, "": "What is put before the rest.";
    "dial_rule[].trunk" DialRule, DnUri, Absent, NextCall, "": "The DN of the trunk that carries the call. Needed unless `allow` is false.";
    "dial_rule[].allow" DialRule, Boolean, Value("true"), NextCall, "": "`false` refuses the call.";
    "dial_rule[].from_trunk" DialRule, Boolean, Value("false"), NextCall, "":
        "Whether calls that come in over a trunk may use it too. Off, so that nobody calls through Tandem at the owner's cost.";

    "conference_dn[].dn" ConferenceDn, DnUri, Required, Immediately, "": "The SIP URI that names it (`sip:meeting@tandem.local`).";
    "conference_dn[].number" ConferenceDn, Digits { min: 1 }, Absent, NextCall, "": "A number that reaches it too. The user part of `dn` does so always.";
    "conference_dn[].display_name" ConferenceDn, Text { min: 1, max: 128 }, Absent, NextCall, "RFC 4575 s.5.3": "The name shown.";
    "conference_dn[].pin" ConferenceDn, Pin, Absent, NextConference, "":
        "The digits that let a joiner in, ended with `#`. Without any PIN, all are let in.";
    "conference_dn[].pin_file" ConferenceDn, File, Absent, NextConference, "":
        "A file with the PIN in its first line; a relative path starts at the configuration file.";
    "conference_dn[].moderator_pin" ConferenceDn, Pin, Absent, NextConference, "": "The digits that let a joiner in as moderator.";
    "conference_dn[].moderator_pin_file" ConferenceDn, File, Absent, NextConference, "":
        "A file with the moderator's PIN in its first line; a relative path starts at the configuration file.";
    "conference_dn[].max_parties" ConferenceDn, integer(2, 10_000), Absent, NextConference, "":
        "The most parties, those who have not given their PIN yet included. Without it, as in `[conference]`.";
    "conference_dn[].announce" ConferenceDn, OneOf { values: &["tone", "none"] }, Value("\"tone\""), NextConference, "":
        "How those in the conference learn that somebody comes or goes.";
    "conference_dn[].lobby" ConferenceDn, Boolean, Absent, NextConference, "seed 002 line 2203":
        "Whether a joiner waits, with music, until a moderator is there or a desktop admits it. Without it, as `lobby_bypass_enabled` of `[conference]` \
         or of its pool says.";
    "conference_dn[].music" ConferenceDn, Boolean, Value("true"), NextConference, "": "Whether a party that is alone hears music.";
    "conference_dn[].folder" ConferenceDn, Text { min: 1, max: 256 }, Absent, NextCall, "seed 002 line 2767":
        "The folder it is in, a `[[dn_folder]]` or below one. Without it, it belongs to the default pool.";

    "dial_plan[].dn" DialPlan, DnUri, Required, NextCall, "seed 002 line 1953": "The SIP URI that names it (`sip:dialplan@tandem.local`).";
    "dial_plan[].rules" DialPlan, list(&DialPlanRule, 1, 1_000), Required, NextCall, "seed 002 line 1969":
        "The destinations it is for, one pattern each: `{` and `}` round its variable part, in there `D` one digit, `S` one character, `#` any \
         digits, `*` any characters; case does not matter. (`dial-plan-rule-<n>` of the seed.)";
    "dial_plan[].calling_method" DialPlan, OneOf { values: &["b2b", "dialout"] }, Value("\"dialout\""), NextCall, "seed 002 line 1953":
        "How such a destination is called: by a back-to-back leg, or out of the conference. (`calling-method` of the seed.)";
    "dial_plan[].cpn" DialPlan, DnUri, Absent, NextCall, "seed 002 line 1953":
        "The caller identity that such a destination is shown, where it is called back-to-back. (`cpn` of the seed.)";

    "sizing.max_calls" App, integer(1, 1_000_000), Absent, Immediately, "seed 002 line 2135":
        "The most calls at a time that are expected of all pools together. Without it `max_calls` of `[limits]`, where the file sets that.";
    "sizing.stopped_connectors" App, integer(0, 256), Value("0"), Immediately, "seed 002 line 2137":
        "How many connectors of each pool may be stopped at any time.";
}

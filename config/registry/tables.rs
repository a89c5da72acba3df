//! The tables of the file, in the order of the documentation.

use super::TableSpec;

const fn single(path: &'static str, meaning: &'static str) -> TableSpec {
    TableSpec {
        path,
        default: None,
        meaning,
    }
}

const fn array(path: &'static str, default: &'static str, meaning: &'static str) -> TableSpec {
    TableSpec {
        path,
        default: Some(default),
        meaning,
    }
}

/// Every table, in the order of the documentation.
pub const TABLES: &[TableSpec] = &[
    single("server", "This server."),
    single("sip", "The SIP stack."),
    array(
        "sip.listener[]",
        "[{ transport = \"udp\", bind = \"127.0.0.1:5060\" }, { transport = \"tcp\", bind = \"127.0.0.1:5060\" }]",
        "A listening socket. Their order is the order of preference for outgoing requests. Without any, Tandem listens on \
         `127.0.0.1:5060` over UDP and TCP.",
    ),
    single("registrar", "Registrations of devices."),
    single(
        "connectors",
        "Connectors: the threads that own the DNs on the SIP side, each a share of them.",
    ),
    single("cti", "The CTI protocol: WebSocket at `/v1/cti`."),
    array(
        "cti.api_key[]",
        "[]",
        "Who may use the CTI protocol and HTTP. Exactly one of `key`, `key_sha256` and `key_file`.",
    ),
    single("http", "HTTP beside the CTI protocol, on the port of `cti.bind`."),
    single("log", "Logs, on standard error."),
    single("limits", "Upper limits of what is held in memory."),
    single(
        "media",
        "The media plane: music, tones, conferences, and audio that must pass through Tandem.",
    ),
    single(
        "journal",
        "The journal: what is kept on disk so that calls, registrations and events outlive the process. `tandem demo` has none.",
    ),
    single("conference", "The resources of conferences."),
    array(
        "link[]",
        "[]",
        "A connector that runs in a process of its own (`tandem connector --name NAME`), as `tandem tserver` reaches it and as it listens. \
         `tandem serve` has its connectors in the same process and needs none.",
    ),
    single(
        "link_tls",
        "The certificates of links whose `protocol` is `tls`: this end's own, and whom it trusts.",
    ),
    single("calls", "How destinations are called, and which calls Tandem keeps hold of."),
    array(
        "dn_folder[]",
        "[]",
        "A folder of DNs, and with `pool_name` an application pool: the connectors whose `[[link]]` has the same `pool_name` serve the DNs in it \
         and below. Only folders of the first level name a pool; DNs outside any such folder belong to the default pool. A pool has what it \
         does not set here from the default one, which is configured in `[calls]`, `[conference]` and `[media]`. In `tandem serve` all \
         connectors are of the default pool and serve the DNs of every one.",
    ),
    array(
        "dn[]",
        "[]",
        "A DN: a device that registers and is called. At most one of `password` and `password_file`.",
    ),
    array(
        "dn_range[]",
        "[]",
        "Many DNs of one pattern: `{n}` in `dn` and `password` is each number from `first` to `last`.",
    ),
    array(
        "trunk[]",
        "[]",
        "A peer that carries calls from and to the outside. At most one of `password` and `password_file`.",
    ),
    array(
        "dial_rule[]",
        "[]",
        "What happens to a dialled number that is no DN of ours. The first rule that matches decides; a number that no rule \
         matches is refused.",
    ),
    array(
        "conference_dn[]",
        "[]",
        "A conference that is dialled into. At most one of `pin` and `pin_file`, and of `moderator_pin` and `moderator_pin_file`.",
    ),
    array(
        "dial_plan[]",
        "[]",
        "A dial-plan DN: which destinations are called back-to-back. It is in force where `calling_method_dialplan` of `[calls]` names it, and \
         for the DNs of a pool whose `[[dn_folder]]` does.",
    ),
    single(
        "sizing",
        "The load that the configuration is meant for: `tandem config check` says how many connectors, conferences and conference endpoints it \
         takes. The server does not read it.",
    ),
];

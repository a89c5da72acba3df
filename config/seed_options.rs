//! The options of the seed: known by name, so that one that is not supported is told from a slip of the pen.

/// Options of T-Server that this version does not have, from the sections `TServer`, `conference-services`, `connector`,
/// `remote-recording`, `remote-treatment`, `backup-sync`, `extrouter` and `startup` of the seed (seed 002).
const KNOWN: &[&str] = &[
    "acw-in-idle-force-ready",
    "addp-remote-timeout",
    "addp-timeout",
    "addp-trace",
    "agent-emu-login-on-call",
    "agent-presence-map",
    "agent-strict-id",
    "aggregated-states",
    "allow-pass-through-calls",
    "application-port",
    "application-urn",
    "application-user-agent",
    "auto-logout-ready",
    "auto-logout-timeout",
    "av-joining-timeout",
    "caching-enabled",
    "calling-method",
    "calling-method-dialplan",
    "call-rq-gap",
    "cancel-monitor-on-disconnect",
    "cast-type",
    "certificate-thumbprint",
    "compound-dn-representation",
    "computer-gruu",
    "conference-pool-size",
    "conf-session-shutdown",
    "conn-certificate",
    "connect-tout",
    "cpn",
    "default-availability-range",
    "default-dn",
    "default-monitor-mode",
    "default-monitor-scope",
    "default-redirection-limit",
    "default-redirect-limit",
    "device-rq-gap",
    "direct-digits-key",
    "emulated-login-state",
    "epp-tout",
    "escalation-user-data",
    "event-propagation",
    "ha-sync-dly-lnk-conn",
    "handle-direct-calls",
    "handle-direct-calls-media",
    "hide-header",
    "hide-sensitive-data",
    "im-joining-timeout",
    "im-messages-stored",
    "im-reporting",
    "intrusion-enabled",
    "legal-guard-time",
    "lobby-bypass-enabled",
    "logout-on-disconnect",
    "logout-on-out-of-service",
    "map-presence-to-dnd",
    "match-call-once",
    "monitor-consult-calls",
    "monitor-internal-calls",
    "multimedia",
    "musicOnHoldFilePath",
    "music-on-hold-file-path",
    "no-answer-action",
    "no-answer-timeout",
    "override-call-type",
    "pass-transcript-to-agent",
    "persistent-storage-path",
    "pool-name",
    "presence-availability-range",
    "presence-profile",
    "propagated-call-type",
    "provision-mode",
    "reconnect-tout",
    "record",
    "recording-filename",
    "record-moh",
    "reestablish-recording-tout",
    "reuse-avcall",
    "ringtone-file-path",
    "router-timeout",
    "route-point",
    "server-address",
    "server-application",
    "server-port",
    "service-type",
    "sip-treatments-continuous",
    "sync-reconnect-tout",
    "timed-acw-in-idle",
    "trunk-group",
    "uri-pattern",
    "use-certificate",
    "use-data-from",
    "voice",
    "wrap-up-time",
];

/// An option of the seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SeedOption {
    /// What serves instead.
    pub instead: Option<&'static str>,
}

/// The option of that name, where the seed has one.
pub(crate) fn find(name: &str) -> Option<SeedOption> {
    let instead = match name {
        "hide-sensitive-data" => Some("it is `hide_sensitive_data` in [log]"),
        "allow-pass-through-calls" => Some("it is `allow_pass_through_calls` in [calls] and [[dn]]"),
        "caching-enabled" => Some("it is `caching_enabled` in [conference]"),
        "calling-method" => Some("it is `calling_method` in [[dial_plan]]"),
        "calling-method-dialplan" => Some("it is `calling_method_dialplan` in [calls]"),
        "conference-pool-size" => Some("it is `pool_size` in [conference]"),
        "cpn" => Some("it is `cpn` in [calls] and [[dial_plan]]"),
        "handle-direct-calls" => Some("it is `handle_direct_calls` in [calls] and [[dn]]"),
        "handle-direct-calls-media" => Some("it is `handle_direct_calls_media` in [calls] and [[dn]]"),
        "lobby-bypass-enabled" => Some("it is `lobby_bypass_enabled` in [conference]"),
        "music-on-hold-file-path" | "musicOnHoldFilePath" => Some("it is `music` in [media]"),
        "reuse-avcall" => Some("it is `reuse_avcall` in [conference]"),
        "service-type" => Some("a dial-plan DN is a [[dial_plan]]"),
        "uri-pattern" => Some("it is `uri_pattern` in [conference]"),
        _ if name.starts_with("dial-plan-rule-") => Some("the rules of a dial plan are `rules` in [[dial_plan]]"),
        "no-answer-timeout" => Some("how long a device rings is `ring_timeout_ms` in [sip]"),
        _ => None,
    };
    let numbered = |stem: &str| {
        name.strip_prefix(stem)
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let link = name.starts_with("link-") && name.ends_with("-name");
    (KNOWN.contains(&name) || numbered("dial-plan-rule-") || link).then_some(SeedOption { instead })
}

/// The names, for a suggestion.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().copied()
}

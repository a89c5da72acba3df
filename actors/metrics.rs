//! Metric handles, made once and kept: a macro with labels costs ten times a cached handle.
//!
//! Names follow Prometheus: prefix `tandem_`, base units, `_total` for counters. No DN, call id or number is ever a label.
//! [`describe`] gives each its help text; it runs right after the recorder is installed.

use std::sync::LazyLock;

use metrics::{Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use tandem_model::CallType;
use tandem_model::call::Outcome;
use tandem_sip::message::Method;
use tandem_sip::ua::UaStats;
use tandem_wire::ResumeOutcome;

use crate::kind::ActorKind;

/// The handles of the whole process.
pub struct Metrics {
    /// `tandem_dns{state="in_service"}`.
    dns_in_service: Gauge,
    /// `tandem_dns{state="out_of_service"}`.
    dns_out_of_service: Gauge,
    /// `tandem_calls_active`: calls that CTI clients see.
    pub calls_active: Gauge,
    /// `tandem_call_setup_seconds`: from the start of the call until it is answered.
    pub call_setup: Histogram,
    /// `tandem_call_duration_seconds`: from the answer to the end.
    pub call_duration: Histogram,
    /// `tandem_sip_requests_total{method,direction="in"}`.
    requests_in: Vec<Counter>,
    /// `tandem_sip_requests_total{method,direction="out"}`.
    requests_out: Vec<Counter>,
    /// `tandem_sip_responses_total{status_class,direction="in"}`.
    responses_in: [Counter; 6],
    /// `tandem_sip_responses_total{status_class,direction="out"}`.
    responses_out: [Counter; 6],
    /// `tandem_sip_parse_errors_total`.
    pub parse_errors: Counter,
    /// `tandem_sip_retransmissions_total{direction="out"}`.
    pub retransmissions_sent: Counter,
    /// `tandem_sip_retransmissions_total{direction="in"}`.
    pub retransmissions_received: Counter,
    /// `tandem_sip_dropped_total`: messages the SIP layer had no use for.
    pub sip_dropped: Counter,
    /// `tandem_sip_transactions_active`.
    pub transactions: Gauge,
    /// `tandem_sip_dialogs_active`.
    pub dialogs: Gauge,
    /// `tandem_sip_subscriptions_active`: who is notified of something.
    subscriptions: Gauge,
    /// `tandem_sip_registrations_active`: devices registered.
    pub registrations: Gauge,
    /// `tandem_sip_rate_limited_total`.
    pub rate_limited: Counter,
    /// `tandem_sip_auth_failures_total`.
    pub auth_failures: Counter,
    /// `tandem_event_clients`: CTI clients connected.
    pub clients: Gauge,
    /// `tandem_event_client_dropped_total{reason="slow"}`.
    pub clients_slow: Counter,
    /// `tandem_events_published_total`.
    pub events_published: Counter,
    /// `tandem_event_resumes_total{result}`: `delta`, `snapshot`, `new`.
    resumes: [Counter; 3],
    /// `tandem_event_log_entries`.
    pub log_entries: Gauge,
    /// `tandem_event_journal_oldest_age_seconds`.
    pub log_oldest: Gauge,
    /// `tandem_event_clients_away`: clients that lost their connection and may resume.
    pub clients_away: Gauge,
    /// `tandem_event_client_lag`: frames waiting for a client when one more is queued.
    pub client_lag: Histogram,
    /// `tandem_commands_total{outcome}`: CTI requests.
    pub commands_ok: Counter,
    /// As above, refused.
    pub commands_refused: Counter,
    /// `tandem_quarantined_inputs_total{kind="call"}`.
    quarantined_calls: Counter,
    /// `tandem_quarantined_inputs_total{kind="conference"}`.
    quarantined_conferences: Counter,
}

const METHODS: [&str; 15] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "INFO",
    "UPDATE",
    "PRACK",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "MESSAGE",
    "PUBLISH",
    "other",
];

impl Metrics {
    /// The handles.
    pub fn of_process() -> &'static Self {
        static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);
        &METRICS
    }

    fn register() -> Self {
        let classes = |direction: &'static str| {
            ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"]
                .map(|class| counter!("tandem_sip_responses_total", "status_class" => class, "direction" => direction))
        };
        let methods = |direction: &'static str| {
            METHODS
                .map(|method| counter!("tandem_sip_requests_total", "method" => method, "direction" => direction))
                .to_vec()
        };
        Self {
            dns_in_service: gauge!("tandem_dns", "state" => "in_service"),
            dns_out_of_service: gauge!("tandem_dns", "state" => "out_of_service"),
            calls_active: gauge!("tandem_calls_active"),
            call_setup: histogram!("tandem_call_setup_seconds"),
            call_duration: histogram!("tandem_call_duration_seconds"),
            requests_in: methods("in"),
            requests_out: methods("out"),
            responses_in: classes("in"),
            responses_out: classes("out"),
            parse_errors: counter!("tandem_sip_parse_errors_total"),
            retransmissions_sent: counter!("tandem_sip_retransmissions_total", "direction" => "out"),
            retransmissions_received: counter!("tandem_sip_retransmissions_total", "direction" => "in"),
            sip_dropped: counter!("tandem_sip_dropped_total"),
            transactions: gauge!("tandem_sip_transactions_active"),
            dialogs: gauge!("tandem_sip_dialogs_active"),
            subscriptions: gauge!("tandem_sip_subscriptions_active"),
            registrations: gauge!("tandem_sip_registrations_active"),
            rate_limited: counter!("tandem_sip_rate_limited_total"),
            auth_failures: counter!("tandem_sip_auth_failures_total"),
            clients: gauge!("tandem_event_clients"),
            clients_slow: counter!("tandem_event_client_dropped_total", "reason" => "slow"),
            events_published: counter!("tandem_events_published_total"),
            resumes: [ResumeOutcome::Delta, ResumeOutcome::Snapshot, ResumeOutcome::New]
                .map(|result| counter!("tandem_event_resumes_total", "result" => result.name())),
            log_entries: gauge!("tandem_event_log_entries"),
            log_oldest: gauge!("tandem_event_journal_oldest_age_seconds"),
            clients_away: gauge!("tandem_event_clients_away"),
            client_lag: histogram!("tandem_event_client_lag"),
            commands_ok: counter!("tandem_commands_total", "outcome" => "ok"),
            commands_refused: counter!("tandem_commands_total", "outcome" => "refused"),
            quarantined_calls: quarantined(ActorKind::Call),
            quarantined_conferences: quarantined(ActorKind::Conference),
        }
    }

    /// Counts what a user agent did since it had the `old` figures.
    pub fn ua_changed(&self, old: &UaStats, new: &UaStats) {
        let change = |old: usize, new: usize| new as f64 - old as f64;
        self.retransmissions_sent
            .increment(new.retransmissions_sent.saturating_sub(old.retransmissions_sent));
        self.retransmissions_received
            .increment(new.retransmissions_received.saturating_sub(old.retransmissions_received));
        self.sip_dropped.increment(new.dropped.saturating_sub(old.dropped));
        self.transactions
            .increment(change(old.transactions_active, new.transactions_active));
        self.dialogs.increment(change(old.dialogs_active, new.dialogs_active));
        self.subscriptions
            .increment(change(old.subscriptions_active, new.subscriptions_active));
    }

    /// Counts a DN that is in service or is not, and was or was not; `None`: there is none, or was none.
    pub fn dn_changed(&self, before: Option<bool>, now: Option<bool>) {
        let gauge = |in_service| {
            if in_service {
                &self.dns_in_service
            } else {
                &self.dns_out_of_service
            }
        };
        if before == now {
            return;
        }
        if let Some(before) = before {
            gauge(before).decrement(1.0);
        }
        if let Some(now) = now {
            gauge(now).increment(1.0);
        }
    }

    /// Counts a client that wanted to resume.
    pub fn resumed(&self, outcome: ResumeOutcome) {
        let [delta, snapshot, new] = &self.resumes;
        match outcome {
            ResumeOutcome::Delta => delta.increment(1),
            ResumeOutcome::Snapshot => snapshot.increment(1),
            ResumeOutcome::New => new.increment(1),
        }
    }

    /// Counts an input that an actor of this kind panicked on twice.
    pub fn quarantined(&self, kind: ActorKind) {
        match kind {
            ActorKind::Call => self.quarantined_calls.increment(1),
            _ => self.quarantined_conferences.increment(1),
        }
    }

    /// Counts a request that came in.
    pub fn request_received(&self, method: &Method) {
        count_method(&self.requests_in, method.as_str());
    }

    /// Counts a response that came in.
    pub fn response_received(&self, status: u16) {
        count_class(&self.responses_in, usize::from(status / 100));
    }

    /// Counts a message that goes out, from the start of its first line.
    pub fn sent(&self, message: &[u8]) {
        match message.strip_prefix(b"SIP/2.0 ") {
            Some(status) => count_class(
                &self.responses_out,
                status.first().map_or(0, |digit| usize::from(digit.wrapping_sub(b'0'))),
            ),
            None => {
                let method = message.split(|byte| *byte == b' ').next().unwrap_or_default();
                count_method(&self.requests_out, std::str::from_utf8(method).unwrap_or_default());
            }
        }
    }
}

fn quarantined(kind: ActorKind) -> Counter {
    counter!("tandem_quarantined_inputs_total", "kind" => kind.name())
}

fn count_method(counters: &[Counter], method: &str) {
    let index = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
    if let Some(counter) = counters.get(index) {
        counter.increment(1);
    }
}

fn count_class(counters: &[Counter; 6], class: usize) {
    if let Some(counter) = class.checked_sub(1).and_then(|class| counters.get(class)) {
        counter.increment(1);
    }
}

/// `tandem_calls_total{direction,outcome}`, by both.
static CALLS: LazyLock<Vec<Vec<Counter>>> = LazyLock::new(|| {
    let of = |direction: &CallType| {
        let direction = direction_label(*direction);
        let outcomes = Outcome::ALL.iter();
        outcomes
            .map(|outcome| counter!("tandem_calls_total", "direction" => direction, "outcome" => outcome.name()))
            .collect()
    };
    CallType::ALL.iter().map(of).collect()
});

/// Counts a finished call: `tandem_calls_total{direction,outcome}`.
pub fn call_finished(direction: CallType, outcome: Outcome) {
    if let Some(counter) = CALLS.get(direction as usize).and_then(|row| row.get(outcome as usize)) {
        counter.increment(1);
    }
}

fn direction_label(direction: CallType) -> &'static str {
    match direction {
        CallType::Unknown => "unknown",
        CallType::Internal => "internal",
        CallType::Inbound => "inbound",
        CallType::Outbound => "outbound",
        CallType::Consult => "consult",
    }
}

/// Gives every metric its unit and help text, and touches the handles so that each stands in the first scrape.
pub fn describe() {
    describe_gauge!("tandem_actors", "Actors alive, by kind.");
    describe_counter!("tandem_actor_crashes_total", "Panics caught in actors, by kind.");
    describe_counter!("tandem_actor_restarts_total", "Restarts of permanent actors, by kind.");
    describe_counter!(
        "tandem_quarantined_inputs_total",
        "Inputs that an actor panicked on twice, which ended its call, by kind of actor."
    );
    describe_counter!(
        "tandem_actor_messages_shed_total",
        "Messages refused because a mailbox was full, by kind."
    );
    describe_gauge!(
        "tandem_actor_mailbox_depth",
        "Messages waiting in mailboxes on the busy paths, by kind."
    );
    describe_gauge!("tandem_calls_active", "Calls in progress.");
    describe_counter!("tandem_calls_total", "Finished calls, by direction and outcome.");
    describe_histogram!(
        "tandem_call_setup_seconds",
        Unit::Seconds,
        "From the start of a call until it is answered."
    );
    describe_histogram!(
        "tandem_call_duration_seconds",
        Unit::Seconds,
        "From the answer of a call to its end."
    );
    describe_counter!("tandem_sip_requests_total", "SIP requests, by method and direction.");
    describe_counter!("tandem_sip_responses_total", "SIP responses, by class and direction.");
    describe_counter!(
        "tandem_sip_parse_errors_total",
        "Datagrams and stream messages that are not SIP."
    );
    describe_counter!("tandem_sip_retransmissions_total", "SIP retransmissions, by direction.");
    describe_counter!(
        "tandem_sip_dropped_total",
        "SIP messages dropped because no transaction or dialog wanted them."
    );
    describe_counter!("tandem_sip_datagrams_total", "Datagrams on the SIP sockets, by direction.");
    describe_counter!(
        "tandem_sip_datagrams_dropped_total",
        "Datagrams lost at the SIP sockets, by reason."
    );
    describe_counter!("tandem_sip_unreachable_total", "ICMP errors for datagrams that were sent.");
    describe_gauge!("tandem_sip_connections_active", "SIP connections open, by transport.");
    describe_counter!(
        "tandem_sip_connections_closed_total",
        "SIP connections that ended, by reason."
    );
    describe_counter!(
        "tandem_sip_accept_failures_total",
        "SIP connections that the system could not accept."
    );
    describe_gauge!("tandem_sip_transactions_active", "SIP transactions in progress.");
    describe_gauge!("tandem_sip_dialogs_active", "SIP dialogs, early ones included.");
    describe_gauge!(
        "tandem_sip_subscriptions_active",
        "Subscriptions to what this server tells (RFC 6665)."
    );
    describe_gauge!(
        "tandem_conference_resources",
        "Conference resources, by connector: idle stand ready for a call, in_use are with one."
    );
    describe_counter!(
        "tandem_conference_resources_taken_total",
        "Calls, by whether a conference resource stood ready in the pool or had to be made."
    );
    describe_counter!(
        "tandem_conference_resources_retired_total",
        "Conference resources given up: worn out, not cached, or lost in a crash."
    );
    describe_gauge!("tandem_sip_registrations_active", "Registered contacts.");
    describe_counter!(
        "tandem_sip_rate_limited_total",
        "Requests dropped because their source sends too many."
    );
    describe_counter!(
        "tandem_sip_auth_failures_total",
        "Requests with credentials that do not verify."
    );
    describe_gauge!("tandem_event_clients", "CTI clients connected.");
    describe_counter!(
        "tandem_event_client_dropped_total",
        "CTI clients disconnected by the server, by reason."
    );
    describe_counter!("tandem_events_published_total", "Events published on the CTI side.");
    describe_counter!(
        "tandem_event_resumes_total",
        "CTI clients that wanted to resume, by what came of it."
    );
    describe_gauge!(
        "tandem_event_log_entries",
        "Events that are kept for clients that resume and for /v1/events."
    );
    describe_gauge!(
        "tandem_event_journal_oldest_age_seconds",
        Unit::Seconds,
        "The age of the oldest event that is kept."
    );
    describe_gauge!(
        "tandem_event_clients_away",
        "CTI clients that lost their connection and may resume."
    );
    describe_histogram!(
        "tandem_event_client_lag",
        "Frames that wait for a CTI client when one more is queued for it."
    );
    describe_counter!("tandem_commands_total", "CTI requests, by outcome.");
    describe_gauge!(
        "tandem_connectors",
        "Connectors, by whether they own DNs or can be reached at all."
    );
    describe_gauge!("tandem_connector_dns", "DNs that each connector owns; a DN has one owner.");
    describe_gauge!("tandem_dns", "DNs, by whether calls can reach them.");
    crate::link::meters::describe();
    crate::tserver::describe();
    LazyLock::force(&CALLS);
    Metrics::of_process();
    crate::kind::ActorKind::Call.metrics();
}

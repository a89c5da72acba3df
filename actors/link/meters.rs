//! What a link counts: `tandem_link_*{link}`, the name of the link being that of its connector.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

/// The handles of one end of one link.
pub(super) struct LinkMeters {
    up: Gauge,
    resumed: Counter,
    synchronised: Counter,
    breaks: Counter,
    faults: Counter,
    sent: Counter,
    received: Counter,
}

impl LinkMeters {
    /// Of a link that is down.
    pub(super) fn new(link: &str) -> Self {
        let counted = |name: &'static str| counter!(name, "link" => link.to_owned());
        let sessions = |session: &'static str| {
            let link = link.to_owned();
            counter!("tandem_link_connections_total", "link" => link, "session" => session)
        };
        let messages = |direction: &'static str| {
            let link = link.to_owned();
            counter!("tandem_link_messages_total", "link" => link, "direction" => direction)
        };
        let meters = Self {
            up: gauge!("tandem_link_up", "link" => link.to_owned()),
            resumed: sessions("resumed"),
            synchronised: sessions("new"),
            breaks: counted("tandem_link_breaks_total"),
            faults: counted("tandem_link_faults_total"),
            sent: messages("out"),
            received: messages("in"),
        };
        meters.up.set(0.0);
        meters
    }

    /// It came up.
    pub(super) fn up(&self, resumed: bool) {
        self.up.set(1.0);
        if resumed { &self.resumed } else { &self.synchronised }.increment(1);
    }

    /// It went down.
    pub(super) fn down(&self) {
        self.up.set(0.0);
        self.breaks.increment(1);
    }

    /// The other end broke the protocol, or said that this one did.
    pub(super) fn fault(&self) {
        self.faults.increment(1);
    }

    /// A message was given to the session.
    pub(super) fn sent(&self) {
        self.sent.increment(1);
    }

    /// One came.
    pub(super) fn received(&self) {
        self.received.increment(1);
    }
}

/// Gives each its help text.
pub(crate) fn describe() {
    describe_gauge!(
        "tandem_link_up",
        "1 while the link between T-Server and connector is up, else 0."
    );
    describe_counter!(
        "tandem_link_connections_total",
        "How often the link came up, by whether its session was resumed or is new, with a full synchronisation."
    );
    describe_counter!("tandem_link_breaks_total", "How often the link went down.");
    describe_counter!(
        "tandem_link_faults_total",
        "Breaches of the link protocol that were met or reported."
    );
    describe_counter!(
        "tandem_link_messages_total",
        "Requests and notifications on the link, by direction; those that are sent again are counted once."
    );
}

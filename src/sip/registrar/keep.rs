//! Bindings that outlive the process.
//!
//! Invariant: what [`Registrar::take_changes`] told last is what is there, but for the bindings that are over since: those are dropped when
//! they come back. A binding over a connection comes back without it: the device is reached at its Contact, or, behind a NAT, when it has
//! registered anew.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::binding::{Binding, Stored};
use super::{Registrar, RegistrarConfig};
use crate::anchor::{Anchor, instant, unix_micros};
use crate::flow::Flow;
use crate::message::Uri;

/// What is kept of the bindings of one address of record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BindingsSnapshot {
    bindings: Vec<KeptBinding>,
}

/// One binding, with what decides about its updates.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct KeptBinding {
    uri: Arc<str>,
    flow: Flow,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    path: Vec<Arc<str>>,
    q: u16,
    /// In microseconds since 1970.
    expires_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reg_id: Option<u32>,
    #[serde(default)]
    nat: bool,
    call_id: Arc<str>,
    cseq: u32,
}

/// Whose bindings changed. Until somebody asks, nothing is noted.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    tracked: bool,
    /// At most one entry for each address of record that there was since the last asking.
    touched: HashSet<Arc<str>>,
}

impl Changes {
    pub fn note(&mut self, aor: &Arc<str>) {
        if self.tracked && !self.touched.contains(aor) {
            self.touched.insert(Arc::clone(aor));
        }
    }
}

impl Registrar {
    /// Whose bindings changed since the last call, with what they are now; `None` where none are left. The first call gives all.
    pub fn take_changes(&mut self, anchor: Anchor) -> Vec<(Arc<str>, Option<BindingsSnapshot>)> {
        let mut touched: Vec<Arc<str>> = std::mem::take(&mut self.changes.touched).into_iter().collect();
        if !std::mem::replace(&mut self.changes.tracked, true) {
            touched = self.aors.keys().cloned().collect();
        }
        touched.sort_unstable();
        let change = |aor: Arc<str>| {
            let snapshot = self.snapshot_of(&aor, anchor);
            (aor, snapshot)
        };
        touched.into_iter().map(change).collect()
    }

    /// What is to be kept of an address of record; `None` where it has no bindings.
    pub fn snapshot_of(&self, aor: &str, anchor: Anchor) -> Option<BindingsSnapshot> {
        let bindings = self
            .aors
            .get(aor)?
            .iter()
            .map(|stored| KeptBinding::of(stored, anchor))
            .collect();
        Some(BindingsSnapshot { bindings })
    }

    /// Brings the bindings of an address of record back, in the place of those it has; what is over is left out. Gives how many came.
    pub fn restore(&mut self, now: Instant, anchor: Anchor, aor: &str, snapshot: BindingsSnapshot) -> usize {
        if self.aors.len() >= self.config.max_aors && !self.aors.contains_key(aor) {
            return 0;
        }
        let kept = snapshot.bindings.into_iter().take(self.config.max_contacts_per_aor);
        let mut alive = Vec::new();
        for kept in kept {
            let expires_at = kept.expires_at(anchor, now, &self.config);
            if expires_at > now {
                alive.push(kept.restored(expires_at, self.next_serial));
                self.next_serial += 1;
            }
        }
        let count = alive.len();
        self.replace(aor, alive);
        count
    }
}

impl KeptBinding {
    fn of(stored: &Stored, anchor: Anchor) -> Self {
        let binding = &stored.binding;
        Self {
            uri: Arc::clone(&binding.uri),
            flow: binding.flow,
            path: binding.path.clone(),
            q: binding.q,
            expires_at: unix_micros(anchor, binding.expires_at),
            instance: binding.instance.clone(),
            reg_id: binding.reg_id,
            nat: binding.nat,
            call_id: Arc::clone(&stored.call_id),
            cseq: stored.cseq,
        }
    }

    /// No later than one that is made now may end: the wall clock may have been set back.
    fn expires_at(&self, anchor: Anchor, now: Instant, config: &RegistrarConfig) -> Instant {
        let longest = std::time::Duration::from_secs(config.max_expires.into());
        instant(anchor, self.expires_at, now).min(now + longest)
    }

    fn restored(self, expires_at: Instant, serial: u64) -> Stored {
        let flow = Flow {
            peer: self.reopened().unwrap_or(self.flow.peer),
            connection: None,
            ..self.flow
        };
        Stored {
            binding: Binding {
                uri: self.uri,
                flow,
                path: self.path,
                q: self.q,
                expires_at,
                instance: self.instance,
                reg_id: self.reg_id,
                nat: self.nat,
            },
            serial,
            call_id: self.call_id,
            cseq: self.cseq,
        }
    }

    /// Where a stream peer listens: the connection came from any port of its own. Behind a NAT nobody knows.
    fn reopened(&self) -> Option<SocketAddr> {
        if !self.flow.transport.is_reliable() || self.nat || !self.path.is_empty() {
            return None;
        }
        let uri = Uri::parse(&self.uri).ok()?;
        Some(SocketAddr::new(uri.host_ip()?, uri.port.unwrap_or(5060)))
    }
}

/// Whether bindings are kept alike.
pub(super) fn same(before: &[Stored], after: &[Stored]) -> bool {
    let fields = |stored: &Stored| {
        (
            stored.serial,
            stored.binding.expires_at,
            stored.cseq,
            Arc::clone(&stored.call_id),
        )
    };
    before.len() == after.len() && before.iter().map(fields).eq(after.iter().map(fields))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::flow::{ConnectionId, ListenerId, Transport};
    use crate::registrar::{Register, RegisterContact, RegisterContacts};

    const AOR: &str = "7001";

    fn flow(transport: Transport, connection: Option<u64>) -> Flow {
        Flow {
            transport,
            listener: ListenerId(0),
            peer: SocketAddr::from(([192, 0, 2, 7], 49_152)),
            connection: connection.map(ConnectionId),
        }
    }

    fn register(cseq: u32, uri: &str, flow: Flow, expires: u32) -> Register {
        let contact = RegisterContact {
            uri: uri.into(),
            expires: Some(expires),
            q: 1000,
            instance: None,
            reg_id: None,
        };
        Register {
            call_id: "c1".into(),
            cseq,
            contacts: RegisterContacts::List(vec![contact]),
            expires: None,
            path: Vec::new(),
            flow,
        }
    }

    fn anchor(at_seconds: u64) -> (Anchor, Instant) {
        let now = Instant::now();
        ((now, UNIX_EPOCH + Duration::from_secs(1_000_000 + at_seconds)), now)
    }

    fn through_bytes(snapshot: &BindingsSnapshot) -> BindingsSnapshot {
        rmp_serde::from_slice(&rmp_serde::to_vec_named(snapshot).unwrap()).unwrap()
    }

    #[test]
    fn changes_are_told_once_and_a_query_is_none() {
        let (anchor, now) = anchor(0);
        let mut registrar = Registrar::new(RegistrarConfig::default());
        let udp = flow(Transport::Udp, None);
        registrar.handle(now, AOR, register(1, "sip:a@192.0.2.7", udp, 600));
        let changes = registrar.take_changes(anchor);
        assert!(matches!(changes.as_slice(), [(aor, Some(_))] if &**aor == AOR), "{changes:?}");
        assert_eq!(registrar.take_changes(anchor), []);
        let query = Register {
            contacts: RegisterContacts::List(Vec::new()),
            ..register(2, "sip:a@192.0.2.7", udp, 600)
        };
        registrar.handle(now, AOR, query);
        assert_eq!(registrar.take_changes(anchor), []);
        registrar.handle(now, AOR, register(3, "sip:a@192.0.2.7", udp, 600));
        assert_eq!(registrar.take_changes(anchor).len(), 1, "a refresh: its CSeq and its end");
        registrar.timeout(now + Duration::from_secs(601));
        assert_eq!(registrar.take_changes(anchor), [(AOR.into(), None)]);
        // One that came and went between two askings.
        registrar.handle(now, AOR, register(4, "sip:a@192.0.2.7", udp, 600));
        registrar.handle(now, AOR, register(5, "sip:a@192.0.2.7", udp, 0));
        assert_eq!(registrar.take_changes(anchor), [(AOR.into(), None)]);
    }

    #[test]
    fn bindings_come_back_with_the_time_that_is_left() {
        let (then, started) = anchor(0);
        let mut before = Registrar::new(RegistrarConfig::default());
        let udp = flow(Transport::Udp, None);
        before.handle(started, AOR, register(7, "sip:a@192.0.2.7:49152", udp, 600));
        before.handle(started, AOR, register(8, "sip:b@192.0.2.8", udp, 60));
        let kept = through_bytes(&before.snapshot_of(AOR, then).unwrap());
        let (later, now) = anchor(100);
        let mut after = Registrar::new(RegistrarConfig::default());
        assert_eq!(after.restore(now, later, AOR, kept.clone()), 1, "the second is over");
        let bindings = after.bindings(AOR, now);
        assert_eq!(
            (bindings[0].expires_at - now, bindings[0].flow),
            (Duration::from_secs(500), udp)
        );
        assert!(after.is_consistent());
        let old = register(7, "sip:a@192.0.2.7:49152", udp, 600);
        assert_eq!(
            after.handle(now, AOR, old).status,
            400,
            "its REGISTER of before is still known"
        );
        // Again in the place of the first, and never longer than one of now.
        let back = (now, SystemTime::UNIX_EPOCH);
        assert_eq!(after.restore(now, back, AOR, kept), 2);
        assert!(
            after
                .bindings(AOR, now)
                .iter()
                .all(|b| b.expires_at <= now + Duration::from_secs(7200))
        );
        assert!(after.is_consistent() && after.len() == 2);
    }

    #[test]
    fn a_connection_is_gone_and_the_contact_is_what_leads_there() {
        let (anchor, now) = anchor(0);
        // (contact) -> where requests go
        for (uri, peer) in [
            ("sip:a@192.0.2.7:5066;transport=tcp", "192.0.2.7:5066"),
            ("sip:a@192.0.2.7;transport=tcp", "192.0.2.7:5060"),
            ("sip:a@10.0.0.1;transport=tcp", "192.0.2.7:49152"),
            ("sip:a@phone.test;transport=tcp", "192.0.2.7:49152"),
        ] {
            let mut registrar = Registrar::new(RegistrarConfig::default());
            registrar.handle(now, AOR, register(1, uri, flow(Transport::Tcp, Some(3)), 600));
            let kept = through_bytes(&registrar.snapshot_of(AOR, anchor).unwrap());
            let mut after = Registrar::new(RegistrarConfig::default());
            after.restore(now, anchor, AOR, kept);
            let found = &after.bindings(AOR, now)[0];
            assert_eq!(
                (found.flow.peer.to_string(), found.flow.connection),
                (peer.to_owned(), None),
                "{uri}"
            );
            assert_eq!(after.flow_closed(ConnectionId(3)), Vec::<Arc<str>>::new());
            after.handle(now, AOR, register(2, uri, flow(Transport::Tcp, Some(1)), 600));
            assert_eq!(
                after.bindings(AOR, now)[0].flow.connection,
                Some(ConnectionId(1)),
                "it registered anew"
            );
            assert_eq!(after.len(), 1);
        }
    }
}

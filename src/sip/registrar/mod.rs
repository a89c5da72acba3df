//! The registrar: which devices an address of record has, and until when (RFC 3261 s.10.3; RFC 3327, RFC 5626 s.6).
//!
//! Invariants: a REGISTER is carried out whole or not at all; an address of record never has more than
//! [`RegistrarConfig::max_contacts_per_aor`] bindings; a binding that is over is never given out, even before [`Registrar::timeout`]
//! takes it away; a binding lives no longer than the connection it came over, unless that went with the process before. Memory is bounded by the limits, whoever registers.
//!
//! What it does not do: authenticate, decide which addresses of record exist, or answer; no clock, no IO.

mod binding;
mod device;
mod hand_over;
mod keep;
mod request;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::flow::ConnectionId;

pub use binding::Binding;
pub use device::{Arrival, Device, Sureness};
pub use hand_over::Bindings;
pub use keep::BindingsSnapshot;
pub use request::{Refusal, Register, RegisterContact, RegisterContacts};

use binding::Stored;
use keep::Changes;

/// The limits of a registrar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegistrarConfig {
    /// Shorter registrations are refused with 423, in seconds.
    pub min_expires: u32,
    /// For a contact that names no time, in seconds.
    pub default_expires: u32,
    /// Longer registrations are shortened, in seconds.
    pub max_expires: u32,
    /// Devices of one address of record.
    pub max_contacts_per_aor: usize,
    /// Addresses of record with devices.
    pub max_aors: usize,
}

impl Default for RegistrarConfig {
    fn default() -> Self {
        Self {
            min_expires: 60,
            default_expires: 3600,
            max_expires: 7200,
            max_contacts_per_aor: 10,
            max_aors: 1_000_000,
        }
    }
}

/// What answers a REGISTER.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisterOutcome {
    /// 200; 400: malformed or out of order; 403: too many contacts; 423: too brief; 503: too many addresses of record.
    pub status: u16,
    /// What was wrong, fit for a reason phrase; none for a 200.
    pub reason: Option<&'static str>,
    /// Headers of the answer: the Contacts of a 200, with the time that is left to them, and its Path; Min-Expires of a 423.
    pub headers: Vec<(&'static str, String)>,
    /// A binding came, went or moved. A mere refresh changes nothing.
    pub changed: bool,
}

impl RegisterOutcome {
    fn refused(status: u16, reason: &'static str) -> Self {
        Self {
            status,
            reason: Some(reason),
            headers: Vec::new(),
            changed: false,
        }
    }
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Registrar {
    config: RegistrarConfig,
    aors: HashMap<Arc<str>, Vec<Stored>>,
    /// When each binding ends, by its serial number.
    ends: BTreeMap<(Instant, u64), Arc<str>>,
    /// Addresses of record with bindings over a connection.
    connections: HashMap<ConnectionId, HashSet<Arc<str>>>,
    next_serial: u64,
    changes: Changes,
}

impl Registrar {
    /// One without bindings.
    pub fn new(config: RegistrarConfig) -> Self {
        Self {
            config,
            aors: HashMap::new(),
            ends: BTreeMap::new(),
            connections: HashMap::new(),
            next_serial: 0,
            changes: Changes::default(),
        }
    }

    /// Its limits.
    pub fn config(&self) -> &RegistrarConfig {
        &self.config
    }

    /// Carries out a REGISTER for an address of record (its normal form; RFC 3261 s.10.3 step 5).
    pub fn handle(&mut self, now: Instant, aor: &str, register: Register) -> RegisterOutcome {
        let before = self.alive(aor, now);
        if before.is_empty() && self.aors.len() >= self.config.max_aors && !self.aors.contains_key(aor) {
            return RegisterOutcome::refused(503, "Registrar Full");
        }
        let planned = match &register.contacts {
            RegisterContacts::All => remove_all(&before, &register),
            RegisterContacts::List(contacts) => self.update(now, before.clone(), contacts, &register),
        };
        match planned {
            Ok(after) => {
                // Compared with what is in the table: what is over, but was not yet taken away, goes with this.
                let table = self.aors.get(aor).map(Vec::as_slice).unwrap_or_default();
                let changed = !table
                    .iter()
                    .map(|stored| stored.serial)
                    .eq(after.iter().map(|stored| stored.serial));
                let headers = accepted_headers(&after, &register, now);
                self.replace(aor, after);
                RegisterOutcome {
                    status: 200,
                    reason: None,
                    headers,
                    changed,
                }
            }
            Err(mut refused) => {
                if refused.status == 423 {
                    refused.headers.push(("Min-Expires", self.config.min_expires.to_string()));
                }
                refused
            }
        }
    }

    /// The bindings of an address of record by preference, of equal ones the newest first. Of the flows of one device (RFC 5626 s.5.3)
    /// only the newest is given.
    pub fn bindings(&self, aor: &str, now: Instant) -> Vec<Binding> {
        let mut stored: Vec<&Stored> = self.aors.get(aor).into_iter().flatten().collect();
        stored.sort_by_key(|stored| std::cmp::Reverse((stored.binding.q, stored.serial)));
        let mut devices = HashSet::new();
        stored.retain(|stored| match &stored.binding.instance {
            Some(instance) if stored.binding.reg_id.is_some() => devices.insert(Arc::clone(instance)),
            _ => true,
        });
        // Only now: what is over hides an older flow of its device until it is taken away, so that whoever looks only after changes
        // has the truth.
        let alive = stored.into_iter().filter(|stored| stored.binding.expires_at > now);
        alive.map(|stored| stored.binding.clone()).collect()
    }

    /// Addresses of record that have bindings, in no order.
    pub fn aors(&self) -> impl Iterator<Item = &str> {
        self.aors.keys().map(|aor| &**aor)
    }

    /// Bindings held, for a gauge.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether nothing is registered.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// When [`Self::timeout`] has to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.ends.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes away what is over; the addresses of record that lost a binding.
    pub fn timeout(&mut self, now: Instant) -> Vec<Arc<str>> {
        let mut changed: Vec<Arc<str>> = Vec::new();
        while let Some(first) = self.ends.first_entry().filter(|first| first.key().0 <= now) {
            let aor = Arc::clone(first.get());
            let alive = self.alive(&aor, now);
            self.replace(&aor, alive);
            changed.push(aor);
        }
        changed
    }

    /// Takes away the bindings that came over a connection that is gone; the addresses of record that lost one.
    pub fn flow_closed(&mut self, connection: ConnectionId) -> Vec<Arc<str>> {
        let changed = self.connections.remove(&connection).unwrap_or_default();
        for aor in &changed {
            let mut left = self.aors.get(aor).cloned().unwrap_or_default();
            left.retain(|stored| stored.binding.flow.connection != Some(connection));
            self.replace(aor, left);
        }
        changed.into_iter().collect()
    }

    /// Takes a binding away whose end says that it is meant: its device is registered elsewhere. Whether there was one.
    pub fn forget(&mut self, now: Instant, aor: &str, uri: &str, is_meant: impl Fn(Instant) -> bool) -> bool {
        let before = self.alive(aor, now);
        let stays = |stored: &&Stored| *stored.binding.uri != *uri || !is_meant(stored.binding.expires_at);
        let left: Vec<_> = before.iter().filter(stays).cloned().collect();
        let forgot = left.len() < before.len();
        if forgot {
            self.replace(aor, left);
        }
        forgot
    }

    /// What is not over yet, whether or not the rest was taken away.
    fn alive(&self, aor: &str, now: Instant) -> Vec<Stored> {
        let all = self.aors.get(aor).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|stored| stored.binding.expires_at > now).cloned().collect()
    }

    /// RFC 3261 s.10.3 step 7, for each contact in turn.
    fn update(
        &mut self,
        now: Instant,
        mut bindings: Vec<Stored>,
        contacts: &[RegisterContact],
        register: &Register,
    ) -> Result<Vec<Stored>, RegisterOutcome> {
        let limit = self.config.max_contacts_per_aor;
        let too_many = || RegisterOutcome::refused(403, "Too Many Contacts");
        // As many may be removed as are added; more is no REGISTER of a device.
        if contacts.len() > 2 * limit {
            return Err(too_many());
        }
        let mut serial = self.next_serial;
        let mut touched = HashSet::new();
        for contact in contacts {
            let seconds = self.granted(contact.expires.or(register.expires))?;
            let place = bindings.iter().position(|stored| stored.is_of(contact));
            let known = place.and_then(|at| bindings.get(at));
            // What an earlier contact of this message made or refreshed is not out of order.
            if known.is_some_and(|stored| !touched.contains(&stored.serial) && !stored.is_before(register)) {
                return Err(RegisterOutcome::refused(400, "CSeq Out Of Order"));
            }
            if seconds == 0 {
                if let Some(at) = place {
                    bindings.remove(at);
                }
                continue;
            }
            let mut next = Stored::new(contact, register, now + Duration::from_secs(seconds.into()), serial);
            serial += 1;
            match place.and_then(|at| bindings.get_mut(at)) {
                Some(stored) => {
                    if stored.same_place(&next) {
                        next.serial = stored.serial;
                    }
                    touched.insert(next.serial);
                    *stored = next;
                }
                None => {
                    touched.insert(next.serial);
                    bindings.push(next);
                }
            }
        }
        if bindings.len() > limit {
            return Err(too_many());
        }
        self.next_serial = serial;
        Ok(bindings)
    }

    /// How long a contact is bound, in seconds.
    fn granted(&self, asked: Option<u32>) -> Result<u32, RegisterOutcome> {
        match asked.unwrap_or(self.config.default_expires) {
            0 => Ok(0),
            // Nobody is asked to register for longer than an hour (RFC 3261 s.10.3 step 7).
            brief if brief < self.config.min_expires.min(3600) => Err(RegisterOutcome::refused(423, "Interval Too Brief")),
            seconds => Ok(seconds.min(self.config.max_expires)),
        }
    }

    #[cfg(test)]
    fn is_consistent(&self) -> bool {
        let all = || {
            self.aors
                .iter()
                .flat_map(|(aor, list)| list.iter().map(move |stored| (aor, stored)))
        };
        let over = |id: ConnectionId| {
            all()
                .filter(move |(_, s)| s.binding.flow.connection == Some(id))
                .map(|(aor, _)| aor)
        };
        self.aors
            .values()
            .all(|list| !list.is_empty() && list.len() <= self.config.max_contacts_per_aor)
            && self.ends.len() == all().count()
            && all().all(|(aor, s)| self.ends.get(&(s.binding.expires_at, s.serial)) == Some(aor))
            && all().all(|(_, s)| s.binding.flow.connection.is_none_or(|id| self.connections.contains_key(&id)))
            && self
                .connections
                .iter()
                .all(|(id, aors)| over(*id).collect::<HashSet<_>>() == aors.iter().collect())
    }

    /// Puts the bindings of an address of record in the place of those it had, in all tables.
    fn replace(&mut self, aor: &str, after: Vec<Stored>) {
        let (aor, before) = self.aors.remove_entry(aor).unwrap_or_else(|| (Arc::from(aor), Vec::new()));
        if !keep::same(&before, &after) {
            self.changes.note(&aor);
        }
        for stored in before {
            self.ends.remove(&(stored.binding.expires_at, stored.serial));
            if let Some(id) = stored.binding.flow.connection
                && let Some(users) = self.connections.get_mut(&id)
            {
                users.remove(&aor);
                if users.is_empty() {
                    self.connections.remove(&id);
                }
            }
        }
        for stored in &after {
            self.ends.insert((stored.binding.expires_at, stored.serial), Arc::clone(&aor));
            if let Some(id) = stored.binding.flow.connection {
                self.connections.entry(id).or_default().insert(Arc::clone(&aor));
            }
        }
        if !after.is_empty() {
            self.aors.insert(aor, after);
        }
    }
}

/// RFC 3261 s.10.3 step 6.
fn remove_all(bindings: &[Stored], register: &Register) -> Result<Vec<Stored>, RegisterOutcome> {
    if register.expires != Some(0) {
        return Err(RegisterOutcome::refused(400, "Contact * Without Expires 0"));
    }
    if !bindings.iter().all(|stored| stored.is_before(register)) {
        return Err(RegisterOutcome::refused(400, "CSeq Out Of Order"));
    }
    Ok(Vec::new())
}

/// The Contacts (RFC 3261 s.10.3 step 8) and the Path (RFC 3327 s.5.3) of a 200.
fn accepted_headers(bindings: &[Stored], register: &Register, now: Instant) -> Vec<(&'static str, String)> {
    let contacts = bindings.iter().map(|stored| ("Contact", stored.contact_value(now)));
    contacts
        .chain(register.path.iter().map(|path| ("Path", path.to_string())))
        .collect()
}

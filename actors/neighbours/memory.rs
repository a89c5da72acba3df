//! What an edge remembers of what passes, so that what belongs together stays together.
//!
//! * The INVITEs that went to other connectors and have no final answer: their copies and their CANCELs go after them, though the list of
//!   connectors, or who is in which conference, may be another one by then.
//! * Which device is in a call of which connector: the next call that it makes begins there, and can be joined to that one (a leg cannot go
//!   to another connector).
//!
//! None of it outlives the process, and the oldest is forgotten when there is too much. After that a CANCEL goes where its INVITE would go
//! now. For a conference that is the same place as long as the same connectors are there; the CANCEL of an INVITE that replaces a dialog
//! has nothing in it that leads anywhere, and is answered 481 here: that call is answered, or ends, as if it had not been cancelled. A
//! device whose call was forgotten makes its next one with its own connector, and a transfer that names both is refused.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use tandem_model::{ConnectorId, DnId};

/// So many of either kind are remembered.
const MOST: usize = 4096;

/// A device: many may be behind one address.
pub(super) type Device = (SocketAddr, DnId);

/// The memory. Not invariants hang on it but convenience: whatever is in it, each message has a way.
#[derive(Default, Debug)]
pub struct Memory {
    invites: Table<ConnectorId>,
    calls: Table<(Device, ConnectorId)>,
    /// Of each device in a call, the connectors of its calls, the latest last.
    devices: HashMap<Device, Vec<ConnectorId>>,
}

/// A table that forgets the oldest.
#[derive(Debug)]
struct Table<V> {
    entries: HashMap<Box<str>, (u64, V)>,
    /// What was put in, with its number; a key that has gone, or came again under another number, is passed over.
    order: VecDeque<(u64, Box<str>)>,
    next: u64,
}

impl Memory {
    /// An INVITE goes there. Its key is what its copies and its CANCEL have, too.
    pub(super) fn goes_to(&mut self, invite: &str, connector: ConnectorId) {
        self.invites.put(invite, connector);
    }

    /// Where an INVITE went.
    pub(super) fn went_to(&self, invite: &str) -> Option<ConnectorId> {
        self.invites.entries.get(invite).map(|(_, connector)| *connector)
    }

    /// It has its final answer.
    pub(super) fn is_answered(&mut self, invite: &str) {
        self.invites.take(invite);
    }

    /// A device is in a call of a connector.
    pub(super) fn is_in_call(&mut self, call_id: &str, device: Device, connector: ConnectorId) {
        let gone = self.calls.put(call_id, (device.clone(), connector));
        self.devices.entry(device).or_default().push(connector);
        for (device, connector) in gone {
            self.leaves(&device, connector);
        }
    }

    /// The connector of the latest call that a device is in.
    pub(super) fn in_call_at(&self, device: &Device) -> Option<ConnectorId> {
        self.devices.get(device)?.last().copied()
    }

    /// A call is over.
    pub(super) fn is_over(&mut self, call_id: &str) {
        if let Some((device, connector)) = self.calls.take(call_id) {
            self.leaves(&device, connector);
        }
    }

    fn leaves(&mut self, device: &Device, connector: ConnectorId) {
        let Some(calls) = self.devices.get_mut(device) else { return };
        if let Some(place) = calls.iter().rposition(|other| *other == connector) {
            calls.remove(place);
        }
        if calls.is_empty() {
            self.devices.remove(device);
        }
    }
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
        }
    }
}

impl<V> Table<V> {
    /// Puts a value in; gives those that had to go, the one before under this key among them.
    fn put(&mut self, key: &str, value: V) -> Vec<V> {
        self.next += 1;
        let mut gone: Vec<V> = self
            .entries
            .insert(key.into(), (self.next, value))
            .map(|(_, value)| value)
            .into_iter()
            .collect();
        self.order.push_back((self.next, key.into()));
        // What is gone already leaves its place in the order; it is not to grow by that.
        while self.entries.len() > MOST || self.order.len() > 2 * MOST {
            let Some((number, oldest)) = self.order.pop_front() else {
                break;
            };
            if self.entries.get(&oldest).is_some_and(|(of_entry, _)| *of_entry == number) {
                gone.extend(self.take(&oldest));
            }
        }
        gone
    }

    fn take(&mut self, key: &str) -> Option<V> {
        self.entries.remove(key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: ConnectorId = ConnectorId(1);
    const B: ConnectorId = ConnectorId(2);

    fn device(port: u16) -> Device {
        (SocketAddr::from(([192, 0, 2, 7], port)), DnId::new("sip:1@x"))
    }

    #[test]
    fn a_device_is_in_its_latest_call_until_that_is_over() {
        let mut memory = Memory::default();
        assert_eq!(memory.in_call_at(&device(1)), None);
        memory.is_in_call("a", device(1), A);
        memory.is_in_call("b", device(1), B);
        memory.is_in_call("b", device(1), B);
        memory.is_in_call("c", device(2), A);
        assert_eq!(memory.in_call_at(&device(1)), Some(B));
        let neighbour = (device(1).0, DnId::new("sip:2@x"));
        assert_eq!(memory.in_call_at(&neighbour), None, "another device at the same address");
        memory.is_over("b");
        memory.is_over("b");
        assert_eq!(
            (memory.in_call_at(&device(1)), memory.in_call_at(&device(2))),
            (Some(A), Some(A))
        );
        memory.is_over("a");
        memory.is_over("c");
        assert!(memory.devices.is_empty());
    }

    #[test]
    fn an_invite_is_remembered_until_it_is_answered() {
        let mut memory = Memory::default();
        memory.goes_to("i", A);
        memory.goes_to("i", A);
        assert_eq!(memory.went_to("i"), Some(A));
        memory.is_answered("i");
        assert_eq!(memory.went_to("i"), None);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut memory = Memory::default();
        for n in 0..=MOST {
            memory.goes_to(&n.to_string(), A);
            memory.is_in_call(&n.to_string(), device(n as u16), A);
        }
        assert_eq!((memory.went_to("0"), memory.went_to("1")), (None, Some(A)));
        assert_eq!(
            (memory.in_call_at(&device(0)), memory.in_call_at(&device(1))),
            (None, Some(A))
        );
        for n in 0..10 * MOST {
            memory.goes_to(&n.to_string(), A);
            memory.is_answered(&n.to_string());
        }
        assert!(memory.invites.order.len() <= 2 * MOST);
    }

    proptest! {
        #[test]
        fn devices_are_those_of_the_calls(steps in proptest::collection::vec((0u8..6, 0u16..3, any::<bool>(), any::<bool>()), 0..60)) {
            let mut memory = Memory::default();
            for (call, port, begins, is_a) in steps {
                if begins {
                    memory.is_in_call(&call.to_string(), device(port), if is_a { A } else { B });
                } else {
                    memory.is_over(&call.to_string());
                }
                let mut expected: HashMap<Device, Vec<ConnectorId>> = HashMap::new();
                for (_, (device, connector)) in memory.calls.entries.values() {
                    expected.entry(device.clone()).or_default().push(*connector);
                }
                let mut found = memory.devices.clone();
                found.values_mut().chain(expected.values_mut()).for_each(|calls| calls.sort_unstable());
                prop_assert_eq!(found, expected);
            }
        }
    }
}

//! Flow tokens (RFC 5626 s.5.2): a flow written into a URI or a Via, so that nobody but us can make one and nothing has to be remembered; and
//! which device has it, so that the device is found when the flow is gone.
//!
//! Invariant: what is read is what was written, by one who has the key, for the same purpose. A connection means something in its own
//! process only: the token of a stream carries the process's epoch.

use std::net::{IpAddr, SocketAddr};

use crate::digest::{hex, unhex};
use crate::flow::{ConnectionId, Flow, ListenerId, Transport};
use crate::key::{Key, MAC_LEN, equal_in_constant_time};
use crate::registrar::Device;

/// The longest text that can be a token: an IPv6 stream.
const MAX_TEXT: usize = 2 * (1 + 8 + 2 + 16 + 2 + 4 + 8 + MAC_LEN);

const STREAM: u8 = 1;
const IPV6: u8 = 2;
/// It says which device has the flow.
const DEVICE: u8 = 4;
/// That device has an instance of its own (RFC 5626 s.4.1).
const INSTANCE: u8 = 8;

/// A device, by what tells it from the others of its address of record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct DeviceMark {
    mark: [u8; 8],
    /// It is known by its instance, else by its Contact.
    pub by_instance: bool,
}

impl DeviceMark {
    /// Whichever flow of the device it is.
    pub fn of(key: &Key, device: &Device) -> Self {
        let known_by = device.instance.as_deref().unwrap_or(&device.uri);
        let mac = key.mac(b"edge-device", format!("{}|{known_by}", device.aor).as_bytes());
        let mut mark = [0; 8];
        for (to, from) in mark.iter_mut().zip(mac) {
            *to = from;
        }
        Self {
            mark,
            by_instance: device.instance.is_some(),
        }
    }
}

/// What a token is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// In Path and Record-Route: requests go over the flow.
    Route,
    /// In Via: the response goes over the flow.
    Response,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Route => b"edge-route",
            Self::Response => b"edge-response",
        }
    }
}

/// What a token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token {
    /// The flow; its connection only where that is of this process.
    pub flow: Flow,
    /// The connection went with the process that had it.
    pub lost: bool,
    /// The device, where it was known.
    pub device: Option<DeviceMark>,
}

/// Writes the token of a flow.
pub(super) fn write(key: &Key, epoch: u32, purpose: Purpose, flow: &Flow, device: Option<DeviceMark>) -> String {
    let mut bytes = Vec::with_capacity(MAX_TEXT / 2);
    let connection = flow.connection.filter(|_| flow.transport.is_reliable());
    let stream = if flow.transport == Transport::Tcp { STREAM } else { 0 };
    let marked = match device {
        Some(device) if device.by_instance => DEVICE | INSTANCE,
        Some(_) => DEVICE,
        None => 0,
    };
    bytes.push(stream | marked | if flow.peer.is_ipv6() { IPV6 } else { 0 });
    bytes.extend(device.iter().flat_map(|device| device.mark));
    bytes.extend_from_slice(&flow.listener.0.to_be_bytes());
    match flow.peer.ip() {
        IpAddr::V4(ip) => bytes.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => bytes.extend_from_slice(&ip.octets()),
    }
    bytes.extend_from_slice(&flow.peer.port().to_be_bytes());
    if let Some(connection) = connection {
        bytes.extend_from_slice(&epoch.to_be_bytes());
        bytes.extend_from_slice(&connection.0.to_be_bytes());
    }
    let mac = key.mac(purpose.label(), &bytes);
    bytes.extend_from_slice(&mac);
    hex(&bytes)
}

/// Reads a token. `None` where it is none of ours for this purpose.
pub(super) fn read(key: &Key, epoch: u32, purpose: Purpose, text: &str) -> Option<Token> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let bytes = unhex(text)?;
    let (said, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_LEN)?)?;
    if !equal_in_constant_time(&key.mac(purpose.label(), said), mac) {
        return None;
    }
    let mut rest = said;
    let [flags] = take(&mut rest)?;
    let device = match flags & DEVICE {
        0 => None,
        _ => Some(DeviceMark {
            mark: take(&mut rest)?,
            by_instance: flags & INSTANCE != 0,
        }),
    };
    let listener = ListenerId(u16::from_be_bytes(take(&mut rest)?));
    let ip: IpAddr = if flags & IPV6 == 0 {
        take::<4>(&mut rest)?.into()
    } else {
        take::<16>(&mut rest)?.into()
    };
    let peer = SocketAddr::new(ip, u16::from_be_bytes(take(&mut rest)?));
    let stream = flags & STREAM != 0;
    let (connection, lost) = if stream && !rest.is_empty() {
        let same = u32::from_be_bytes(take(&mut rest)?) == epoch;
        let connection = ConnectionId(u64::from_be_bytes(take(&mut rest)?));
        (same.then_some(connection), !same)
    } else {
        (None, false)
    };
    let flow = Flow {
        transport: if stream { Transport::Tcp } else { Transport::Udp },
        listener,
        peer,
        connection,
    };
    rest.is_empty().then_some(Token { flow, lost, device })
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flows() -> impl Strategy<Value = Flow> {
        let peer = (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port));
        (peer, any::<u16>(), any::<bool>(), any::<u64>()).prop_map(|(peer, listener, stream, connection)| Flow {
            transport: if stream { Transport::Tcp } else { Transport::Udp },
            listener: ListenerId(listener),
            peer,
            connection: stream.then_some(ConnectionId(connection)),
        })
    }

    fn devices() -> impl Strategy<Value = Option<DeviceMark>> {
        let mark = (any::<[u8; 8]>(), any::<bool>()).prop_map(|(mark, by_instance)| DeviceMark { mark, by_instance });
        prop::option::of(mark)
    }

    proptest! {
        #[test]
        fn a_token_is_its_flow_and_cannot_be_changed(
            flow in flows(),
            device in devices(),
            epoch: u32,
            at: prop::sample::Index,
            digit in 0u8..16,
        ) {
            let key = Key::new([7; 32]);
            let text = write(&key, epoch, Purpose::Route, &flow, device);
            prop_assert!(text.len() <= MAX_TEXT);
            let read_back = read(&key, epoch, Purpose::Route, &text);
            prop_assert_eq!(read_back, Some(Token { flow, lost: false, device }));
            prop_assert_eq!(read(&key, epoch, Purpose::Response, &text), None);
            prop_assert_eq!(read(&Key::new([8; 32]), epoch, Purpose::Route, &text), None);
            let mut forged = text.clone().into_bytes();
            let at = at.index(forged.len());
            forged[at] = b"0123456789abcdef"[usize::from(digit)];
            let forged = String::from_utf8(forged).unwrap();
            prop_assert!(forged == text || read(&key, epoch, Purpose::Route, &forged).is_none());
            prop_assert_eq!(read(&key, epoch, Purpose::Route, &text[..at]), None);
            let after = read(&key, epoch.wrapping_add(1), Purpose::Route, &text).unwrap();
            let gone = Flow { connection: None, ..flow };
            prop_assert_eq!(after, Token { flow: gone, lost: flow.connection.is_some(), device });
        }

        #[test]
        fn anything_else_is_none(text in ".{0,120}") {
            prop_assert_eq!(read(&Key::new([7; 32]), 1, Purpose::Route, &text), None);
        }
    }
}

//! A panic for one actor.

use tandem_model::{ClientId, ConferenceId, ConnId, ConnectorId, DnId};

use super::lock;
use crate::connector::{ConferenceMessage, ConnectorMessage, RegistrarMessage};
use crate::directory::Directory;
use crate::tserver::{CallMessage, ClientMessage, DnMessage, Inject, RoomMessage};

/// Which actor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A live call.
    Call(ConnId),
    /// A conference that is dialled into.
    Room(ConnId),
    /// The connector's side of a live call.
    Conference(ConferenceId),
    /// A connector.
    Connector(ConnectorId),
    /// The bindings of a connector.
    Registrar(ConnectorId),
    /// The T-Server's end of the link to a connector.
    ConnectorLink(ConnectorId),
    /// The T-Server's connection to a connector of another process.
    RemoteLink(ConnectorId),
    /// The connector's end of the link, where it has a process of its own.
    LinkServer,
    /// A DN.
    Dn(DnId),
    /// A CTI client.
    Client(ClientId),
    /// The one order of events.
    EventLog,
    /// Where CTI clients come in.
    Lobby,
}

/// There is no such actor in this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no such actor in this process")]
pub struct Unknown;

/// Unbounded posts, all of them: what a tester asks for.
pub(super) fn strike(directory: &Directory, target: &Target) -> Result<(), Unknown> {
    match target {
        Target::Call(id) => directory.call(*id).ok_or(Unknown)?.do_send(CallMessage::Crash),
        Target::Room(id) => directory.room(*id).ok_or(Unknown)?.do_send(RoomMessage::Crash),
        Target::Conference(id) => directory.conference(*id).ok_or(Unknown)?.do_send(ConferenceMessage::Crash),
        Target::Connector(id) => directory.connector(*id).ok_or(Unknown)?.do_send(ConnectorMessage::Crash),
        Target::Registrar(id) => {
            let registrars = lock(&directory.faults.registrars);
            registrars.get(id).ok_or(Unknown)?.do_send(RegistrarMessage::Crash);
        }
        Target::ConnectorLink(id) => directory.link(*id).ok_or(Unknown)?.do_send(Inject),
        Target::RemoteLink(id) => directory.remote_link(*id).ok_or(Unknown)?.do_send(Inject),
        Target::LinkServer => directory.link_server().ok_or(Unknown)?.do_send(Inject),
        Target::Dn(dn) => directory.dn(dn).ok_or(Unknown)?.do_send(DnMessage::Crash),
        Target::Client(id) => {
            let clients = lock(&directory.faults.clients);
            clients.get(id).ok_or(Unknown)?.do_send(ClientMessage::Crash);
        }
        Target::EventLog => directory.event_log().ok_or(Unknown)?.do_send(Inject),
        Target::Lobby => directory.lobby().ok_or(Unknown)?.do_send(Inject),
    }
    Ok(())
}

/// As above.
pub(super) fn strike_twice(directory: &Directory, target: &Target) -> Result<(), Unknown> {
    match target {
        Target::Call(id) => directory.call(*id).ok_or(Unknown)?.do_send(CallMessage::CrashTwice),
        Target::Conference(id) => directory
            .conference(*id)
            .ok_or(Unknown)?
            .do_send(ConferenceMessage::CrashTwice),
        _ => return Err(Unknown),
    }
    Ok(())
}

//! What concerns this connector as a whole, asked by a T-Server in another process; and a link that came up with a new session: what this
//! connector has is told and named again.

use std::time::Duration;

use actix::Context;
use tandem_model::connector::{ConnectorNotification, ConnectorRequest};
use tandem_model::link::LinkNotification;
use tandem_sip::registrar::Device;

use super::connector_actor::ConnectorActor;
use super::drain::DrainMessage;
use super::registrar::RegistrarMessage;
use crate::now;

impl ConnectorActor {
    /// The T-Server side is about to name every conference that it knows; what it does not name is nobody's. It hears of every DN that
    /// has devices here.
    pub(super) fn synchronise(&mut self) {
        let mut shard = self.parts.shard.borrow_mut();
        let live = shard.conference_ids();
        shard.unaudited.extend(live);
        drop(shard);
        self.notify(LinkNotification::Connector(ConnectorNotification::Here {
            listens: self.parts.directory.neighbours.listens(),
            is_empty: self.wants_restore(),
        }));
        self.telling.start_over();
        self.tell_kept();
        // After that, by a turn of this actor. Unbounded post: one for each session of a link.
        self.parts.registrar.do_send(RegistrarMessage::Recovered);
    }

    pub(super) fn as_a_whole(&mut self, request: ConnectorRequest, ctx: &mut Context<Self>) {
        match request {
            ConnectorRequest::Roster { dn, entries } => {
                if self.parts.directory.rosters.publish(&dn, entries) {
                    self.roster_changed(&dn);
                }
            }
            ConnectorRequest::Suspend { deadline_ms } => {
                let deadline = deadline_ms.map(Duration::from_millis);
                self.drain_message(DrainMessage::Suspend { deadline }, ctx);
            }
            ConnectorRequest::Return => self.drain_message(DrainMessage::Return, ctx),
            ConnectorRequest::Restore { records, end } => self.given_back(records, end, ctx),
            ConnectorRequest::Peers { peers, rooms } => {
                let mut journal = self.parts.journal.borrow_mut();
                self.parts.directory.neighbours.introduce(peers, rooms, &mut **journal);
            }
            ConnectorRequest::DeviceMoved { dn, contact } => {
                let device = Device {
                    aor: dn.as_str().into(),
                    uri: contact.uri,
                    instance: contact.instance,
                    reg_id: contact.reg_id,
                };
                self.parts.shard.borrow_mut().ua.device_left(now(), &device, &contact.route);
            }
            ConnectorRequest::ForgetContact { dn, uri, expires_at } => {
                // Unbounded post: one for each device that has moved.
                self.parts.registrar.do_send(RegistrarMessage::Forget { dn, uri, expires_at });
            }
        }
    }
}

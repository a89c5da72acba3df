//! A link that came up with a new session: what this connector has is told and named again.

use super::connector_actor::ConnectorActor;
use super::registrar::RegistrarMessage;

impl ConnectorActor {
    /// The T-Server side is about to name every conference that it knows; what it does not name is nobody's. It hears of every DN that
    /// has devices here.
    pub(super) fn synchronise(&mut self) {
        let mut shard = self.parts.shard.borrow_mut();
        let live = shard.conference_ids();
        shard.unaudited.extend(live);
        drop(shard);
        // Unbounded post: one for each session of a link.
        self.parts.registrar.do_send(RegistrarMessage::Recovered);
    }
}

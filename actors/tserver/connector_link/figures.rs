//! What operators see of the connectors in other processes: which of them can be reached, what they hold, and how many DNs each owns.

use std::collections::HashMap;

use actix::{Context, Handler, Message};
use tandem_model::ConnectorId;
use tandem_model::connector::ConnectorStatus;

use super::ConnectorLinkActor;

/// Asks what is known of every connector. For any one of the links; it takes as long as a look at every DN.
#[derive(Debug, Message)]
#[rtype(result = "Vec<ConnectorFigures>")]
pub struct QueryConnectors;

/// What is known of a connector in another process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectorFigures {
    /// Which.
    pub id: ConnectorId,
    /// Whether it can be reached.
    pub up: bool,
    /// How it was when it told that last.
    pub status: ConnectorStatus,
    /// How many DNs it owns. A DN has one owner, so together these are the DNs that there are, but for
    /// those of a pool of which no connector can be reached.
    pub dns: usize,
}

impl Handler<QueryConnectors> for ConnectorLinkActor {
    type Result = Vec<ConnectorFigures>;

    fn handle(&mut self, _: QueryConnectors, _: &mut Context<Self>) -> Self::Result {
        let switch = &self.switch;
        let mut owned: HashMap<ConnectorId, usize> = HashMap::new();
        for dn in switch.numbering().dns() {
            *owned.entry(switch.connector_of(&dn.dn)).or_default() += 1;
        }
        let known: HashMap<_, _> = switch.reach().nodes().map(|(id, up, status)| (id, (up, status))).collect();
        let ids = (0..switch.directory.links().len()).map(|index| ConnectorId(u16::try_from(index).unwrap_or(u16::MAX)));
        ids.map(|id| {
            let (up, status) = known.get(&id).copied().unwrap_or_default();
            // One that cannot be reached owns nothing, though its pool may have no other.
            let dns = owned.get(&id).copied().filter(|_| up).unwrap_or(0);
            ConnectorFigures { id, up, status, dns }
        })
        .collect()
    }
}

//! The connectors as operators see and drain them, in this process or in others.

use std::collections::HashMap;
use std::time::Duration;

use metrics::gauge;
use tandem_model::ConnectorId;
use tandem_model::conference_pool::ServiceFigures;
use tandem_model::connector::{ConnectorRequest, ConnectorState};
use tandem_model::link::LinkRequest;

use super::{Gateway, NoConnector, Unavailable, ask};
use crate::connector::{ConnectorMessage, ConnectorSummary, DrainMessage, QueryConnector};
use crate::link::QueryUnacknowledged;
use crate::sharding::ShardState;
use crate::tserver::{ConnectorFigures, LinkMessage, QueryConnectors};

/// Whether a connector owns DNs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// It does.
    Running,
    /// Not any more, but it has calls and transactions still (seed 002 line 2459).
    Suspending,
    /// Not any more, and nothing is left in it.
    Suspended,
    /// It is in another process, which cannot be reached.
    Disconnected,
}

impl Condition {
    const ALL: [Self; 4] = [Self::Running, Self::Suspending, Self::Suspended, Self::Disconnected];

    /// Its name, as the seed has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Suspending => "Suspending",
            Self::Suspended => "Suspended",
            Self::Disconnected => "Disconnected",
        }
    }
}

impl From<ShardState> for Condition {
    fn from(state: ShardState) -> Self {
        match state {
            ShardState::Running | ShardState::Returning => Self::Running,
            ShardState::Suspending => Self::Suspending,
            ShardState::Suspended => Self::Suspended,
        }
    }
}

/// A connector as `GET /v1/connectors` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectorOverview {
    /// Which.
    pub id: u16,
    /// Whether it owns DNs.
    pub condition: Condition,
    /// Live conferences.
    pub conferences: usize,
    /// SIP transactions.
    pub transactions: usize,
    /// SIP dialogs; of one in another process its legs, of which each has one dialog but while it forks.
    pub dialogs: usize,
    /// The DNs that it owns; `None` in a process that has no DNs to give.
    pub dns: Option<usize>,
    /// Its conference endpoints that have resources; `None` of one in another process.
    pub endpoints: Option<Vec<ServiceFigures>>,
}

impl From<ConnectorFigures> for ConnectorOverview {
    fn from(known: ConnectorFigures) -> Self {
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            id: known.id.0,
            condition: match known.status.state {
                _ if !known.up => Condition::Disconnected,
                ConnectorState::Running => Condition::Running,
                ConnectorState::Suspending => Condition::Suspending,
                ConnectorState::Suspended => Condition::Suspended,
            },
            conferences: count(known.status.conferences),
            transactions: count(known.status.transactions),
            dialogs: count(known.status.sessions),
            dns: Some(known.dns),
            endpoints: None,
        }
    }
}

impl Gateway {
    /// Every connector, in the order of their numbers, whichever process it is in.
    pub async fn all_connectors(&self) -> Result<Vec<ConnectorOverview>, Unavailable> {
        if self.directory.has_remote_connectors() {
            let any = self.directory.links().first().ok_or(Unavailable)?;
            let known = ask(any, QueryConnectors).await?;
            return Ok(known.into_iter().map(ConnectorOverview::from).collect());
        }
        let owned = self.owned();
        let mut connectors = Vec::new();
        for connector in self.connectors().await? {
            connectors.push(ConnectorOverview {
                id: connector.id,
                condition: connector.state.into(),
                conferences: connector.conferences,
                transactions: connector.stats.transactions_active,
                dialogs: connector.stats.dialogs_active,
                dns: owned.as_ref().map(|owned| owned.get(&connector.id).copied().unwrap_or(0)),
                endpoints: Some(connector.endpoints),
            });
        }
        Ok(connectors)
    }

    /// Every connector of this process.
    pub async fn connectors(&self) -> Result<Vec<ConnectorSummary>, Unavailable> {
        let mut connectors = Vec::new();
        for actor in self.directory.connectors() {
            connectors.push(ask(actor, QueryConnector).await?);
        }
        Ok(connectors)
    }

    /// How many DNs each connector of this process owns, where the DNs are here as well.
    fn owned(&self) -> Option<HashMap<u16, usize>> {
        if self.directory.has_remote_tserver() {
            return None;
        }
        let count = self.directory.connector_count();
        let mut owned = HashMap::new();
        for dn in self.directory.configured_dns() {
            *owned.entry(self.directory.shards.owner(dn.as_str(), count).0).or_default() += 1;
        }
        Some(owned)
    }

    /// The DNs of a connector go to the others at once; its calls go on, until the deadline where there is one.
    pub async fn suspend(&self, connector: u16, deadline: Option<Duration>) -> Result<(), NoConnector> {
        let request = ConnectorRequest::Suspend {
            deadline_ms: deadline.map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)),
        };
        self.tell_connector(connector, DrainMessage::Suspend { deadline }, request)
            .await
    }

    /// A connector that is suspending, or suspended, has its DNs again.
    pub async fn bring_back(&self, connector: u16) -> Result<(), NoConnector> {
        self.tell_connector(connector, DrainMessage::Return, ConnectorRequest::Return)
            .await
    }

    async fn tell_connector(&self, id: u16, here: DrainMessage, there: ConnectorRequest) -> Result<(), NoConnector> {
        if self.directory.has_remote_connectors() {
            let link = self.directory.link(ConnectorId(id)).ok_or(NoConnector::Unknown)?;
            let known = ask(link, QueryConnectors)
                .await
                .map_err(|Unavailable| NoConnector::Unreachable)?;
            if !known.iter().any(|known| known.id.0 == id && known.up) {
                return Err(NoConnector::Unreachable);
            }
            // Unbounded post: an operator's.
            link.do_send(LinkMessage(LinkRequest::Connector(there)));
            return Ok(());
        }
        let connector = self.directory.connector(ConnectorId(id)).ok_or(NoConnector::Unknown)?;
        self.directory.pin_rooms();
        // Unbounded post: an operator's.
        connector.do_send(ConnectorMessage::Drain(here));
        Ok(())
    }

    /// Whether a connector's process has nothing more to say: no session waits for the answer to a BYE, and the T-Server has all that it was
    /// told, or cannot be reached.
    pub async fn has_said_all(&self) -> bool {
        let quiet = self
            .connectors()
            .await
            .is_ok_and(|all| all.iter().all(|connector| connector.stats.sessions_active == 0));
        let told = match self.directory.link_server() {
            Some(link) if self.directory.links_up() > 0 => ask(link, QueryUnacknowledged).await.is_ok_and(|waiting| waiting == 0),
            _ => true,
        };
        quiet && told
    }

    /// Sets the gauges that are counted when somebody looks: `tandem_connectors{state}`, `tandem_connector_dns{connector}`.
    pub async fn publish_gauges(&self) {
        let Ok(connectors) = self.all_connectors().await else { return };
        for condition in Condition::ALL {
            let so = connectors.iter().filter(|connector| connector.condition == condition).count();
            gauge!("tandem_connectors", "state" => condition.name().to_ascii_lowercase()).set(so as f64);
        }
        for connector in &connectors {
            if let Some(dns) = connector.dns {
                gauge!("tandem_connector_dns", "connector" => connector.id.to_string()).set(dns as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_model::connector::ConnectorStatus;

    use super::*;

    #[test]
    fn a_connector_elsewhere_is_what_it_told_or_out_of_reach() {
        let figures = |up, state| ConnectorFigures {
            id: ConnectorId(3),
            up,
            status: ConnectorStatus {
                state,
                conferences: 1,
                transactions: 2,
                sessions: 4,
            },
            dns: 5,
        };
        for (up, state, expected) in [
            (true, ConnectorState::Running, Condition::Running),
            (true, ConnectorState::Suspending, Condition::Suspending),
            (true, ConnectorState::Suspended, Condition::Suspended),
            (false, ConnectorState::Running, Condition::Disconnected),
            (false, ConnectorState::Suspended, Condition::Disconnected),
        ] {
            let overview = ConnectorOverview::from(figures(up, state));
            assert_eq!((overview.id, overview.condition), (3, expected), "{up} {state:?}");
            let held = (overview.conferences, overview.transactions, overview.dialogs, overview.dns);
            assert_eq!(held, (1, 2, 4, Some(5)));
        }
        assert_eq!(Condition::from(ShardState::Returning), Condition::Running);
        assert_eq!(
            Condition::ALL.map(Condition::name),
            ["Running", "Suspending", "Suspended", "Disconnected"]
        );
    }
}

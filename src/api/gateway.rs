//! [`Port`] on the actors: the gateway's answers, put into the words of the HTTP side.

use std::any::Any;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use tandem_actors::gateway::{self, ClientHandle, Gateway};
use tandem_actors::tserver;
use tandem_model::call;
use tandem_model::conference_pool::ServiceFigures;
use tandem_model::{ConnId, DnId};

use super::port::{
    CallSummary, ClientLink, ClientSink, ConnectorSummary, DnSummary, EndpointSummary, PartySummary, Port, ReadinessCheck,
    Refused, Unavailable, Watch, Watched,
};

impl Port for Gateway {
    fn connect(&self, sink: Arc<dyn ClientSink>) -> LocalBoxFuture<'_, Result<Box<dyn ClientLink>, Refused>> {
        async move {
            let handle = Gateway::connect(self, sink).await?;
            Ok(Box::new(handle) as Box<dyn ClientLink>)
        }
        .boxed_local()
    }

    fn watch(&self, watch: Watch) -> LocalBoxFuture<'_, Result<Watched, Refused>> {
        async move {
            let handle = Gateway::watch(self, watch).await?;
            Ok((handle.watching.clone(), Box::new(handle) as Box<dyn Any>))
        }
        .boxed_local()
    }

    fn calls(&self, after: Option<ConnId>, limit: usize) -> LocalBoxFuture<'_, Result<(Vec<CallSummary>, bool), Unavailable>> {
        async move {
            let (calls, more) = Gateway::calls(self, after, limit).await;
            Ok((calls.into_iter().map(call_summary).collect(), more))
        }
        .boxed_local()
    }

    fn call(&self, conn_id: ConnId) -> LocalBoxFuture<'_, Result<Option<CallSummary>, Unavailable>> {
        async move {
            let call = Gateway::call(self, conn_id).await.map_err(|_| Unavailable)?;
            Ok(call.map(call_summary))
        }
        .boxed_local()
    }

    fn dns(&self, after: Option<DnId>, limit: usize) -> LocalBoxFuture<'_, Result<(Vec<DnSummary>, bool), Unavailable>> {
        async move {
            let (dns, more) = Gateway::dns(self, after.as_ref(), limit).await.map_err(|_| Unavailable)?;
            Ok((dns.into_iter().map(dn_summary).collect(), more))
        }
        .boxed_local()
    }

    fn dn(&self, dn: DnId) -> LocalBoxFuture<'_, Result<Option<DnSummary>, Unavailable>> {
        async move {
            let found = Gateway::dn(self, &dn).await.map_err(|_| Unavailable)?;
            Ok(found.map(dn_summary))
        }
        .boxed_local()
    }

    fn connectors(&self) -> LocalBoxFuture<'_, Result<Vec<ConnectorSummary>, Unavailable>> {
        async move {
            let connectors = Gateway::all_connectors(self).await.map_err(|_| Unavailable)?;
            Ok(connectors.into_iter().map(connector_summary).collect())
        }
        .boxed_local()
    }

    fn is_alive(&self) -> LocalBoxFuture<'_, bool> {
        Gateway::is_alive(self).boxed_local()
    }

    fn publish_gauges(&self) -> LocalBoxFuture<'_, ()> {
        Gateway::publish_gauges(self).boxed_local()
    }

    fn readiness(&self) -> LocalBoxFuture<'_, Vec<ReadinessCheck>> {
        async move {
            let checks = Gateway::readiness(self).await;
            checks
                .into_iter()
                .map(|check| ReadinessCheck {
                    name: check.name,
                    ok: check.ok,
                    detail: check.detail,
                })
                .collect()
        }
        .boxed_local()
    }
}

impl ClientLink for ClientHandle {
    fn frame(&self, text: String) -> LocalBoxFuture<'_, bool> {
        ClientHandle::frame(self, text).boxed_local()
    }
}

fn call_summary(call: call::CallSummary) -> CallSummary {
    CallSummary {
        conn_id: call.conn_id.to_string(),
        call_uuid: call.call_uuid.to_string(),
        call_type: call.call_type.name(),
        age_ms: u64::try_from(call.age.as_millis()).unwrap_or(u64::MAX),
        ani: call.ani.as_deref().map(str::to_owned),
        dnis: call.dnis.as_deref().map(str::to_owned),
        parties: call.parties.into_iter().map(party_summary).collect(),
    }
}

fn party_summary(party: call::PartySummary) -> PartySummary {
    PartySummary {
        dn: party.dn.to_string(),
        role: party.role.name(),
        state: format!("{:?}", party.state),
        external: party.external,
    }
}

fn dn_summary(dn: tserver::DnSummary) -> DnSummary {
    DnSummary {
        dn: dn.dn.to_string(),
        address_type: dn.facts.address_type.name(),
        in_service: dn.facts.in_service,
        contacts: dn.facts.contacts,
        clients: dn.clients,
        connector: dn.connector,
    }
}

fn connector_summary(connector: gateway::ConnectorOverview) -> ConnectorSummary {
    ConnectorSummary {
        id: connector.id,
        name: None,
        pool: None,
        state: connector.condition.name(),
        conferences: connector.conferences,
        transactions: connector.transactions,
        dialogs: connector.dialogs,
        dns: connector.dns,
        endpoints: connector.endpoints.map(|all| all.into_iter().map(endpoint_summary).collect()),
    }
}

fn endpoint_summary(figures: ServiceFigures) -> EndpointSummary {
    EndpointSummary {
        uri: figures.service.to_string(),
        idle: figures.idle,
        in_use: figures.in_use,
    }
}

//! [`Admin`] of a server of this process: what comes over HTTP, put to the drain, the gateway and the configuration; and what signals
//! ask for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tandem_actors::gateway::{Gateway, NoConnector};
use tandem_actors::journal::Scope;
use tandem_actors::quarantine::Quarantined;

use super::Side;
use super::drain::Drain;
use super::reload::Reload;
use crate::api::admin::{Admin, DrainStatus, NotDrained, ReloadReport};

/// What can be done to a running server.
pub struct Administration {
    /// Its end.
    pub drain: Drain,
    /// Its configuration.
    pub reload: Arc<Reload>,
    /// The way into its actors.
    pub gateway: Gateway,
    side: Side,
}

impl Administration {
    /// Of the server behind that gateway.
    pub fn new(gateway: Gateway, reload: Reload) -> Self {
        Self {
            drain: Drain::new(gateway.clone()),
            side: reload.side(),
            reload: Arc::new(reload),
            gateway,
        }
    }

    /// SIGTERM or SIGINT. What has calls drains first, and ends at the second one. A T-Server ends at once: its connectors keep the calls,
    /// and the less time it takes until the next one is there, the less is refused meanwhile.
    pub fn stop_signalled(&self) {
        match self.side {
            Side::Whole | Side::Connector => self.drain.signalled(self.reload.drain_timeout()),
            Side::TServer => self.drain.stop(),
        }
    }
}

impl Admin for Administration {
    fn drain_status(&self) -> DrainStatus {
        self.drain.status()
    }

    fn drain(&self, deadline: Option<Duration>) {
        self.drain.begin(deadline.unwrap_or_else(|| self.reload.drain_timeout()));
    }

    fn undo_drain(&self) -> bool {
        self.drain.undo()
    }

    fn drain_connector(&self, connector: u16, deadline: Option<Duration>) -> LocalBoxFuture<'_, Result<(), NotDrained>> {
        async move { self.gateway.suspend(connector, deadline).await.map_err(not_drained) }.boxed_local()
    }

    fn undo_drain_connector(&self, connector: u16) -> LocalBoxFuture<'_, Result<(), NotDrained>> {
        async move { self.gateway.bring_back(connector).await.map_err(not_drained) }.boxed_local()
    }

    fn quarantined(&self) -> Vec<(Scope, Quarantined)> {
        self.gateway.quarantined()
    }

    #[cfg(feature = "fault-injection")]
    fn faults(&self) -> Option<tandem_actors::fault::FaultControl> {
        Some(self.gateway.faults())
    }

    fn reload(&self) -> LocalBoxFuture<'_, Result<ReloadReport, Vec<String>>> {
        let reload = self.reload.clone();
        async move {
            let reading = actix_web::web::block(move || reload.reload()).await;
            reading.unwrap_or_else(|_| Err(vec!["the reading was interrupted".to_owned()]))
        }
        .boxed_local()
    }
}

fn not_drained(error: NoConnector) -> NotDrained {
    match error {
        NoConnector::Unknown => NotDrained::Unknown,
        NoConnector::Unreachable => NotDrained::Unreachable,
    }
}

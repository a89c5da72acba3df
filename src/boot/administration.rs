//! [`Admin`] of a server of this process: what comes over HTTP, put to the drain, the gateway and the configuration; and what signals
//! ask for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tandem_actors::gateway::{Condition, Gateway, NoConnector};

use super::Side;
use super::drain::{Drain, seconds_until};
use super::reload::Reload;
use crate::api::admin::{Admin, ConnectorDrain, DrainStatus, NotDrained, ReloadReport};

/// What can be done to a running server.
pub struct Administration {
    /// Its end.
    pub drain: Drain,
    /// Its configuration.
    pub reload: Arc<Reload>,
    /// The way into its actors.
    pub gateway: Gateway,
    side: Side,
    /// Until when the calls of connectors that are drained may go on, where they were given a time. Bounded by the connectors.
    deadlines: Mutex<HashMap<u16, Instant>>,
}

impl Administration {
    /// Of the server behind that gateway.
    pub fn new(gateway: Gateway, reload: Reload) -> Self {
        Self {
            drain: Drain::new(gateway.clone()),
            side: reload.side(),
            reload: Arc::new(reload),
            gateway,
            deadlines: Mutex::default(),
        }
    }

    fn note_deadline(&self, connector: u16, deadline: Option<Instant>) {
        let mut deadlines = self.deadlines.lock().unwrap_or_else(PoisonError::into_inner);
        match deadline {
            Some(deadline) => deadlines.insert(connector, deadline),
            None => deadlines.remove(&connector),
        };
    }

    async fn status(&self) -> DrainStatus {
        let mut status = self.drain.status();
        // A server that is going down may have no connectors to ask any more.
        let connectors = self.gateway.all_connectors().await.unwrap_or_default();
        let states = || connectors.iter().map(|connector| connector.condition);
        if !status.draining && !connectors.is_empty() && states().all(Condition::is_drained) {
            status.draining = true;
            let over = states().all(|state| state == Condition::Suspended);
            status.state = if over { Condition::Suspended } else { Condition::Suspending }.name();
        }
        let deadlines = self.deadlines.lock().unwrap_or_else(PoisonError::into_inner);
        status.connectors = connectors
            .iter()
            .map(|connector| ConnectorDrain {
                connector: connector.id,
                state: connector.condition.name(),
                dialogs: connector.dialogs,
                remaining_s: deadlines
                    .get(&connector.id)
                    .filter(|_| connector.condition == Condition::Suspending)
                    .map(|deadline| seconds_until(*deadline)),
            })
            .collect();
        status
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
    fn drain_status(&self) -> LocalBoxFuture<'_, DrainStatus> {
        self.status().boxed_local()
    }

    fn drain(&self, deadline: Option<Duration>) {
        self.drain.begin(deadline.unwrap_or_else(|| self.reload.drain_timeout()));
    }

    fn undo_drain(&self) -> bool {
        self.drain.undo()
    }

    fn drain_connector(&self, connector: u16, deadline: Option<Duration>) -> LocalBoxFuture<'_, Result<(), NotDrained>> {
        async move {
            self.gateway.suspend(connector, deadline).await.map_err(not_drained)?;
            self.note_deadline(connector, deadline.map(|deadline| Instant::now() + deadline));
            Ok(())
        }
        .boxed_local()
    }

    fn undo_drain_connector(&self, connector: u16) -> LocalBoxFuture<'_, Result<(), NotDrained>> {
        async move {
            self.gateway.bring_back(connector).await.map_err(not_drained)?;
            self.note_deadline(connector, None);
            Ok(())
        }
        .boxed_local()
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

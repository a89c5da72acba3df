//! What a connector's pool of conference resources shows in the metrics, by connector: resources are counted where they are.

use metrics::{Counter, Gauge, counter, gauge};
use tandem_model::ConnectorId;
use tandem_model::conference_pool::PoolFigures;

/// The meters of one pool, and what they show.
pub(super) struct PoolMeters {
    idle: Gauge,
    in_use: Gauge,
    ready: Counter,
    made: Counter,
    retired: Counter,
    shown: PoolFigures,
}

impl PoolMeters {
    /// Those of a connector's pool; nothing is shown yet.
    pub(super) fn of(connector: ConnectorId) -> Self {
        let connector = || connector.to_string();
        Self {
            idle: gauge!("tandem_conference_resources", "connector" => connector(), "state" => "idle"),
            in_use: gauge!("tandem_conference_resources", "connector" => connector(), "state" => "in_use"),
            ready: counter!("tandem_conference_resources_taken_total", "connector" => connector(), "from" => "pool"),
            made: counter!("tandem_conference_resources_taken_total", "connector" => connector(), "from" => "new"),
            retired: counter!("tandem_conference_resources_retired_total", "connector" => connector()),
            shown: PoolFigures::default(),
        }
    }

    /// Shows these figures.
    pub(super) fn show(&mut self, figures: PoolFigures) {
        let (old, new) = (self.shown.counts, figures.counts);
        self.idle.set(figures.idle as f64);
        self.in_use.set(figures.in_use as f64);
        self.ready.increment(new.ready.saturating_sub(old.ready));
        self.made.increment(new.made.saturating_sub(old.made));
        self.retired.increment(new.retired.saturating_sub(old.retired));
        self.shown = figures;
    }
}

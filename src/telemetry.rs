//! Logs and metrics of the process: installed once, before anything else runs.

use std::io::IsTerminal as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tandem_config::LogFormat;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::store;

/// Set-up takes from a millisecond (a machine answers) to minutes (a person does).
const SETUP_BUCKETS_S: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0,
];
/// Calls last from seconds to a day.
const DURATION_BUCKETS_S: [f64; 12] = [
    1.0, 5.0, 15.0, 30.0, 60.0, 180.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0, 86_400.0,
];
/// Frames that wait for a client.
const LAG_BUCKETS: [f64; 8] = [0.0, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0];
/// Interarrival jitter of audio: a few milliseconds on a local network, hundreds where it is bad.
const JITTER_BUCKETS_S: [f64; 10] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25];
/// The share of packets that never came.
const LOSS_BUCKETS: [f64; 10] = [0.0, 0.001, 0.002_5, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25];
/// A round trip of audio: from one machine to round the world.
const ROUND_TRIP_BUCKETS_S: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.3, 0.5, 1.0];
/// Mean opinion scores: below 3.1 nobody is content (ITU-T G.107 annex B).
const MOS_BUCKETS: [f64; 8] = [1.0, 2.0, 2.6, 3.1, 3.6, 4.0, 4.3, 4.5];
/// The histograms and their buckets. One that is not here would come out as a summary, which cannot be added up.
const BUCKETS: [(&str, &[f64]); 7] = [
    ("tandem_call_setup_seconds", &SETUP_BUCKETS_S),
    ("tandem_call_duration_seconds", &DURATION_BUCKETS_S),
    ("tandem_event_client_lag", &LAG_BUCKETS),
    ("tandem_rtp_jitter_seconds", &JITTER_BUCKETS_S),
    ("tandem_rtp_loss_ratio", &LOSS_BUCKETS),
    ("tandem_rtp_round_trip_seconds", &ROUND_TRIP_BUCKETS_S),
    ("tandem_rtp_mos", &MOS_BUCKETS),
];
/// How often the recorder tidies up its histograms.
const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the subscriber. Lines go to standard error, so that standard output belongs to the command.
pub fn install_logs(format: LogFormat, filter: &str) -> Result<(), String> {
    let (filter, handle) = reload::Layer::new(parsed(filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    let done = match format {
        LogFormat::Text => registry
            .with(
                tracing_subscriber::fmt::layer()
                    // Colours are for people: a file or a journal gets none.
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(std::io::stderr),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    done.map_err(|error| error.to_string())?;
    // The first time, as the subscriber itself.
    let _ = LOG_FILTER.set(handle);
    install_panic_log();
    Ok(())
}

/// The filter of the installed subscriber.
static LOG_FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// What is logged from now on.
pub fn set_log_filter(filter: &str) -> Result<(), String> {
    let filter = parsed(filter)?;
    match LOG_FILTER.get() {
        Some(handle) => handle.reload(filter).map_err(|error| format!("log.filter: {error}")),
        None => Ok(()),
    }
}

fn parsed(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter).map_err(|error| format!("log.filter: {error}"))
}

/// A panic becomes one log line. The supervision logs which actor it was; this line says where.
fn install_panic_log() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tandem_actors::supervision::panicked_at(&place);
        let message = info.payload_as_str().unwrap_or("a panic without a message");
        tracing::error!(
            place,
            message,
            thread = std::thread::current().name().unwrap_or_default(),
            "panic"
        );
    }));
}

/// The metrics of the process.
#[derive(Clone)]
pub struct MetricsPages {
    handle: PrometheusHandle,
    process: Arc<metrics_process::Collector>,
}

impl MetricsPages {
    /// Installs the recorder and describes every metric.
    pub fn install() -> Result<Self, String> {
        let mut builder = PrometheusBuilder::new();
        for (name, buckets) in BUCKETS.into_iter().chain(store::BUCKETS) {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(name.into()), buckets)
                .map_err(|error| error.to_string())?;
        }
        let handle = builder.install_recorder().map_err(|error| error.to_string())?;
        let process = metrics_process::Collector::default();
        process.describe();
        tandem_actors::metrics::describe();
        metrics::describe_gauge!("tandem_build_info", "1, with the version of the server.");
        gauge!("tandem_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self {
            handle,
            process: Arc::new(process),
        })
    }

    /// The page that Prometheus reads.
    pub fn render(&self) -> String {
        self.process.collect();
        tandem_actors::kind::ActorKind::publish_depths();
        self.handle.render()
    }

    /// Keeps the recorder tidy for as long as it is polled.
    pub async fn upkeep(self) {
        let mut next = tokio::time::interval_at((Instant::now() + UPKEEP).into(), UPKEEP);
        loop {
            next.tick().await;
            self.handle.run_upkeep();
        }
    }
}

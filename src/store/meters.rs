//! The metrics of the journal. Handles are made once for each scope and kept.

use metrics::{Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use tandem_actors::journal::Scope;

/// The histograms of the journal and their buckets, in seconds.
pub const BUCKETS: [(&str, &[f64]); 2] = [
    ("tandem_journal_commit_seconds", &COMMIT_BUCKETS_S),
    ("tandem_journal_fold_seconds", &FOLD_BUCKETS_S),
];
/// A commit is one write into the page cache: microseconds, and milliseconds where the disk holds it up.
const COMMIT_BUCKETS_S: [f64; 12] = [
    0.000_001, 0.000_002, 0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.025, 0.1,
];
const FOLD_BUCKETS_S: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// What a writer counts.
pub struct WriterMeters {
    /// `tandem_journal_records_total{scope,op="put"}`.
    pub puts: Counter,
    /// `tandem_journal_records_total{scope,op="remove"}`.
    pub removes: Counter,
    /// `tandem_journal_bytes_total`.
    pub bytes: Counter,
    /// `tandem_journal_commit_seconds`.
    pub commit: Histogram,
    /// `tandem_journal_degraded{scope}`.
    pub degraded: Gauge,
    /// `tandem_journal_errors_total{operation="write"}`.
    pub errors: Counter,
}

impl WriterMeters {
    /// The handles of a scope.
    pub fn of(scope: Scope) -> Self {
        let scope = scope.to_string();
        let degraded = gauge!("tandem_journal_degraded", "scope" => scope.clone());
        degraded.set(0.0);
        Self {
            puts: counter!("tandem_journal_records_total", "scope" => scope.clone(), "op" => "put"),
            removes: counter!("tandem_journal_records_total", "scope" => scope, "op" => "remove"),
            bytes: counter!("tandem_journal_bytes_total"),
            commit: histogram!("tandem_journal_commit_seconds"),
            degraded,
            errors: errors("write"),
        }
    }
}

/// What the threads count.
pub struct KeeperMeters {
    /// `tandem_journal_fold_seconds`.
    pub fold: Histogram,
    /// `tandem_journal_segments`.
    pub segments: Gauge,
    /// `tandem_journal_size_bytes`.
    pub size: Gauge,
    /// `tandem_journal_errors_total{operation="segment"}`: a segment could not be made.
    pub segment_errors: Counter,
    /// `tandem_journal_errors_total{operation="fold"}`.
    pub fold_errors: Counter,
    /// `tandem_journal_errors_total{operation="read"}`: something was there that cannot be read.
    pub read_errors: Counter,
    /// `tandem_journal_errors_total{operation="sync"}`.
    pub sync_errors: Counter,
}

impl KeeperMeters {
    /// The handles.
    pub fn register() -> Self {
        Self {
            fold: histogram!("tandem_journal_fold_seconds"),
            segments: gauge!("tandem_journal_segments"),
            size: gauge!("tandem_journal_size_bytes"),
            segment_errors: errors("segment"),
            fold_errors: errors("fold"),
            read_errors: errors("read"),
            sync_errors: errors("sync"),
        }
    }
}

fn errors(operation: &'static str) -> Counter {
    counter!("tandem_journal_errors_total", "operation" => operation)
}

/// Gives every metric its unit and help text.
pub fn describe() {
    describe_counter!(
        "tandem_journal_records_total",
        "Records put into the journal and taken out of it, by scope."
    );
    describe_counter!(
        "tandem_journal_bytes_total",
        Unit::Bytes,
        "Written into segments of the journal."
    );
    describe_histogram!(
        "tandem_journal_commit_seconds",
        Unit::Seconds,
        "How long an arbiter waited until its records were safe from a kill."
    );
    describe_histogram!(
        "tandem_journal_fold_seconds",
        Unit::Seconds,
        "How long it took to fold closed segments into the database."
    );
    describe_gauge!(
        "tandem_journal_degraded",
        "1 while storage fails and nothing of the scope outlives the process."
    );
    describe_counter!(
        "tandem_journal_errors_total",
        "Failures of the journal's storage, by operation."
    );
    describe_gauge!("tandem_journal_segments", "Segment files of the journal.");
    describe_gauge!("tandem_journal_size_bytes", Unit::Bytes, "All files of the journal together.");
}

//! The metrics of this thread: a world runs on one thread, so what it counts is its own, though tests run side by side. Where the world
//! has several processes, each has metrics of its own, and they go with it.

use std::cell::{Cell as Current, RefCell};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

thread_local! {
    static VALUES: RefCell<BTreeMap<(usize, String), f64>> = const { RefCell::new(BTreeMap::new()) };
    static PROCESS: Current<usize> = const { Current::new(0) };
}

/// Installs the recorder for the process; to be called before any actor starts.
pub fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| metrics::set_global_recorder(ThreadRecorder).expect("no other recorder in this program"));
}

/// Starts this thread's metrics anew.
pub fn reset() {
    VALUES.with_borrow_mut(BTreeMap::clear);
}

/// A process has died with what it counted.
pub fn forget(process: usize) {
    VALUES.with_borrow_mut(|values| values.retain(|(of, _), _| *of != process));
}

/// Counts what is done as a process's.
pub fn within<T>(process: usize, deed: impl FnOnce() -> T) -> T {
    let before = PROCESS.replace(process);
    let done = deed();
    PROCESS.set(before);
    done
}

/// A metric of this thread with a kind of actor as its label; 0 where nothing was recorded.
pub fn of_kind(name: &str, kind: &str) -> i64 {
    total(&format!("{name}{{kind={kind}}}"))
}

/// A metric of this thread, over all its labels and processes.
pub fn total(name: &str) -> i64 {
    let of_name = |key: &str| {
        key.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
    };
    VALUES.with_borrow(|values| {
        values
            .iter()
            .filter(|((_, key), _)| of_name(key))
            .map(|(_, value)| *value)
            .sum::<f64>() as i64
    })
}

struct ThreadRecorder;

struct Cell(String);

impl Cell {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        let key = (PROCESS.get(), self.0.clone());
        VALUES.with_borrow_mut(|values| change(values.entry(key).or_default()));
    }
}

impl CounterFn for Cell {
    fn increment(&self, by: u64) {
        self.change(|value| *value += by as f64);
    }

    fn absolute(&self, to: u64) {
        self.change(|value| *value = to as f64);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, by: f64) {
        self.change(|value| *value += by);
    }

    fn decrement(&self, by: f64) {
        self.change(|value| *value -= by);
    }

    fn set(&self, to: f64) {
        self.change(|value| *value = to);
    }
}

fn cell(key: &Key) -> Arc<Cell> {
    let labels: Vec<_> = key
        .labels()
        .map(|label| format!("{}={}", label.key(), label.value()))
        .collect();
    let labels = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", labels.join(","))
    };
    Arc::new(Cell(format!("{}{labels}", key.name())))
}

impl Recorder for ThreadRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(cell(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

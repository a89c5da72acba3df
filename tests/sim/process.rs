//! A process of the simulation: tasks that can be stopped for a while, and dropped where they stand.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::task::{JoinHandle, LocalSet};

use super::recorder;

/// A process that runs.
pub struct Process {
    number: usize,
    stopped: Arc<Mutex<Stopped>>,
    running: JoinHandle<()>,
}

#[derive(Default)]
struct Stopped {
    stopped: bool,
    waker: Option<Waker>,
}

impl Process {
    /// Starts a process with what it does first; returns what came of that. What it counts is counted as this number's.
    pub async fn start<T>(number: usize, first: impl Future<Output = T>) -> (T, Self) {
        let tasks = LocalSet::new();
        let done = {
            let mut first = std::pin::pin!(tasks.run_until(first));
            std::future::poll_fn(|cx| recorder::within(number, || first.as_mut().poll(cx))).await
        };
        let stopped = Arc::<Mutex<Stopped>>::default();
        let running = Running {
            number,
            tasks: Some(tasks),
            stopped: stopped.clone(),
        };
        let process = Self {
            number,
            stopped,
            running: tokio::task::spawn_local(running),
        };
        (done, process)
    }

    /// Kills it, in the middle of whatever it does.
    pub async fn kill(&mut self) {
        self.running.abort();
        let _ = (&mut self.running).await;
        recorder::forget(self.number);
    }

    /// Whether it is stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).stopped
    }

    /// Stops it (SIGSTOP), or lets it go on. What came meanwhile waits.
    pub fn set_stopped(&self, stopped: bool) {
        let mut state = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopped = stopped;
        let waker = if stopped { None } else { state.waker.take() };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The task of a process.
struct Running {
    number: usize,
    tasks: Option<LocalSet>,
    stopped: Arc<Mutex<Stopped>>,
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        let number = self.number;
        match &mut self.tasks {
            Some(tasks) => recorder::within(number, || Pin::new(tasks).poll(cx)),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let tasks = self.tasks.take();
        recorder::within(self.number, || drop(tasks));
    }
}

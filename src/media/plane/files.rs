//! Prompts, loaded on a thread of their own: reading and decoding a file may take long, and packets do not wait.
//!
//! Loaded prompts are kept, up to a number of seconds in all; then all are forgotten (those that play go on). A file that cannot be had is asked
//! for again each time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::Homes;
use super::event::PortId;
use super::wire::{Order, PortOrder, Wire};
use crate::prompt::{Prompt, PromptError, PromptLimits, path_in};

/// Files that may wait to be loaded.
const QUEUE: usize = 256;
/// What is kept, in milliseconds: an hour takes about 170 MB.
const KEPT_MS: u64 = 3_600_000;

/// The way to the thread. It ends when this is dropped.
pub(super) struct Files {
    asks: Sender<(PortId, Arc<str>)>,
    kept: Arc<Kept>,
}

type Kept = Mutex<HashMap<Arc<str>, Arc<Prompt>>>;

struct Loader {
    directory: Option<PathBuf>,
    kept: Arc<Kept>,
    homes: Arc<Homes>,
    wires: Vec<Arc<Wire>>,
}

impl Files {
    pub(super) fn start(directory: Option<PathBuf>, homes: Arc<Homes>, wires: Vec<Arc<Wire>>) -> io::Result<Self> {
        let (asks, asked) = bounded(QUEUE);
        let kept = Arc::new(Kept::default());
        let loader = Loader {
            directory,
            kept: kept.clone(),
            homes,
            wires,
        };
        thread::Builder::new()
            .name("media-files".into())
            .spawn(move || loader.run(&asked))?;
        Ok(Self { asks, kept })
    }

    /// The prompt, where it is loaded. Otherwise the port gets it later, as an order.
    pub(super) fn find(&self, port: PortId, name: &Arc<str>) -> Option<PortOrder> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if kept.is_none() && self.asks.try_send((port, name.clone())).is_ok() {
            return None;
        }
        Some(PortOrder::Loaded(name.clone(), kept))
    }
}

impl Loader {
    fn run(&self, asked: &Receiver<(PortId, Arc<str>)>) {
        for (port, name) in asked {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
            let prompt = kept.or_else(|| self.load(&name));
            let homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(wire) = homes.get(&port).and_then(|home| self.wires.get(home.thread)) {
                // A thread that is so busy plays no file.
                let _ = wire.give(Order::Port(port, PortOrder::Loaded(name, prompt)));
            }
        }
    }

    fn load(&self, name: &Arc<str>) -> Option<Arc<Prompt>> {
        match self.read(name) {
            Ok(prompt) => {
                let prompt = Arc::new(prompt);
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                let total: u64 = kept.values().map(|prompt| prompt.duration_ms()).sum();
                if total + prompt.duration_ms() > KEPT_MS {
                    kept.clear();
                }
                kept.insert(name.clone(), prompt.clone());
                Some(prompt)
            }
            Err(error) => {
                tracing::warn!(%error, "a prompt cannot be played");
                None
            }
        }
    }

    fn read(&self, name: &str) -> Result<Prompt, PromptError> {
        let nowhere = || PromptError::Read {
            file: name.into(),
            error: io::Error::new(io::ErrorKind::NotFound, "no prompt directory is configured"),
        };
        let directory = self.directory.as_deref().ok_or_else(nowhere)?;
        Prompt::load(&path_in(directory, name)?, PromptLimits::default())
    }
}

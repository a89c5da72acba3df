//! The music on hold of a plane: what there is, by name, and what is played where none is asked for.
//!
//! It may be exchanged while the plane runs. Who hears music already goes on hearing what began; whatever begins from then on is the new one.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::prompt::Prompt;

/// The music.
#[derive(Clone, Default, Debug)]
pub struct Music {
    /// By name.
    pub named: HashMap<Arc<str>, Arc<Prompt>>,
    /// The name of what is played where none is asked for, or one that is not there. Without it: [`Prompt::music_on_hold`].
    pub default: Option<Arc<str>>,
}

impl Music {
    /// The music of that name, or what stands for it.
    pub fn of(&self, name: Option<&str>) -> Arc<Prompt> {
        let named = |name: &str| self.named.get(name).cloned();
        name.and_then(named)
            .or_else(|| self.default.as_deref().and_then(named))
            .unwrap_or_else(Prompt::music_on_hold)
    }
}

/// What is played now. It is locked only to exchange or to copy a pointer.
pub(super) struct Shelf(RwLock<Arc<Music>>);

impl Shelf {
    pub(super) fn new(music: Music) -> Self {
        Self(RwLock::new(Arc::new(music)))
    }

    pub(super) fn music(&self) -> Arc<Music> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn exchange(&self, music: Music) {
        let music = Arc::new(music);
        // Dropped after the lock: it may be the last one to hold minutes of audio.
        let _former = std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), music);
    }
}

//! What follows from a configuration that was read again: DNs come, change and go.
//!
//! One that comes can be registered at once. One that goes is out of service, for its clients too, and nobody reaches it any more; calls that it
//! has go on until they end. One that goes to another application pool is served by the connectors of that from the next call on.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use actix::{Context, Handler, Message};
use tandem_model::DnId;
use tandem_model::numbering::{DEFAULT_POOL, Numbering};

use super::ConnectorLinkActor;
use crate::tserver::dn::{DnActor, DnMessage, DnParts};

/// Another numbering is in force. To one of the links.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Renumbered {
    /// The one before.
    pub before: Arc<Numbering>,
    /// Told when the DNs are those of the new one.
    pub done: SyncSender<()>,
}

impl ConnectorLinkActor {
    fn renumber(&self, before: &Numbering) {
        let (switch, directory) = (&self.switch, &self.switch.directory);
        let (now, known) = (switch.numbering(), directory.dns());
        let mut configs: Vec<_> = now.dns().collect();
        configs.sort_unstable_by(|one, other| one.dn.cmp(&other.dn));
        let (mut added, mut moved) = (Vec::new(), Vec::new());
        for config in configs {
            let dn = &config.dn;
            match known.get(dn) {
                None => {
                    let is_served = !directory.has_remote_connectors() || switch.is_served(dn);
                    let parts = DnParts::new(config.clone(), switch.clone(), is_served);
                    added.push((dn.clone(), DnActor::supervise(parts)));
                }
                Some(actor) => {
                    if before.dn(dn) != Some(config) || before.direct_calls(dn) != now.direct_calls(dn) {
                        // Unbounded post: one for each DN and reading of the configuration.
                        actor.do_send(DnMessage::Configured(Box::new(config.clone())));
                    }
                    if pool_of(before, dn) != pool_of(&now, dn) {
                        moved.push(dn.clone());
                    }
                }
            }
        }
        moved.extend(added.iter().map(|(dn, _)| dn.clone()));
        directory.add_dns(added);
        let mut gone: Vec<_> = before
            .dns()
            .map(|config| &config.dn)
            .filter(|dn| now.dn(dn).is_none())
            .collect();
        gone.sort_unstable();
        for dn in gone {
            self.tell_dn(dn, DnMessage::Removed);
        }
        for dn in &moved {
            self.tell_service(dn);
        }
    }

    /// Whether the connectors of its pool can be reached, and which of its devices.
    fn tell_service(&self, dn: &DnId) {
        let switch = &self.switch;
        let contacts = if switch.directory.has_remote_connectors() {
            self.tell_dn(
                dn,
                DnMessage::Link {
                    up: switch.is_served(dn),
                },
            );
            switch.reach().reachable(dn, switch.unix_seconds())
        } else {
            u32::try_from(switch.directory.locations.bindings(dn).len()).unwrap_or(u32::MAX)
        };
        self.tell_dn(dn, DnMessage::Contacts(contacts));
    }
}

fn pool_of<'a>(numbering: &'a Numbering, dn: &DnId) -> &'a str {
    numbering.pool_of(dn).map_or(DEFAULT_POOL, |pool| pool)
}

impl Handler<Renumbered> for ConnectorLinkActor {
    type Result = ();

    fn handle(&mut self, message: Renumbered, _: &mut Context<Self>) {
        self.renumber(&message.before);
        // Nobody may be waiting any more.
        let _ = message.done.try_send(());
    }
}

//! Which connectors of other processes can be reached, and whose devices are where.
//!
//! A device registers at one connector, and only that one can call it. So a DN is at home where its devices are, and a DN without devices
//! - a trunk, a conference - is at home at one of the connectors that can be reached, the same one for as long as they are the same.

use std::collections::{BTreeSet, HashMap};

use tandem_model::{ConnectorId, DnId};

use crate::sharding;

/// The table.
#[derive(Default, Debug)]
pub struct Reach {
    up: BTreeSet<ConnectorId>,
    homes: HashMap<DnId, (ConnectorId, u32)>,
}

impl Reach {
    /// Where a DN is at home; `None` where no connector can be reached.
    pub fn connector_of(&self, dn: &DnId) -> Option<ConnectorId> {
        if let Some((connector, _)) = self.homes.get(dn) {
            return Some(*connector);
        }
        let count = u16::try_from(self.up.len()).ok().filter(|count| *count > 0)?;
        let index = sharding::owner(dn.as_str(), count);
        self.up.iter().nth(usize::from(index.0)).copied()
    }

    /// So many devices of a DN are at a connector. `false`: there are none, and none were there before, so that is no news.
    pub fn set_home(&mut self, dn: &DnId, connector: ConnectorId, contacts: u32) -> bool {
        if contacts > 0 {
            self.homes.insert(dn.clone(), (connector, contacts));
            return true;
        }
        let here = self.homes.get(dn).is_none_or(|(home, _)| *home == connector);
        if here {
            self.homes.remove(dn);
        }
        here
    }

    /// The DNs that are at home there, with how many devices each has.
    pub fn homes_at(&self, connector: ConnectorId) -> Vec<(DnId, u32)> {
        let there = self.homes.iter().filter(|(_, (home, _))| *home == connector);
        let mut homes: Vec<_> = there.map(|(dn, (_, contacts))| (dn.clone(), *contacts)).collect();
        homes.sort_unstable();
        homes
    }

    /// A connector can be reached, or cannot. How many can be now.
    pub fn link_up(&mut self, connector: ConnectorId, up: bool) -> usize {
        if up {
            self.up.insert(connector);
        } else {
            self.up.remove(&connector);
        }
        self.up.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ConnectorId = ConnectorId(0);
    const SECOND: ConnectorId = ConnectorId(1);

    #[test]
    fn a_dn_is_at_home_where_its_devices_are() {
        let (mut reach, dn) = (Reach::default(), DnId::new("sip:1@x"));
        assert_eq!(reach.connector_of(&dn), None);
        assert!(reach.set_home(&dn, FIRST, 1));
        assert_eq!(
            (reach.connector_of(&dn), reach.homes_at(FIRST)),
            (Some(FIRST), vec![(dn.clone(), 1)])
        );
        assert!(reach.set_home(&dn, SECOND, 2), "the phone registered elsewhere");
        assert!(!reach.set_home(&dn, FIRST, 0), "what it left behind is no news");
        assert_eq!(reach.connector_of(&dn), Some(SECOND));
        assert!(reach.set_home(&dn, SECOND, 0));
        assert_eq!((reach.connector_of(&dn), reach.homes_at(SECOND)), (None, vec![]));
    }

    #[test]
    fn a_dn_without_devices_is_at_a_connector_that_can_be_reached() {
        let (mut reach, dn) = (Reach::default(), DnId::new("sip:trunk@x"));
        assert_eq!(reach.link_up(SECOND, true), 1);
        assert_eq!(reach.connector_of(&dn), Some(SECOND));
        assert_eq!((reach.link_up(FIRST, true), reach.link_up(SECOND, false)), (2, 1));
        assert_eq!(reach.connector_of(&dn), Some(FIRST));
    }
}

//! Which connectors of other processes can be reached, whose devices are where, and which connector owns each DN.
//!
//! A device registers with one connector, its edge. Every other connector calls it through that one (RFC 3327), or, when that one is gone
//! and the device has a plain address, directly. So any connector of a DN's application pool (seed 002 lines 2652-2730) can own it:
//!
//! * the one that has its devices, while it can be reached and is not being drained; of several the one that was told of last;
//! * else one of those that can be reached, by rendezvous hashing, the same one for as long as they are the same.
//!
//! A pool none of whose connectors can be reached is served by nobody: its DNs have no owner.
//!
//! Invariant: a DN has one owner at any time, and a device is known at one connector: the last one that told of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tandem_model::connector::{ConnectorState, ConnectorStatus, DnContact, Peer, SipAddress};
use tandem_model::{ConnectorId, DnId};

use crate::sharding;

/// The table. Bounded by the DNs that there are, and by what the registrars of the connectors take for each.
#[derive(Default, Debug)]
pub struct Reach {
    nodes: BTreeMap<ConnectorId, Node>,
    /// The devices of each DN, by connector; who was told of last is last.
    homes: HashMap<DnId, Vec<(ConnectorId, Vec<DnContact>)>>,
    /// Where devices of each DN were that are nowhere now, the last ones of them.
    lately: HashMap<DnId, Vec<(ConnectorId, DnContact)>>,
}

/// Of so many devices of a DN it is remembered where they were.
const MOST_LATELY: usize = 8;

/// One connector.
#[derive(Default, Debug)]
struct Node {
    /// Its application pool.
    pool: Arc<str>,
    up: bool,
    listens: Vec<SipAddress>,
    status: ConnectorStatus,
}

impl Node {
    fn is_available(&self) -> bool {
        self.up && self.status.state == ConnectorState::Running
    }
}

/// What a connector's word about a DN changed.
#[derive(PartialEq, Eq, Debug)]
pub struct Told {
    /// How many devices of the DN can be called now.
    pub reachable: u32,
    /// The connectors that had a device before which is elsewhere now, and how they had told of it.
    pub left: Vec<(ConnectorId, DnContact)>,
    /// The devices that have come there from another connector, be it that their connection to that one was closed before.
    pub came: Vec<DnContact>,
}

impl Reach {
    /// Connectors of these application pools, numbered from 0; none can be reached yet.
    pub fn new(pools: impl IntoIterator<Item = Arc<str>>) -> Self {
        let node = |(index, pool)| {
            let node = Node { pool, ..Node::default() };
            (ConnectorId(index), node)
        };
        Self {
            nodes: (0..).zip(pools).map(node).collect(),
            homes: HashMap::new(),
            lately: HashMap::new(),
        }
    }

    /// Which connector of its pool owns a DN; `None` where none can be reached.
    pub fn connector_of(&self, dn: &DnId, pool: &str) -> Option<ConnectorId> {
        let homes = self.homes.get(dn).map_or(&[][..], Vec::as_slice);
        let is_able = |node: &Node| &*node.pool == pool && node.is_available();
        let with_devices = homes.iter().rev().map(|(connector, _)| *connector);
        with_devices
            .clone()
            .find(|connector| self.nodes.get(connector).is_some_and(is_able))
            .or_else(|| self.chosen(dn, is_able))
            .or_else(|| self.chosen(dn, |node| &*node.pool == pool && node.up))
    }

    /// The connector that would own a DN if all of its pool could be reached; `None` where the pool has none.
    pub fn expected(&self, dn: &DnId, pool: &str) -> Option<ConnectorId> {
        self.chosen(dn, |node| &*node.pool == pool)
    }

    /// One of the connectors that are so, by rendezvous hashing over their ids.
    fn chosen(&self, dn: &DnId, is_so: impl Fn(&Node) -> bool) -> Option<ConnectorId> {
        let able = self.nodes.iter().filter(|(_, node)| is_so(node)).map(|(id, _)| *id);
        sharding::best_of(dn.as_str(), able)
    }

    /// These devices of a DN are at a connector, and no others. A device that another one has told of is here now; where the connector
    /// only says what it has (`is_review`), it is where it registered last.
    pub fn told(&mut self, dn: &DnId, connector: ConnectorId, mut contacts: Vec<DnContact>, now: u64, is_review: bool) -> Told {
        let homes = self.homes.entry(dn.clone()).or_default();
        let (mut left, mut came) = (Vec::new(), Vec::new());
        for (home, there) in homes.iter_mut().filter(|(home, _)| *home != connector) {
            contacts.retain(|contact| {
                let Some(old) = there.iter().find(|old| old.is_same_device(contact)) else {
                    return true;
                };
                let is_here = !is_review || old.expires_at <= contact.expires_at;
                if is_here {
                    left.push((*home, old.clone()));
                    came.push(contact.clone());
                    there.retain(|old| !old.is_same_device(contact));
                } else {
                    left.push((connector, contact.clone()));
                }
                is_here
            });
        }
        let lately = self.lately.entry(dn.clone()).or_default();
        lately.retain(|(home, before)| {
            let is_back = contacts.iter().find(|contact| contact.is_same_device(before));
            came.extend(is_back.filter(|_| *home != connector).cloned());
            is_back.is_none()
        });
        let before = homes
            .iter()
            .filter(|(home, _)| *home == connector)
            .flat_map(|(_, there)| there);
        let is_gone = |known: &&DnContact| !contacts.iter().any(|contact| contact.is_same_device(known));
        lately.extend(before.filter(is_gone).map(|gone| (connector, gone.clone())));
        lately.drain(..lately.len().saturating_sub(MOST_LATELY));
        if lately.is_empty() {
            self.lately.remove(dn);
        }
        // A refresh is told again and again; what was told last is where a device came last.
        let is_same = |home: ConnectorId, there: &[DnContact]| home == connector && uris(there).eq(uris(&contacts));
        match homes.iter_mut().find(|(home, there)| is_same(*home, there)) {
            Some((_, there)) => *there = contacts,
            None => {
                homes.retain(|(home, _)| *home != connector);
                homes.push((connector, contacts));
            }
        }
        homes.retain(|(_, there)| !there.is_empty());
        if homes.is_empty() {
            self.homes.remove(dn);
        }
        Told {
            reachable: self.reachable(dn, now),
            left,
            came,
        }
    }

    /// How many devices of a DN can be called. Without a connector of its pool a device has no service, though others could call it.
    pub fn reachable(&self, dn: &DnId, now: u64) -> u32 {
        let homes = self.homes.get(dn).map_or(&[][..], Vec::as_slice);
        let counts = homes.iter().map(|(home, contacts)| {
            let (here, pool) = (self.is_up(*home), self.is_served(*home));
            let able = |contact: &&DnContact| here || (pool && contact.direct && contact.expires_at > now);
            contacts.iter().filter(able).count()
        });
        u32::try_from(counts.sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// The devices of a DN that are not at this connector, as it can call them. Those that can be called directly are, once their edge is
    /// drained: it is about to go, and a call through it would miss it.
    pub fn elsewhere(&self, dn: &DnId, connector: ConnectorId, now: u64) -> Vec<DnContact> {
        let homes = self.homes.get(dn).map_or(&[][..], Vec::as_slice);
        let mut contacts = Vec::new();
        for (home, there) in homes.iter().filter(|(home, _)| *home != connector) {
            let (up, pool) = (self.is_up(*home), self.is_served(*home));
            let leaves = !self.nodes.get(home).is_some_and(Node::is_available);
            let able = there
                .iter()
                .filter(|contact| contact.expires_at > now && (up || (pool && contact.direct)));
            contacts.extend(able.map(|contact| DnContact {
                route: match up && !(leaves && contact.direct) {
                    true => contact.route.clone(),
                    false => Vec::new(),
                },
                ..contact.clone()
            }));
        }
        contacts
    }

    /// The DNs that have devices at a connector.
    pub fn homes_at(&self, connector: ConnectorId) -> Vec<DnId> {
        let there = self
            .homes
            .iter()
            .filter(|(_, homes)| homes.iter().any(|(home, _)| *home == connector));
        let mut homes: Vec<_> = there.map(|(dn, _)| dn.clone()).collect();
        homes.sort_unstable();
        homes
    }

    /// A connector can be reached, or cannot. How many can be now.
    pub fn link_up(&mut self, connector: ConnectorId, up: bool) -> usize {
        self.nodes.entry(connector).or_default().up = up;
        self.up_count()
    }

    /// Where a connector takes SIP. Whether that is news.
    pub fn listens(&mut self, connector: ConnectorId, listens: Vec<SipAddress>) -> bool {
        let node = self.nodes.entry(connector).or_default();
        let news = node.listens != listens;
        node.listens = listens;
        news
    }

    /// How a connector is. Whether it owns DNs now and did not, or did and does not.
    pub fn status(&mut self, connector: ConnectorId, status: ConnectorStatus) -> bool {
        let node = self.nodes.entry(connector).or_default();
        let before = node.is_available();
        node.status = status;
        before != node.is_available()
    }

    /// Every connector that there was, in the order of their ids: whether it can be reached, and how it was when that was told last.
    pub fn nodes(&self) -> impl Iterator<Item = (ConnectorId, bool, ConnectorStatus)> {
        self.nodes.iter().map(|(id, node)| (*id, node.up, node.status))
    }

    /// The application pool of a connector.
    pub fn pool_of(&self, connector: ConnectorId) -> Option<&Arc<str>> {
        self.nodes.get(&connector).map(|node| &node.pool)
    }

    /// Whether a connector of the same application pool can be reached.
    pub fn is_served(&self, connector: ConnectorId) -> bool {
        let pool = self.pool_of(connector);
        self.nodes.values().any(|node| node.up && Some(&node.pool) == pool)
    }

    /// How many can be reached.
    pub fn up_count(&self) -> usize {
        self.nodes.values().filter(|node| node.up).count()
    }

    /// Whether all that can be reached are being drained.
    pub fn is_draining(&self) -> bool {
        self.up_count() > 0 && !self.nodes.values().any(Node::is_available)
    }

    /// What one connector has to know of the others.
    pub fn peers_of(&self, connector: ConnectorId) -> Vec<Peer> {
        let others = self.nodes.iter().filter(|(id, node)| **id != connector && node.up);
        let peer = |(id, node): (&ConnectorId, &Node)| Peer {
            connector: *id,
            listens: node.listens.clone(),
            available: node.is_available(),
        };
        others.map(peer).collect()
    }

    fn is_up(&self, connector: ConnectorId) -> bool {
        self.nodes.get(&connector).is_some_and(|node| node.up)
    }
}

fn uris(contacts: &[DnContact]) -> impl Iterator<Item = &Arc<str>> {
    contacts.iter().map(|contact| &contact.uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ConnectorId = ConnectorId(0);
    const SECOND: ConnectorId = ConnectorId(1);
    const NOW: u64 = 1_000;

    fn contact(uri: &str, direct: bool) -> DnContact {
        DnContact {
            uri: uri.into(),
            route: vec!["<sip:token@192.0.2.1;lr>".into()],
            direct,
            q: 1000,
            expires_at: NOW + 60,
            instance: None,
            reg_id: None,
        }
    }

    fn dn() -> DnId {
        DnId::new("sip:1@x")
    }

    const POOL: &str = "default";

    fn two() -> Reach {
        Reach::new([POOL.into(), POOL.into()])
    }

    fn two_up() -> Reach {
        let mut reach = two();
        reach.link_up(FIRST, true);
        reach.link_up(SECOND, true);
        reach
    }

    #[test]
    fn who_has_come_is_told_once_wherever_it_was_before() {
        let (mut reach, dn) = (two_up(), dn());
        let with_instance = |uri: &str, reg_id| DnContact {
            instance: Some("<urn:uuid:1>".into()),
            reg_id: Some(reg_id),
            ..contact(uri, false)
        };
        let (before, after) = (with_instance("sip:1@first", 1), with_instance("sip:1@second", 1));
        let second_flow = with_instance("sip:1@third", 2);
        assert_eq!(
            reach.told(&dn, FIRST, vec![before.clone()], NOW, true).came,
            [],
            "it was nowhere"
        );
        let both = vec![after.clone(), second_flow];
        let told = reach.told(&dn, SECOND, both.clone(), NOW, false);
        assert_eq!((told.left, told.came), (vec![(FIRST, before)], vec![after]));
        assert_eq!(reach.told(&dn, SECOND, both.clone(), NOW, false).came, [], "a refresh");
        // Its connection is closed before it opens the next one.
        reach.told(&dn, SECOND, Vec::new(), NOW, false);
        assert_eq!(reach.told(&dn, FIRST, both.clone(), NOW, true).came, both);
        reach.told(&dn, FIRST, Vec::new(), NOW, false);
        assert_eq!(reach.told(&dn, FIRST, both, NOW, false).came, [], "it is where it was");
        assert!(reach.lately.is_empty());
        for number in 0..20 {
            reach.told(&dn, SECOND, vec![contact(&format!("sip:{number}@second"), false)], NOW, false);
        }
        assert_eq!(reach.lately.values().map(Vec::len).sum::<usize>(), MOST_LATELY);
    }

    #[test]
    fn a_dn_is_owned_where_its_devices_are() {
        let (mut reach, dn) = (two_up(), dn());
        for home in [SECOND, FIRST] {
            let uri = format!("sip:1@{home}");
            let told = reach.told(&dn, home, vec![contact(&uri, false)], NOW, false);
            assert_eq!(told.left, []);
            assert_eq!(
                (reach.connector_of(&dn, POOL), reach.homes_at(home)),
                (Some(home), vec![dn.clone()])
            );
        }
        assert_eq!(reach.reachable(&dn, NOW), 2, "one at each");
        assert_eq!(reach.elsewhere(&dn, FIRST, NOW), [contact("sip:1@1", false)]);
        reach.told(&dn, SECOND, vec![contact("sip:1@1", false)], NOW, false);
        assert_eq!(reach.connector_of(&dn, POOL), Some(FIRST), "a refresh is no move");
        assert_eq!(reach.told(&dn, FIRST, Vec::new(), NOW, false).reachable, 1);
        assert_eq!(reach.connector_of(&dn, POOL), Some(SECOND));
    }

    #[test]
    fn a_drained_edge_is_gone_around_where_a_device_can_be_called_directly() {
        let (mut reach, dn) = (two_up(), dn());
        let (direct, behind_nat) = (contact("sip:1@a", true), contact("sip:1@b", false));
        reach.told(&dn, FIRST, vec![direct.clone(), behind_nat.clone()], NOW, false);
        assert_eq!(reach.elsewhere(&dn, SECOND, NOW), [direct.clone(), behind_nat.clone()]);
        reach.status(
            FIRST,
            ConnectorStatus {
                state: ConnectorState::Suspending,
                ..ConnectorStatus::default()
            },
        );
        let around = DnContact {
            route: Vec::new(),
            ..direct.clone()
        };
        assert_eq!(reach.elsewhere(&dn, SECOND, NOW), [around, behind_nat.clone()]);
        reach.status(FIRST, ConnectorStatus::default());
        assert_eq!(reach.elsewhere(&dn, SECOND, NOW), [direct, behind_nat]);
    }

    #[test]
    fn a_device_that_registers_elsewhere_has_left() {
        let (mut reach, dn) = (two_up(), dn());
        reach.told(
            &dn,
            FIRST,
            vec![contact("sip:1@a", false), contact("sip:1@b", false)],
            NOW,
            false,
        );
        let told = reach.told(&dn, SECOND, vec![contact("sip:1@a", false)], NOW, false);
        assert_eq!((told.reachable, told.left), (2, vec![(FIRST, contact("sip:1@a", false))]));
        assert_eq!(reach.elsewhere(&dn, SECOND, NOW), [contact("sip:1@b", false)]);
    }

    #[test]
    fn what_a_connector_only_says_again_moves_no_device_back() {
        let (mut reach, dn) = (two_up(), dn());
        let older = contact("sip:1@a", false);
        let newer = DnContact {
            expires_at: older.expires_at + 1,
            ..older.clone()
        };
        reach.told(&dn, SECOND, vec![newer.clone()], NOW, false);
        let told = reach.told(&dn, FIRST, vec![older.clone()], NOW, true);
        assert_eq!((told.reachable, told.left), (1, vec![(FIRST, older.clone())]));
        assert_eq!((reach.connector_of(&dn, POOL), reach.homes_at(FIRST)), (Some(SECOND), vec![]));
        let told = reach.told(&dn, FIRST, vec![older], NOW, false);
        assert_eq!((told.reachable, told.left), (1, vec![(SECOND, newer)]));
        assert_eq!((reach.connector_of(&dn, POOL), reach.homes_at(SECOND)), (Some(FIRST), vec![]));
    }

    #[test]
    fn when_its_connector_is_gone_another_one_owns_it_and_calls_the_device_directly() {
        let (mut reach, dn) = (two_up(), dn());
        reach.told(
            &dn,
            FIRST,
            vec![contact("sip:1@a", true), contact("sip:1@tcp", false)],
            NOW,
            false,
        );
        assert_eq!(reach.link_up(FIRST, false), 1);
        assert_eq!((reach.connector_of(&dn, POOL), reach.reachable(&dn, NOW)), (Some(SECOND), 1));
        let direct = DnContact {
            route: Vec::new(),
            ..contact("sip:1@a", true)
        };
        assert_eq!(reach.elsewhere(&dn, SECOND, NOW), [direct]);
        assert_eq!(reach.elsewhere(&dn, SECOND, NOW + 60), [], "its registration is over");
        assert_eq!(reach.link_up(SECOND, false), 0);
        assert_eq!((reach.connector_of(&dn, POOL), reach.reachable(&dn, NOW)), (None, 0));
        reach.link_up(FIRST, true);
        assert_eq!((reach.connector_of(&dn, POOL), reach.reachable(&dn, NOW)), (Some(FIRST), 2));
    }

    #[test]
    fn one_that_is_drained_owns_nothing_where_there_is_another() {
        let (mut reach, dn) = (two_up(), dn());
        reach.told(&dn, FIRST, vec![contact("sip:1@a", false)], NOW, false);
        let suspending = ConnectorStatus {
            state: ConnectorState::Suspending,
            ..ConnectorStatus::default()
        };
        assert!(reach.status(FIRST, suspending));
        assert!(!reach.status(FIRST, suspending), "no news");
        assert_eq!(reach.connector_of(&dn, POOL), Some(SECOND));
        assert_eq!(
            reach.elsewhere(&dn, SECOND, NOW),
            [contact("sip:1@a", false)],
            "through the one that has it"
        );
        assert!(!reach.is_draining());
        reach.link_up(SECOND, false);
        assert_eq!(reach.connector_of(&dn, POOL), Some(FIRST));
        assert!(reach.is_draining());
        reach.link_up(FIRST, false);
        assert!(!reach.is_draining(), "it is out of reach");
    }

    #[test]
    fn the_others_are_named_with_where_they_take_sip() {
        let mut reach = two_up();
        let listens = vec![SipAddress {
            transport: "udp".into(),
            address: "192.0.2.1:5060".into(),
        }];
        assert!(reach.listens(FIRST, listens.clone()));
        assert!(!reach.listens(FIRST, listens.clone()));
        let [peer] = &reach.peers_of(SECOND)[..] else { panic!() };
        assert_eq!((peer.connector, &peer.listens, peer.available), (FIRST, &listens, true));
        reach.link_up(FIRST, false);
        assert_eq!(reach.peers_of(SECOND), []);
    }

    #[test]
    fn a_dn_without_devices_is_at_a_connector_that_can_be_reached() {
        let (mut reach, dn) = (two(), DnId::new("sip:trunk@x"));
        assert_eq!((reach.connector_of(&dn, POOL), reach.link_up(SECOND, true)), (None, 1));
        assert_eq!(reach.connector_of(&dn, POOL), Some(SECOND));
        assert_eq!((reach.link_up(FIRST, true), reach.link_up(SECOND, false)), (2, 1));
        assert_eq!(reach.connector_of(&dn, POOL), Some(FIRST));
    }

    #[test]
    fn a_dn_is_owned_within_its_pool_wherever_its_devices_are() {
        let mut reach = Reach::new([POOL.into(), "other".into()]);
        let dn = dn();
        reach.link_up(FIRST, true);
        reach.told(&dn, FIRST, vec![contact("sip:1@a", false)], NOW, false);
        assert_eq!(reach.connector_of(&dn, "other"), None);
        assert_eq!((reach.is_served(FIRST), reach.is_served(SECOND)), (true, false));
        reach.link_up(SECOND, true);
        assert_eq!(
            (reach.connector_of(&dn, "other"), reach.connector_of(&dn, POOL)),
            (Some(SECOND), Some(FIRST))
        );
        assert_eq!(reach.elsewhere(&dn, SECOND, NOW), [contact("sip:1@a", false)]);
    }
}

//! The conference resources of one connector: made in advance, used again, replaced when they are worn out (seed 002 lines 1285-1305,
//! 2118-2167).
//!
//! A resource serves one call at a time. It belongs to a conference service, one of those that `uri-pattern` and `count` name; the pool
//! spreads its resources evenly over them. Whom a call reaches by a back-to-back leg is shown that service as its caller, where nobody else
//! is to be shown. Pure: the shell makes what [`ConferencePool::missing`] asks for, outside the path of a call.
//!
//! Invariants: a resource is idle or with one call, never both; a call is never refused for want of a resource, the pool grows instead. What it
//! grew by stays for later calls ("the Connector does not delete these conference resources after each call is completed", line 2118): so
//! there are never more than there were calls at once, or `pool_size`, nor more than `most`. No resource is used more than `reuse_limit`
//! times over. None expires with time, as nobody else's server keeps them. Other settings hold at once ([`ConferencePool::change`]): what stands
//! ready and would not under them is given up, and what has a call is once that is over.
//!
//! It knows no actor and no SIP.

use std::collections::HashMap;
use std::sync::Arc;

/// How a pool behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolSettings {
    /// `conference-pool-size`: how many resources stand ready. 0: each is made when a call needs it.
    pub pool_size: usize,
    /// `caching-enabled`: whether a resource serves another call after its first, of the pool or not.
    pub caching_enabled: bool,
    /// How many resources are kept at most: as many calls as the connector may have. What `pool_size` asks for is kept in any case.
    pub most: usize,
    /// `reuse-avcall`: how often it does at most; 0 for any number of times.
    pub reuse_limit: u32,
    /// `uri-pattern` and `count`: the conference services by name, in order. Empty where none are configured.
    pub services: Vec<Arc<str>>,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            pool_size: 0,
            caching_enabled: true,
            most: 10_000,
            reuse_limit: 0,
            services: Vec::new(),
        }
    }
}

/// One resource; numbered by the pool, never reused as a number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// Its number.
    pub id: u64,
    /// Its service, where there are any.
    pub service: Option<Arc<str>>,
    /// How many calls it has served, the present one included.
    pub uses: u32,
}

/// The machine. See the module.
#[derive(Debug)]
pub struct ConferencePool<T> {
    settings: PoolSettings,
    /// The resources that stand ready, with what the shell made for each; the one idle for the shortest time last.
    idle: Vec<(Resource, T)>,
    /// How many resources each service has, idle and in use; also one that is named no more, while it has any.
    load: HashMap<Arc<str>, usize>,
    next: u64,
    in_use: usize,
    counts: PoolCounts,
}

/// A pool at one time, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PoolFigures {
    /// Resources that stand ready.
    pub idle: usize,
    /// Resources with calls.
    pub in_use: usize,
    /// What it has done so far.
    pub counts: PoolCounts,
}

/// A conference service that has resources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceFigures {
    /// Its name, a SIP URI.
    pub service: Arc<str>,
    /// Its resources that stand ready.
    pub idle: usize,
    /// Its resources with calls.
    pub in_use: usize,
}

/// What a pool has done so far. Counters only grow.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PoolCounts {
    /// Calls that found a resource ready.
    pub ready: u64,
    /// Calls for which one had to be made.
    pub made: u64,
    /// Resources that were given up: worn out, not cached, too many, or lost with a crash.
    pub retired: u64,
}

impl<T> ConferencePool<T> {
    /// An empty pool; [`Self::missing`] says how many to make.
    pub fn new(settings: PoolSettings) -> Self {
        Self {
            settings,
            idle: Vec::new(),
            load: HashMap::new(),
            next: 1,
            in_use: 0,
            counts: PoolCounts::default(),
        }
    }

    /// How many resources are to be made so that enough stand ready.
    pub fn missing(&self) -> usize {
        self.settings.pool_size.saturating_sub(self.idle.len() + self.in_use)
    }

    /// Names a new resource, of the service with the fewest.
    pub fn create(&mut self) -> Resource {
        let id = self.next;
        self.next += 1;
        let load_of = |name: &&Arc<str>| self.load.get(*name).copied().unwrap_or_default();
        let service = self.settings.services.iter().min_by_key(load_of).cloned();
        if let Some(name) = &service {
            *self.load.entry(name.clone()).or_default() += 1;
        }
        Resource { id, service, uses: 0 }
    }

    /// Stores a new resource as ready.
    pub fn store(&mut self, resource: Resource, made: T) {
        self.idle.push((resource, made));
    }

    /// A resource for a call: one that stands ready, else a new one (`None`) that the shell makes now.
    pub fn take(&mut self) -> (Resource, Option<T>) {
        self.in_use += 1;
        let (mut resource, made) = match self.idle.pop() {
            Some((resource, made)) => {
                self.counts.ready += 1;
                (resource, Some(made))
            }
            None => {
                self.counts.made += 1;
                (self.create(), None)
            }
        };
        resource.uses = resource.uses.saturating_add(1);
        (resource, made)
    }

    /// The call is over. Gives `made` back where the resource is not kept.
    pub fn give_back(&mut self, resource: Resource, made: T) -> Option<T> {
        self.in_use = self.in_use.saturating_sub(1);
        let room = self.idle.len() + self.in_use < self.settings.pool_size.max(self.settings.most);
        if self.is_good(&resource) && room {
            self.idle.push((resource, made));
            return None;
        }
        self.retire(&resource);
        Some(made)
    }

    /// The resource was lost with its call.
    pub fn lose(&mut self, resource: &Resource) {
        self.in_use = self.in_use.saturating_sub(1);
        self.retire(resource);
    }

    /// From now on it behaves so. Gives back what was made for the resources that stood ready and are not kept: those that have served what
    /// they may, those of a service that is named no more, and where fewer are to stand ready, what there is above that.
    pub fn change(&mut self, settings: PoolSettings) -> Vec<T> {
        let is_less = settings.pool_size < self.settings.pool_size;
        self.settings = settings;
        let mut left = std::mem::take(&mut self.idle);
        let mut given_up: Vec<_> = left.extract_if(.., |(resource, _)| !self.is_good(resource)).collect();
        if is_less {
            let surplus = (left.len() + self.in_use).saturating_sub(self.settings.pool_size);
            given_up.extend(left.drain(..surplus.min(left.len())));
        }
        self.idle = left;
        let retired = given_up.into_iter().map(|(resource, made)| {
            self.retire(&resource);
            made
        });
        retired.collect()
    }

    /// Whether a resource may serve one more call.
    fn is_good(&self, resource: &Resource) -> bool {
        let settings = &self.settings;
        let fresh = settings.reuse_limit == 0 || resource.uses <= settings.reuse_limit;
        let named = match &resource.service {
            Some(service) => settings.services.contains(service),
            None => settings.services.is_empty(),
        };
        fresh && named && (settings.caching_enabled || resource.uses == 0)
    }

    /// What it has and what it has done.
    pub fn figures(&self) -> PoolFigures {
        PoolFigures {
            idle: self.idle.len(),
            in_use: self.in_use,
            counts: self.counts,
        }
    }

    /// The services that have resources, in order; those that are named no more come last. It takes as long as a look at every resource that stands ready.
    pub fn services(&self) -> Vec<ServiceFigures> {
        let mut idle: HashMap<&str, usize> = HashMap::new();
        for name in self.idle.iter().filter_map(|(resource, _)| resource.service.as_deref()) {
            *idle.entry(name).or_default() += 1;
        }
        let left = self.load.keys().filter(|name| !self.settings.services.contains(name));
        let mut left: Vec<_> = left.collect();
        left.sort_unstable();
        let loaded = self.settings.services.iter().chain(left);
        let figures = loaded.filter_map(|service| {
            let load = self.load.get(service)?;
            let idle = idle.get(&**service).copied().unwrap_or_default();
            Some(ServiceFigures {
                service: service.clone(),
                idle,
                in_use: load.saturating_sub(idle),
            })
        });
        figures.collect()
    }

    fn retire(&mut self, resource: &Resource) {
        self.counts.retired += 1;
        let Some(service) = &resource.service else { return };
        if let Some(load) = self.load.get_mut(service) {
            *load = load.saturating_sub(1);
        }
        self.load.retain(|_, load| *load > 0);
    }
}

/// The names of `uri-pattern` and `count`: `sip:conf{DD}@skype.lab` and 99 are `sip:conf01@skype.lab` to `sip:conf99@skype.lab`. A pattern
/// without digits names one service.
pub fn service_names(pattern: &str, count: u32) -> Vec<Arc<str>> {
    let parts = pattern
        .split_once('{')
        .and_then(|(prefix, rest)| Some((prefix, rest.split_once('}')?)));
    match parts {
        Some((prefix, (digits, suffix))) => {
            let width = digits.len();
            (1..=count)
                .map(|number| format!("{prefix}{number:0width$}{suffix}").into())
                .collect()
        }
        None => vec![pattern.into()],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pool(pool_size: usize, caching_enabled: bool, reuse_limit: u32, services: &[&str]) -> ConferencePool<()> {
        let mut pool = ConferencePool::new(settings(pool_size, caching_enabled, reuse_limit, services));
        refill(&mut pool);
        pool
    }

    fn settings(pool_size: usize, caching_enabled: bool, reuse_limit: u32, services: &[&str]) -> PoolSettings {
        PoolSettings {
            pool_size,
            caching_enabled,
            most: 4,
            reuse_limit,
            services: services.iter().map(|name| (*name).into()).collect(),
        }
    }

    fn loads(pool: &ConferencePool<()>) -> Vec<usize> {
        let services = pool.settings.services.iter();
        services
            .map(|name| pool.load.get(name).copied().unwrap_or_default())
            .collect()
    }

    fn refill(pool: &mut ConferencePool<()>) -> usize {
        let missing = pool.missing();
        for _ in 0..missing {
            let resource = pool.create();
            pool.store(resource, ());
        }
        missing
    }

    #[test]
    fn names_are_those_of_the_seed() {
        let names = service_names("sip:conf{DD}@skype.lab", 99);
        assert_eq!(
            (&*names[0], &*names[98], names.len()),
            ("sip:conf01@skype.lab", "sip:conf99@skype.lab", 99)
        );
        assert_eq!(service_names("sip:conf@skype.lab", 99), ["sip:conf@skype.lab".into()]);
    }

    #[test]
    fn a_pool_stands_ready_and_its_resources_are_used_again() {
        let mut pool = pool(2, true, 0, &[]);
        assert_eq!(pool.figures().idle, 2);
        for _ in 0..5 {
            let (resource, made) = pool.take();
            assert!(made.is_some());
            assert_eq!(pool.give_back(resource, ()), None);
        }
        assert_eq!(
            pool.figures().counts,
            PoolCounts {
                ready: 5,
                made: 0,
                retired: 0
            }
        );
        assert_eq!(pool.missing(), 0);
    }

    #[test]
    fn it_grows_under_load_and_keeps_what_it_may() {
        let mut pool = pool(2, true, 0, &[]);
        let taken: Vec<_> = (0..5).map(|_| pool.take().0).collect();
        assert_eq!(
            (pool.figures().in_use, pool.figures().counts.ready, pool.figures().counts.made),
            (5, 2, 3)
        );
        for resource in taken {
            pool.give_back(resource, ());
        }
        assert_eq!(
            (pool.figures().idle, pool.figures().in_use, pool.figures().counts.retired),
            (4, 0, 1)
        );
        assert_eq!((pool.take().1, pool.missing()), (Some(()), 0));
    }

    #[test]
    fn calls_one_after_the_other_share_one_resource_without_a_pool() {
        for (caching_enabled, made, retired) in [(true, 1, 0), (false, 4, 4)] {
            let mut pool = pool(0, caching_enabled, 0, &[]);
            for _ in 0..4 {
                let (resource, _) = pool.take();
                pool.give_back(resource, ());
            }
            let counts = pool.figures().counts;
            assert_eq!((counts.made, counts.ready, counts.retired), (made, 4 - made, retired));
        }
    }

    #[test]
    fn a_worn_out_resource_is_replaced_outside_the_call() {
        let mut pool = pool(1, true, 2, &[]);
        for served in 1..=3 {
            let (resource, _) = pool.take();
            assert_eq!(pool.give_back(resource, ()).is_some(), served == 3, "one use and two reuses");
        }
        assert_eq!((pool.figures().idle, refill(&mut pool), pool.figures().idle), (0, 1, 1));
    }

    #[test]
    fn without_caching_each_serves_once() {
        let mut pool = pool(3, false, 0, &[]);
        let (resource, _) = pool.take();
        assert!(pool.give_back(resource, ()).is_some());
        assert_eq!(refill(&mut pool), 1);
    }

    #[test]
    fn resources_spread_over_the_services() {
        let mut pool = pool(6, true, 0, &["sip:conf1@h", "sip:conf2@h", "sip:conf3@h"]);
        assert_eq!(loads(&pool), [2, 2, 2]);
        let (resource, _) = pool.take();
        pool.lose(&resource);
        assert_eq!(refill(&mut pool), 1);
        assert_eq!(loads(&pool), [2, 2, 2]);
    }

    #[test]
    fn another_size_holds_at_once() {
        let mut pool = pool(2, true, 0, &[]);
        assert_eq!(pool.change(settings(4, true, 0, &[])), []);
        assert_eq!((refill(&mut pool), pool.figures().idle), (2, 4));
        let (resource, _) = pool.take();
        assert_eq!(
            pool.change(settings(2, true, 0, &[])).len(),
            2,
            "one has a call, and one stands ready"
        );
        assert_eq!((pool.figures().idle, pool.figures().counts.retired), (1, 2));
        assert_eq!(pool.change(settings(0, true, 0, &[])).len(), 1);
        assert_eq!(
            pool.give_back(resource, ()),
            None,
            "it is used again for as long as there are calls"
        );
    }

    #[test]
    fn what_may_not_be_used_again_any_more_is_given_up_at_once() {
        let mut pool = pool(2, true, 0, &[]);
        for _ in 0..3 {
            let (resource, _) = pool.take();
            pool.give_back(resource, ());
        }
        assert_eq!(
            pool.change(settings(2, true, 2, &[])).len(),
            1,
            "three uses are more than two reuses allow for the next"
        );
        assert_eq!(refill(&mut pool), 1);
        let (resource, _) = pool.take();
        pool.give_back(resource, ());
        assert_eq!(
            pool.change(settings(2, false, 2, &[])).len(),
            1,
            "one was used, the other was not"
        );
        let (resource, _) = pool.take();
        pool.change(settings(2, true, 2, &[]));
        assert_eq!(pool.give_back(resource, ()), None, "cached again");
    }

    #[test]
    fn services_that_are_named_no_more_get_no_calls() {
        let mut pool = pool(4, true, 0, &["a", "b"]);
        let (resource, _) = pool.take();
        let of_a = usize::from(resource.service.as_deref() == Some("a"));
        assert_eq!(pool.change(settings(4, true, 0, &["b", "c"])).len(), 2 - of_a);
        refill(&mut pool);
        assert_eq!(pool.give_back(resource, ()).is_some(), of_a == 1);
        refill(&mut pool);
        assert_eq!(loads(&pool), [2, 2]);
        assert!(pool.idle.iter().all(|(resource, _)| resource.service.as_deref() != Some("a")));
    }

    #[test]
    fn each_service_shows_what_it_has() {
        let mut pool = pool(3, true, 0, &["sip:conf1@h", "sip:conf2@h", "sip:conf3@h", "sip:conf4@h"]);
        let shown = |pool: &ConferencePool<()>| {
            let line = |figures: &ServiceFigures| format!("{} {}+{}", figures.service, figures.idle, figures.in_use);
            pool.services().iter().map(line).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(shown(&pool), "sip:conf1@h 1+0, sip:conf2@h 1+0, sip:conf3@h 1+0");
        let taken: Vec<_> = (0..5).map(|_| pool.take().0).collect();
        assert_eq!(
            shown(&pool),
            "sip:conf1@h 0+2, sip:conf2@h 0+1, sip:conf3@h 0+1, sip:conf4@h 0+1"
        );
        for resource in taken {
            pool.give_back(resource, ());
        }
        // One more than it keeps.
        assert_eq!(pool.services().iter().map(|figures| figures.idle).sum::<usize>(), 4);
        assert_eq!(shown(&ConferencePool::new(PoolSettings::default())), "");
    }

    proptest! {
        #[test]
        fn nothing_is_counted_twice(size in 0usize..5, limit in 0u32..4, caching in any::<bool>(), moves in proptest::collection::vec(0u8..6, 0..60)) {
            let mut pool = pool(size, caching, limit, &["a", "b"]);
            let (mut size, mut limit, mut caching) = (size, limit, caching);
            let mut taken: Vec<Resource> = Vec::new();
            for step in moves {
                match step {
                    0 => taken.push(pool.take().0),
                    1 => { if let Some(resource) = taken.pop() { pool.give_back(resource, ()); } }
                    2 => { if let Some(resource) = taken.pop() { pool.lose(&resource); } }
                    3 => { refill(&mut pool); }
                    _ => {
                        (size, limit, caching) = ((size + 3) % 5, (limit + 1) % 4, step == 4);
                        pool.change(settings(size, caching, limit, if caching { &["a", "b"] } else { &["b", "c"] }));
                    }
                }
                prop_assert_eq!(pool.figures().in_use, taken.len());
                prop_assert_eq!(pool.load.values().sum::<usize>(), pool.figures().idle + taken.len());
                prop_assert!(pool.figures().idle <= size.max(4));
                prop_assert!(caching || pool.figures().idle <= size);
                prop_assert!(pool.idle.iter().all(|(resource, _)| limit == 0 || resource.uses <= limit));
                prop_assert!(pool.idle.iter().all(|(resource, _)| pool.settings.services.iter().any(|name| Some(name) == resource.service.as_ref())));
            }
        }
    }
}

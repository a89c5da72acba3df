//! A random world from a seed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tandem_actors::now;
use tandem_model::request::{OnCall, OnCallWith, OnTwoCalls};
use tandem_model::{ConnId, KvList, MergeType};
use tandem_wire::ClientRequest;

use super::desktop::Desktop;
use super::faithful::Faithful;
use super::hitch::{self, Hitch};
use super::phone::{Act, Manners, Phone};
use super::rest;
use super::rules;
use super::storm;
use super::trouble::{self, Trouble};
use super::wire::{Weather, Wire};
use super::world::{Audio, Genesis, PHONES, World};

/// How long things happen, before all is wound up.
const BUSY: Duration = Duration::from_secs(90);

/// Long enough for links to come up again, and for every restored session to be asked whether it is there.
const A_WHILE: Duration = Duration::from_secs(30);

/// What a seed led to.
pub struct Outcome {
    /// Calls that clients heard of.
    pub calls: usize,
    /// Of those, calls that were talked in.
    pub established: usize,
    /// What desktops asked and phones did.
    pub operations: usize,
    /// Parties that were transferred or joined to others.
    pub moved: usize,
    /// Pairs of parties of which one was due to hear the other at rest, or not to.
    pub heard: usize,
    /// The network, which has the transcript of everything that happened.
    pub wire: Arc<Wire>,
}

thread_local! {
    /// The network of the last world of this thread, for the transcript of one that failed.
    pub static LAST: RefCell<Option<Arc<Wire>>> = const { RefCell::new(None) };
}

/// What happens at some time, beside what the phones do.
enum Deed {
    Ask(usize),
    Crash,
    Kill,
    Trouble(Trouble),
    Hitch(Hitch),
}

/// What is done to the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing but hitches.
    Fair,
    /// Its actors panic now and then.
    Stormy,
    /// It is killed now and then, and comes back.
    Killed,
    /// It is of several processes, which lose each other, and die, and come back.
    Split,
}

/// Plays a seed and checks the rules.
pub async fn play(seed: u64) -> Outcome {
    play_with(seed, Fate::Fair, may_connect(seed)).await
}

/// The same, with actors that panic now and then.
pub async fn play_stormy(seed: u64) -> Outcome {
    play_with(seed, Fate::Stormy, may_connect(seed)).await
}

/// The same, with a server that is killed now and then.
pub async fn play_killed(seed: u64) -> Outcome {
    play_with(seed, Fate::Killed, false).await
}

/// The same, with a server of several processes, whose links are cut and which are killed now and then.
pub async fn play_split(seed: u64) -> Outcome {
    play_with(seed, Fate::Split, may_connect(seed)).await
}

/// The same, with a server that is killed now and then, and phones that lose their connections by it.
pub async fn play_killed_connected(seed: u64) -> Outcome {
    play_with(seed, Fate::Killed, true).await
}

/// In half of the worlds some phones have connections; by dice of its own, so that nothing else is changed.
fn may_connect(seed: u64) -> bool {
    StdRng::seed_from_u64(!seed).random()
}

async fn play_with(seed: u64, fate: Fate, connections: bool) -> Outcome {
    let mut rng = StdRng::seed_from_u64(seed);
    let split = fate == Fate::Split;
    let genesis = Genesis {
        seed,
        connectors: rng.random_range(1..=3),
        split,
        phones: rng.random_range(if split { 6 } else { 3 }..=PHONES),
        weather: weather(&mut rng),
        require_auth: rng.random_ratio(1, 3),
        audio: *[Audio::Direct, Audio::Descending, Audio::Anchored]
            .choose(&mut rng)
            .unwrap_or(&Audio::Direct),
        connections,
    };
    let mut world = World::begin(genesis).await;
    LAST.set(Some(world.wire.clone()));
    let everything = world.dns();
    world.add_desktop(&everything).await;
    for _ in 0..rng.random_range(0..4) {
        let some: Vec<_> = everything.iter().filter(|_| rng.random()).cloned().collect();
        world.add_desktop(&some).await;
    }
    let faithful = match split {
        true => Some(Faithful::begin(&mut world).await),
        false => None,
    };
    let cast = Cast::of(&world, faithful.as_ref());
    plan_phones(&mut world, &cast, &mut rng);
    let end = now() + BUSY;
    let mut deeds: Vec<_> = desktop_plans(&world, &mut rng)
        .into_iter()
        .map(|(due, desktop)| (due, Deed::Ask(desktop)))
        .collect();
    match fate {
        Fate::Fair => {}
        Fate::Stormy => {
            deeds.extend((0..rng.random_range(4..20)).map(|_| (now() + within(&mut rng, BUSY), Deed::Crash)));
        }
        Fate::Killed => deeds.extend((0..rng.random_range(1..5)).map(|_| (now() + within(&mut rng, BUSY), Deed::Kill))),
        Fate::Split => {
            let troubles = trouble::plan(world.sides.len(), BUSY, &mut rng).into_iter();
            deeds.extend(troubles.map(|(wait, trouble)| (now() + wait, Deed::Trouble(trouble))));
            let crashes = if rng.random_ratio(1, 3) { rng.random_range(1..5) } else { 0 };
            deeds.extend((0..crashes).map(|_| (now() + within(&mut rng, BUSY), Deed::Crash)));
        }
    }
    // Where it is killed, the seeds that once failed are to stay what they are.
    if fate != Fate::Killed {
        let hitches = hitch::plan(genesis, BUSY).into_iter();
        deeds.extend(hitches.map(|(due, hitch)| (due, Deed::Hitch(hitch))));
    }
    deeds.sort_by_key(|(due, _)| *due);
    let stormy = deeds.iter().any(|(_, deed)| matches!(deed, Deed::Crash));
    for (due, deed) in deeds {
        world.run_until(due).await;
        match deed {
            Deed::Ask(desktop) => act(&mut world, desktop, &mut rng, &cast).await,
            Deed::Trouble(trouble) => trouble.befall(&mut world).await,
            Deed::Hitch(hitch) => hitch.befall(&world),
            Deed::Crash if split => storm::strike_somewhere(&mut world, &mut rng),
            Deed::Crash => storm::strike(&mut world, &mut rng).await,
            Deed::Kill => world.kill_and_restart().await,
        }
    }
    world.run_until(end).await;
    let mut heard = 0;
    trouble::end(&mut world).await;
    if stormy {
        world.run(A_WHILE).await;
    } else {
        world.rest().await;
        let late = world.add_desktop(&everything).await;
        world.run(Duration::from_secs(1)).await;
        world.write_journal();
        rules::check_rest(&world);
        heard = rest::check(&world, late);
    }
    if let Some(faithful) = &faithful {
        faithful.check(&mut world).await;
    }
    world.wind_up().await;
    rules::check(&world, stormy).await;
    outcome(&world, heard)
}

fn weather(rng: &mut StdRng) -> Weather {
    let bad = rng.random_range(0..3);
    Weather {
        latency_ms: rng.random_range(0..80),
        jitter_ms: [0, 30, 400][bad],
        lost: [0, 20, 150][rng.random_range(0..=bad)],
        doubled: [0, 20, 100][rng.random_range(0..=bad)],
    }
}

fn within(rng: &mut StdRng, duration: Duration) -> Duration {
    Duration::from_millis(rng.random_range(0..duration.as_millis() as u64))
}

/// Who takes part in what happens: all phones, but for those that keep out of it.
struct Cast {
    /// By their places in the world, the carrier last.
    phones: Vec<usize>,
    /// Their DNs, without the carrier.
    dns: Vec<String>,
    numbers: Vec<String>,
    /// The DNs of those that keep out.
    keep_out: Vec<String>,
    /// How many connectors have processes of their own; the n-th phone is with the (n modulo this)-th.
    sides: usize,
}

impl Cast {
    fn of(world: &World, faithful: Option<&Faithful>) -> Self {
        let keeps_out = |phone: &usize| faithful.is_some_and(|faithful| faithful.phones.contains(phone));
        let phones: Vec<_> = (0..world.phones.len()).filter(|phone| !keeps_out(phone)).collect();
        let known = || phones.iter().take(phones.len() - 1).map(|phone| &world.phones[*phone]);
        Self {
            dns: known().map(Phone::dn).collect(),
            numbers: known().map(|phone| phone.number.clone()).collect(),
            keep_out: faithful.map(|faithful| faithful.dns.to_vec()).unwrap_or_default(),
            sides: world.sides.len().max(1),
            phones,
        }
    }

    /// The place of somebody.
    fn any(&self, rng: &mut StdRng) -> usize {
        let place = rng.random_range(0..self.phones.len());
        self.phones[place]
    }

    /// Which connector the phone with that DN is with.
    fn side_of(&self, dn: &str) -> usize {
        let place = self.dns.iter().position(|other| other == dn);
        place.map_or(0, |place| self.phones[place] % self.sides)
    }

    /// A number that somebody may dial; not always one that there is.
    fn number(&self, rng: &mut StdRng, side: usize) -> String {
        match rng.random_range(0..12) {
            0 => "0305550123".into(),
            1 => "0905550123".into(),
            2 => "nobody".into(),
            3 => "sip:someone@elsewhere.example".into(),
            _ => {
                let place = rng.random_range(0..self.numbers.len());
                let is_near = |place: &usize| self.phones[*place] % self.sides == side;
                // Often somebody at the same connector.
                let near = (0..self.numbers.len())
                    .map(|step| (place + step) % self.numbers.len())
                    .find(is_near);
                let far = self.sides > 1 && rng.random_ratio(1, 2);
                self.numbers[near.filter(|_| !far).unwrap_or(place)].clone()
            }
        }
    }
}

fn plan_phones(world: &mut World, cast: &Cast, rng: &mut StdRng) {
    let patient = rng.random_ratio(2, 3);
    for phone in &cast.phones {
        let phone = &mut world.phones[*phone];
        phone.patient = patient;
        phone.manners = Manners::Moody;
        phone.restless = true;
    }
    for phone in cast.phones.iter().take(cast.phones.len() - 1).copied() {
        // Some phones come late, or never.
        let late = rng.random_ratio(1, 8);
        let wait = within(rng, if late { BUSY } else { Duration::from_secs(1) });
        world.plan(wait, phone, Act::Register { seconds: 600 });
        for _ in 0..rng.random_range(0..3) {
            let wait = within(rng, BUSY);
            world.plan(
                wait,
                phone,
                Act::Register {
                    seconds: *[0, 60, 3600].choose(rng).unwrap_or(&0),
                },
            );
        }
    }
    for _ in 0..rng.random_range(15..40) {
        let (wait, phone) = (within(rng, BUSY), cast.any(rng));
        let dial = Act::Dial {
            number: cast.number(rng, phone % cast.sides),
            late_offer: rng.random_ratio(1, 8),
        };
        world.plan(wait, phone, dial);
    }
    for _ in 0..rng.random_range(0..6) {
        let (wait, phone, victim) = (within(rng, BUSY), cast.any(rng), cast.any(rng));
        world.plan(wait, phone, Act::PickUp(victim));
    }
    for _ in 0..rng.random_range(0..4) {
        let (wait, phone, long) = (within(rng, BUSY), cast.any(rng), within(rng, BUSY));
        let dark = rng.random::<bool>();
        let fault = |on| if dark { Act::Dark(on) } else { Act::Closed(on) };
        world.plan(wait, phone, fault(true));
        world.plan(wait + long, phone, fault(false));
    }
}

fn desktop_plans(world: &World, rng: &mut StdRng) -> Vec<(Instant, usize)> {
    let start = now();
    let count = rng.random_range(20..120);
    let mut plans: Vec<_> = (0..count)
        .map(|_| (start + within(rng, BUSY), rng.random_range(0..world.desktops.len())))
        .collect();
    plans.sort_unstable();
    plans
}

/// One request of a desktop: sensible, out of place, or nonsense.
async fn act(world: &mut World, index: usize, rng: &mut StdRng, cast: &Cast) {
    if !world.is_serving() {
        return;
    }
    // The observer stays, and stays registered.
    let may_change = index > 0;
    let desktop = &mut world.desktops[index];
    let dn = cast.dns.choose(rng).cloned().unwrap_or_default();
    let is_cast = |dns: &BTreeSet<String>| !dns.iter().any(|dn| cast.keep_out.contains(dn));
    let calls: Vec<_> = desktop.calls.iter().filter(|(_, dns)| is_cast(dns)).collect();
    let recent = calls.len().saturating_sub(6)..calls.len();
    let heard = if recent.is_empty() {
        None
    } else {
        calls.get(rng.random_range(recent)).copied()
    };
    let call = heard.and_then(|(call, _)| call.parse().ok()).unwrap_or(ConnId(77));
    let party = heard
        .and_then(|(_, dns)| dns.iter().next())
        .filter(|_| rng.random_ratio(4, 5))
        .cloned()
        .unwrap_or(dn.clone());
    let pairs = KvList::from_iter([("key", "value"), ("other", "x")]);
    if let Some(request) = control(desktop, rng, cast) {
        desktop.ask(request).await;
        return;
    }
    let request = match rng.random_range(0..24) {
        0..8 => ClientRequest::make_call(&dn, &cast.number(rng, cast.side_of(&dn))).user_data(pairs),
        8..11 => ClientRequest::release_call(&party, call),
        11 => ClientRequest::clear_call(&party, call),
        12 | 13 => ClientRequest::attach_user_data(&party, call, pairs),
        14 => ClientRequest::update_user_data(&party, call, pairs),
        15 => ClientRequest::delete_user_data(&party, call, "key"),
        16 => ClientRequest::delete_all_user_data(&party, call),
        17 => ClientRequest::query_call(&party, call),
        18 => ClientRequest::query_address(&dn),
        19 => ClientRequest::query_server(),
        20 if may_change => ClientRequest::unregister_address(&dn),
        21 if may_change => ClientRequest::register_address(&dn),
        22 if may_change && rng.random_ratio(1, 4) => {
            desktop.handle = None;
            return;
        }
        _ => ClientRequest {
            request: "Nonsense".into(),
            ..ClientRequest::default()
        },
    };
    desktop.ask(request).await;
}

/// Now and then, where a DN has calls: a request that controls them.
fn control(desktop: &Desktop, rng: &mut StdRng, cast: &Cast) -> Option<ClientRequest> {
    let mut live = desktop.live();
    // The carrier has calls too.
    live.retain(|dn, _| !cast.keep_out.contains(dn));
    let (dn, calls) = live.iter().nth(rng.random_range(0..live.len().max(1)))?;
    let mut call = || {
        calls
            .iter()
            .nth(rng.random_range(0..calls.len()))
            .copied()
            .unwrap_or(ConnId(77))
    };
    let (one, mut other) = (call(), call());
    if one == other {
        other = calls.iter().copied().find(|call| *call != one).unwrap_or(other);
    }
    // Often to a DN that is in the call, too: to delete it, or by mistake.
    let to = if rng.random_ratio(1, 3) {
        cast.dns.choose(rng).cloned()?
    } else {
        cast.number(rng, cast.side_of(dn))
    };
    let with = |operation| Some(ClientRequest::of_call_with(operation, dn, one, &to));
    let two = |operation| Some(ClientRequest::of_two_calls(operation, dn, one, other));
    let on = |operation| Some(ClientRequest::of_call(operation, dn, one));
    match rng.random_range(0..40) {
        0..3 => on(OnCall::HoldCall),
        3..6 => on(OnCall::RetrieveCall),
        6 => on(OnCall::AnswerCall),
        7 => on(OnCall::SetMuteOn),
        8 => on(OnCall::SetMuteOff),
        9..12 => with(OnCallWith::InitiateTransfer),
        12..15 => with(OnCallWith::InitiateConference),
        15 => with(OnCallWith::SingleStepTransfer),
        16 => with(OnCallWith::SingleStepConference),
        17 => with(OnCallWith::DeleteFromConference),
        18 => with(OnCallWith::RedirectCall),
        19..22 => two(OnTwoCalls::CompleteTransfer),
        22..25 => two(OnTwoCalls::CompleteConference),
        25 => two(OnTwoCalls::AlternateCall),
        26 => two(OnTwoCalls::ReconnectCall),
        27 => two(OnTwoCalls::MergeCalls(MergeType::ForTransfer)),
        28 => two(OnTwoCalls::MergeCalls(MergeType::ForConference)),
        29 => Some(ClientRequest::send_dtmf(dn, one, "12#")),
        _ => None,
    }
}

fn outcome(world: &World, heard: usize) -> Outcome {
    let established = |frame: &&tandem_wire::EventFrame| frame.is(tandem_model::EventName::EventEstablished);
    let mut talked: Vec<_> = world.desktops[0]
        .frames
        .iter()
        .filter(established)
        .filter_map(|frame| frame.call())
        .collect();
    talked.sort_unstable();
    talked.dedup();
    Outcome {
        calls: world.desktops[0].calls.len(),
        established: talked.len(),
        operations: world.phones.iter().map(|phone| phone.deeds).sum::<usize>()
            + world.desktops.iter().map(|desktop| desktop.asked.len()).sum::<usize>(),
        moved: world.desktops[0]
            .frames
            .iter()
            .filter(|frame| frame.is(tandem_model::EventName::EventPartyChanged))
            .count(),
        heard,
        wire: world.wire.clone(),
    }
}

//! The event log with calls around it, and a journal that notes what it is told.

use std::cell::{Ref, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, UNIX_EPOCH};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tandem_model::call::CallInput;
use tandem_model::event_log::Limits;
use tandem_model::link::{CallOffered, CallerId, Presentation};
use tandem_model::numbering::{DnConfig, Numbering};
use tandem_model::room::RoomSettings;
use tandem_model::{ConferenceId, ConnId, ConnectorId, DnId, Event, EventName, PartyId};

use super::{EventLogActor, EventLogParts, EventLogStart, Publish, Told};
use crate::directory::Directory;
use crate::journal::{Journal, RecordKind, SharedJournal};
use crate::kind::{ActorKind, Waiting};
use crate::live::Settings;
use crate::now;
use crate::tserver::{CallNumbers, ClientSettings, LobbyActor, LobbyParts, Switch, SwitchParts};

const SOON: Duration = Duration::from_secs(20);
const CONNECTOR: ConnectorId = ConnectorId(0);

/// What a journal was told.
#[derive(Default)]
pub(in crate::tserver) struct Noted {
    /// What is kept, committed or not.
    live: BTreeSet<(RecordKind, Vec<u8>)>,
    /// What each commit had, with whether it was put or removed. Ids that are no number are left out.
    pub commits: Vec<Vec<(RecordKind, u64, bool)>>,
    changes: Vec<(RecordKind, u64, bool)>,
    is_back: bool,
}

impl Noted {
    /// Whether that is kept.
    pub fn has(&self, kind: RecordKind, id: u64) -> bool {
        self.live.contains(&(kind, id.to_be_bytes().to_vec()))
    }

    /// Storage has failed, and works again.
    fn fails_and_is_back(&mut self) {
        self.live.clear();
        self.is_back = true;
    }

    fn change(&mut self, kind: RecordKind, id: &[u8], put: bool) {
        if let Ok(number) = id.try_into() {
            self.changes.push((kind, u64::from_be_bytes(number), put));
        }
    }
}

struct Notes(Rc<RefCell<Noted>>);

impl Journal for Notes {
    fn put(&mut self, kind: RecordKind, id: &[u8], _: &[u8]) {
        let mut noted = self.0.borrow_mut();
        noted.live.insert((kind, id.to_vec()));
        noted.change(kind, id, true);
    }

    fn remove(&mut self, kind: RecordKind, id: &[u8]) {
        let mut noted = self.0.borrow_mut();
        noted.live.remove(&(kind, id.to_vec()));
        noted.change(kind, id, false);
    }

    fn remove_below(&mut self, kind: RecordKind, id: &[u8]) {
        self.0
            .borrow_mut()
            .live
            .retain(|(of, other)| *of != kind || other.as_slice() >= id);
    }

    fn commit(&mut self) {
        let mut noted = self.0.borrow_mut();
        let changes = std::mem::take(&mut noted.changes);
        noted.commits.push(changes);
    }

    fn is_back(&mut self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().is_back)
    }
}

/// A T-Server side without connectors: what calls ask of them is never answered.
pub(in crate::tserver) struct Scene {
    pub switch: Rc<Switch>,
    noted: Rc<RefCell<Noted>>,
}

impl Scene {
    pub fn new() -> Self {
        let noted = Rc::new(RefCell::new(Noted::default()));
        let journal: SharedJournal = Rc::new(RefCell::new(Box::new(Notes(noted.clone()))));
        let numbering = Numbering::builder()
            .domain("x")
            .dn(DnConfig::extension("sip:1@x"))
            .dn(DnConfig::extension("sip:2@x"))
            .dn(DnConfig::conference("sip:8000@x", RoomSettings::default()))
            .build()
            .expect("a sound numbering");
        let directory = Directory::new(Settings {
            numbering: Arc::new(numbering),
            max_calls: 10,
            ..Settings::default()
        });
        let switch = Switch::new(SwitchParts {
            directory: directory.clone(),
            connectors: 1,
            remote_pools: Vec::new(),
            numbers: CallNumbers::new(1, StdRng::from_seed([0; 32])),
            draining: Arc::new(AtomicBool::new(false)),
            journal: journal.clone(),
            anchor: (now(), UNIX_EPOCH),
            records: Vec::new(),
        });
        let log = EventLogActor::supervise(EventLogParts::new(EventLogStart {
            epoch: "test".into(),
            limits: Limits {
                all: true,
                ..Limits::default()
            },
            journal,
            records: Vec::new(),
            rng: StdRng::from_seed([0; 32]),
            directory: directory.clone(),
            server_version: "0".into(),
            unix_micros: || 1,
            hide_sensitive_data: true,
        }));
        let lobby = LobbyActor::supervise(LobbyParts {
            switch: switch.clone(),
            settings: Arc::new(ClientSettings {
                max_dns: 1,
                server_name: "test".into(),
                server_version: "0".into(),
            }),
            max_clients: 1,
            connected: Rc::default(),
            next: Rc::default(),
        });
        directory.install_tserver(log, lobby, HashMap::new(), Vec::new());
        Self { switch, noted }
    }

    /// A call from 1 to 2 is offered: its name.
    pub fn call(&self, number: u64) -> ConnId {
        let before = self.switch.directory.call_ids();
        self.switch.start_call(CONNECTOR, CallInput::Offered(offered(number, "2")));
        let mut calls = self.switch.directory.call_ids();
        calls.retain(|call| !before.contains(call));
        *calls.first().expect("a call")
    }

    /// An event is told.
    fn publishes(&self) {
        if let Some(log) = self.switch.directory.event_log() {
            log.do_send(Publish {
                told: vec![Told::Event(Event::new(EventName::EventLinkConnected), None)],
                entries: Vec::new(),
                urgent: false,
                waiting: Waiting::new(ActorKind::EventLog),
            });
        }
    }

    /// What was noted.
    pub fn kept(&self) -> Ref<'_, Noted> {
        self.noted.borrow()
    }

    /// Waits until that is noted.
    pub async fn until(&self, holds: impl Fn(&Noted) -> bool) {
        let end = now() + SOON;
        while !holds(&self.kept()) {
            assert!(now() < end, "not noted: {:?}", self.kept().commits);
            tokio::task::yield_now().await;
        }
    }
}

fn offered(number: u64, dialled: &str) -> CallOffered {
    CallOffered {
        conference: ConferenceId::new(CONNECTOR.0, number),
        party: PartyId(1),
        from: CallerId::Extension(DnId::new("sip:1@x")),
        dialled: dialled.into(),
        conversation_id: None,
        sip_call_id: "".into(),
        replaces: None,
        presentation: Presentation::default(),
        preferred: None,
        diverted_by: None,
        headers: Vec::new(),
    }
}

/// Runs a scene.
pub(in crate::tserver) fn in_a_system(life: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(life);
}

#[test]
fn when_storage_works_again_calls_conferences_and_the_log_are_kept_again() {
    in_a_system(async {
        let scene = Scene::new();
        let directory = scene.switch.directory.clone();
        let call = scene.call(1);
        assert!(
            scene
                .switch
                .rooms
                .offer(&scene.switch, CONNECTOR, offered(2, "8000"))
                .is_none()
        );
        let room = directory
            .call_ids()
            .into_iter()
            .find(|other| *other != call)
            .expect("a conference");
        let has = move |noted: &Noted, events: u64| {
            let event = |noted: &Noted, sequence| noted.has(RecordKind::Event, sequence);
            noted.has(RecordKind::Call, call.0)
                && noted.has(RecordKind::Room, room.0)
                && (1..=events).all(|sequence| event(noted, sequence))
        };
        scene.publishes();
        scene.until(|noted| has(noted, 1)).await;
        scene.noted.borrow_mut().fails_and_is_back();
        scene.publishes();
        scene.until(|noted| has(noted, 2)).await;
        scene.noted.borrow_mut().fails_and_is_back();
        // Nothing happens any more.
        scene.until(|noted| has(noted, 2)).await;
    });
}

//! One round of the demo: what happens, and what has to be seen for it to count.

use std::time::Duration;

use tandem_model::{EventName, KvList};
use tandem_wire::ClientRequest;

use super::desktop::Desktop;
use super::phone::{Phone, PhoneCommand, PhoneEvent};

/// How long any single thing may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// How long two phones talk.
pub(super) const TALK: Duration = Duration::from_millis(1_500);
/// The part of the power that the other phone's tone must have.
pub(super) const HEARD_SHARE: f64 = 0.8;

/// The phones and the desktop.
pub struct Stage {
    /// The desktop.
    pub desktop: Desktop,
    /// The phones, by position.
    pub phones: Vec<Phone>,
}

/// What went wrong, for people.
pub type RoundError = String;

impl Stage {
    /// Plays one round.
    pub async fn play(&mut self) -> Result<(), RoundError> {
        headline("phone 1001 dials 1002: reported like any other call");
        self.dialled(0, 1).await?;
        headline("the desktop makes a call: 1003's phone is called first, then 1004 (RFC 3725)");
        self.made(2, 3).await?;
        headline("1001 dials 1004, which is busy");
        self.busy(0, 3).await?;
        self.control().await
    }

    /// A call dialled on a phone, hung up by the called one.
    async fn dialled(&mut self, caller: usize, called: usize) -> Result<(), RoundError> {
        self.tell(caller, PhoneCommand::Dial(self.number(called)?)).await?;
        self.event_of(called, EventName::EventRinging).await?;
        self.event_of(called, EventName::EventEstablished).await?;
        self.talk(caller, called).await?;
        self.tell(called, PhoneCommand::HangUp).await?;
        self.ends(&[caller, called]).await
    }

    /// A call made and released by the desktop.
    async fn made(&mut self, caller: usize, called: usize) -> Result<(), RoundError> {
        let (from, to) = (self.dn(caller)?, self.dn(called)?);
        let data = KvList::from_iter([("CustomerSegment", "gold")]);
        let dialing = self
            .desktop
            .ask(ClientRequest::make_call(&from, &to).user_data(data), DEADLINE)
            .await?;
        let conn_id = dialing.call().ok_or("EventDialing has no connId")?;
        let established = self.event_of(called, EventName::EventEstablished).await?;
        if established
            .user_data
            .and_then(|data| data.text("CustomerSegment").map(str::to_owned))
            .as_deref()
            != Some("gold")
        {
            return Err("EventEstablished does not carry the user data of MakeCall".into());
        }
        self.talk(caller, called).await?;
        self.desktop
            .ask(ClientRequest::release_call(&from, conn_id), DEADLINE)
            .await?;
        self.ends(&[caller, called]).await
    }

    /// A call to a phone that is busy.
    async fn busy(&mut self, caller: usize, called: usize) -> Result<(), RoundError> {
        self.tell(called, PhoneCommand::Busy(true)).await?;
        self.tell(caller, PhoneCommand::Dial(self.number(called)?)).await?;
        self.event_of(caller, EventName::EventDestinationBusy).await?;
        self.phone_event(caller, "486", |event| *event == PhoneEvent::Over(Some(486)))
            .await?;
        self.tell(called, PhoneCommand::Busy(false)).await
    }

    pub(super) async fn ends(&mut self, phones: &[usize]) -> Result<(), RoundError> {
        for phone in phones {
            self.phone_event(*phone, "the end of its call", |event| matches!(event, PhoneEvent::Over(_)))
                .await?;
        }
        let released = |stage: &Self, phone: usize| {
            let dn = stage.dn(phone).ok();
            stage
                .desktop
                .seen
                .iter()
                .any(|event| event.this_dn == dn && event.is(EventName::EventReleased))
        };
        while let Some(missing) = phones.iter().copied().find(|phone| !released(self, *phone)) {
            self.event_of(missing, EventName::EventReleased).await?;
        }
        Ok(())
    }

    /// Waits for an event about a phone's DN; one that came since the last call of this function counts.
    pub(super) async fn event_of(&mut self, phone: usize, name: EventName) -> Result<tandem_wire::EventFrame, RoundError> {
        let dn = self.dn(phone)?;
        let earlier = self
            .desktop
            .seen
            .iter()
            .find(|event| event.this_dn.as_deref() == Some(&dn) && event.is(name))
            .cloned();
        if let Some(event) = earlier {
            return Ok(event);
        }
        let what = format!("{name} for {dn}");
        self.desktop
            .wait_for(&what, DEADLINE, |event| {
                event.this_dn.as_deref() == Some(&dn) && event.is(name)
            })
            .await
    }

    /// Forgets the events of an earlier call.
    pub fn forget(&mut self) {
        self.desktop.seen.clear();
    }

    /// Registers every phone.
    pub async fn register(&mut self) -> Result<(), RoundError> {
        for index in 0..self.phones.len() {
            self.tell(index, PhoneCommand::Register).await?;
            let event = self.phone_event(index, "its registration", |_| true).await?;
            if event != PhoneEvent::Registered {
                return Err(format!("{} could not register: {event:?}", self.number(index)?));
            }
        }
        Ok(())
    }

    pub(super) async fn tell(&mut self, phone: usize, command: PhoneCommand) -> Result<(), RoundError> {
        if matches!(command, PhoneCommand::Dial(_)) {
            self.forget();
        }
        let phone = self.phones.get(phone).ok_or("no such phone")?;
        phone
            .commands
            .send(command)
            .await
            .map_err(|_| format!("phone {} is gone", phone.identity.number))
    }

    pub(super) async fn phone_event(
        &mut self,
        phone: usize,
        what: &str,
        fits: impl Fn(&PhoneEvent) -> bool,
    ) -> Result<PhoneEvent, RoundError> {
        let phone = self.phones.get_mut(phone).ok_or("no such phone")?;
        let number = phone.identity.number.clone();
        let waiting = async {
            while let Some(event) = phone.events.recv().await {
                if fits(&event) {
                    return Ok(event);
                }
            }
            Err(format!("phone {number} is gone"))
        };
        let late = || format!("phone {number} did not tell {what} in {DEADLINE:?}");
        tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| Err(late()))
    }

    pub(super) fn number(&self, phone: usize) -> Result<String, RoundError> {
        self.phones
            .get(phone)
            .map(|phone| phone.identity.number.clone())
            .ok_or_else(|| "no such phone".into())
    }

    pub(super) fn dn(&self, phone: usize) -> Result<String, RoundError> {
        let identity = self.phones.get(phone).map(|phone| &phone.identity).ok_or("no such phone")?;
        Ok(format!("sip:{}@{}", identity.number, identity.domain))
    }
}

pub(super) fn headline(text: &str) {
    println!("\n{text}");
}

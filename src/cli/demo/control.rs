//! The part of a round in which the desktop controls a call: hold, a transfer after a consultation, a conference of three. The phones
//! listen all the while.

use tandem_media::tone;
use tandem_model::EventName;
use tandem_model::request::{OnCall, OnCallWith, OnTwoCalls};
use tandem_wire::ClientRequest;

use super::phone::{PhoneCommand, PhoneEvent};
use super::round::{DEADLINE, HEARD_SHARE, RoundError, Stage, TALK, headline};

/// What of the power must be each voice's where two are heard.
const HALF_SHARE: f64 = 0.3;
/// What music may have at the pitch of a voice: it has notes, too.
const GONE_SHARE: f64 = 0.6;

impl Stage {
    /// Three calls, each controlled in another way.
    pub(super) async fn control(&mut self) -> Result<(), RoundError> {
        headline("1001 dials 1002; the desktop of 1002 puts the call on hold, and takes it back");
        self.held(0, 1).await?;
        headline("1001 dials 1002, whose desktop consults 1003 and transfers the call");
        self.transferred(0, 1, 2).await?;
        headline("1001 dials 1002, whose desktop consults 1003 and makes a conference of it");
        self.conference(0, 1, 2).await
    }

    async fn held(&mut self, caller: usize, called: usize) -> Result<(), RoundError> {
        let (dn, call) = self.connected(caller, called).await?;
        self.talk(caller, called).await?;
        let hold = ClientRequest::of_call(OnCall::HoldCall, &dn, call);
        self.desktop.ask(hold, DEADLINE).await?;
        self.music(caller, called).await?;
        let retrieve = ClientRequest::of_call(OnCall::RetrieveCall, &dn, call);
        self.desktop.ask(retrieve, DEADLINE).await?;
        self.talk(caller, called).await?;
        self.tell(caller, PhoneCommand::HangUp).await?;
        self.ends(&[caller, called]).await
    }

    async fn transferred(&mut self, caller: usize, agent: usize, expert: usize) -> Result<(), RoundError> {
        let (dn, main) = self.connected(caller, agent).await?;
        self.talk(caller, agent).await?;
        let consult = self.consults(&dn, main, OnCallWith::InitiateTransfer, expert).await?;
        self.music(caller, agent).await?;
        self.talk(agent, expert).await?;
        let complete = ClientRequest::of_two_calls(OnTwoCalls::CompleteTransfer, &dn, main, consult);
        self.desktop.ask(complete, DEADLINE).await?;
        self.event_of(caller, EventName::EventPartyChanged).await?;
        self.talk(caller, expert).await?;
        self.tell(caller, PhoneCommand::HangUp).await?;
        self.ends(&[caller, agent, expert]).await
    }

    async fn conference(&mut self, caller: usize, agent: usize, expert: usize) -> Result<(), RoundError> {
        let (dn, main) = self.connected(caller, agent).await?;
        self.talk(caller, agent).await?;
        let consult = self.consults(&dn, main, OnCallWith::InitiateConference, expert).await?;
        let complete = ClientRequest::of_two_calls(OnTwoCalls::CompleteConference, &dn, main, consult);
        self.desktop.ask(complete, DEADLINE).await?;
        self.event_of(caller, EventName::EventPartyAdded).await?;
        tokio::time::sleep(TALK).await;
        let parties = [caller, agent, expert];
        for listener in parties {
            let samples = self.listen(listener).await?;
            let number = self.number(listener)?;
            for speaker in parties.into_iter().filter(|speaker| *speaker != listener) {
                let share = tone::share_of(&samples, self.tone_of(speaker));
                println!("         {number} hears {} at {:.0} %", self.number(speaker)?, share * 100.0);
                if share < HALF_SHARE {
                    return Err(format!("{number} does not hear everybody in the conference"));
                }
            }
        }
        self.desktop.ask(ClientRequest::clear_call(&dn, main), DEADLINE).await?;
        self.ends(&parties).await
    }

    /// One phone dials another; the DN of the called one, and the call.
    async fn connected(&mut self, caller: usize, called: usize) -> Result<(String, tandem_model::ConnId), RoundError> {
        self.tell(caller, PhoneCommand::Dial(self.number(called)?)).await?;
        let established = self.event_of(called, EventName::EventEstablished).await?;
        self.event_of(caller, EventName::EventEstablished).await?;
        let call = established.call().ok_or("EventEstablished has no connId")?;
        Ok((self.dn(called)?, call))
    }

    /// A consultation that is answered; its call.
    async fn consults(
        &mut self,
        dn: &str,
        main: tandem_model::ConnId,
        how: OnCallWith,
        expert: usize,
    ) -> Result<tandem_model::ConnId, RoundError> {
        let request = ClientRequest::of_call_with(how, dn, main, &self.dn(expert)?);
        let dialing = self.desktop.ask(request, DEADLINE).await?;
        self.event_of(expert, EventName::EventEstablished).await?;
        dialing.call().ok_or_else(|| "EventDialing has no connId".into())
    }

    /// Checks that a phone hears something, and not that other one.
    async fn music(&mut self, listener: usize, holder: usize) -> Result<(), RoundError> {
        tokio::time::sleep(TALK).await;
        let samples = self.listen(listener).await?;
        let number = self.number(listener)?;
        let loud = samples.iter().any(|sample| sample.unsigned_abs() > 100);
        if !loud || tone::share_of(&samples, self.tone_of(holder)) > GONE_SHARE {
            return Err(format!("{number} is on hold and does not hear music"));
        }
        println!("         {number} hears music");
        Ok(())
    }

    /// Lets two phones talk and checks that each hears the other's tone.
    pub(super) async fn talk(&mut self, one: usize, other: usize) -> Result<(), RoundError> {
        tokio::time::sleep(TALK).await;
        for (listener, speaker) in [(one, other), (other, one)] {
            let tone_hz = self.tone_of(speaker);
            let samples = self.listen(listener).await?;
            let (number, share) = (self.number(listener)?, tone::share_of(&samples, tone_hz));
            println!(
                "         {number} hears the other's {tone_hz} Hz: {:.0} % of the last half second",
                share * 100.0
            );
            if share < HEARD_SHARE {
                return Err(format!("{number} did not hear the other phone"));
            }
        }
        Ok(())
    }

    /// The last half second of what a phone hears.
    async fn listen(&mut self, phone: usize) -> Result<Vec<i16>, RoundError> {
        self.tell(phone, PhoneCommand::Listen).await?;
        let heard = self
            .phone_event(phone, "what it hears", |event| matches!(event, PhoneEvent::Heard { .. }))
            .await?;
        match heard {
            PhoneEvent::Heard { samples } => Ok(samples),
            _ => Ok(Vec::new()),
        }
    }

    fn tone_of(&self, phone: usize) -> f64 {
        self.phones.get(phone).map_or(0.0, |phone| phone.identity.tone_hz)
    }
}

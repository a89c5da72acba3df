//! The media join: what runs between two legs so that each has the other's session description.
//!
//! A join has two sides and at most one *exchange*. An exchange is one offer on its way from one side to the other and the
//! answer on its way back (RFC 3264). What comes in the middle of one is refused with 491, so a leg never has two offers
//! outstanding (RFC 3261 s.14.1 and s.14.2).
//!
//! A join knows nothing of parties, of calls being set up or of why a leg ends, nor of the media plane: it is dissolved when a side's media
//! goes there, and a new one is made when both come back. It keeps what each device described last, for that way back.

use bytes::Bytes;

use super::ConferenceOutput;
use super::leg::LegMedia;
use super::snapshot::{PairExchange, PairSnapshot};
use crate::LegId;
use crate::leg::{AckBody, Description, LegCommand};

/// The join cannot be made or kept: the calls on both sides end with this status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Broken {
    pub status: u16,
}

/// An answer that was due did not come with the message that had to carry it.
const ANSWER_MISSING: u16 = 488;

/// How often a re-INVITE of our own is sent again after 491. The user agent waits out glare on the wire by itself (RFC 3261
/// s.14.1); this is for a device's re-INVITE that was on its way to us when we sent ours, and is refused by now.
pub(super) const GLARES: u8 = 4;

/// Where a side is that a re-INVITE of ours is with, when the join is over.
const REOFFERED: LegMedia = LegMedia::Abandoned {
    with_offer: true,
    has_port: false,
};

/// What is under way.
#[derive(Clone, Debug)]
enum Exchange {
    /// Each side has the other's description.
    Quiet,
    /// The offer of one side's 200 stands in our 200 to the other side, whose ACK has to bring the answer.
    LateAnswer { offerer: LegId, answerer: LegId },
    /// An UPDATE from before the answer is with the first side, which is told of the second one when that is over; the second one has
    /// `offered` of it.
    FirstAwaited { offered: Bytes },
    /// One side's re-INVITE is with the other side.
    Passed { from: LegId, to: LegId, offer: Option<Bytes> },
    /// The second side's description is with the first side (a third-party call, a way back, a pair that was restored). The second one
    /// has `offered` of the first; where it is not known what it has, it is told in any case.
    FirstReoffered { offered: Option<Bytes>, ours: Reoffer },
    /// The description that the first side gave then is with the second side.
    SecondReoffered { ours: Reoffer },
}

/// A re-INVITE that we sent by ourselves.
#[derive(Clone, Debug)]
struct Reoffer {
    offer: Bytes,
    glares: u8,
    /// Without it the two do not hear each other.
    is_needed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct MediaJoin {
    sides: [LegId; 2],
    exchange: Exchange,
    /// What the device of each side described last, as the other one has it.
    known: [Option<Bytes>; 2],
}

/// What a side of a dissolved join goes on with.
pub(super) struct Freed {
    pub leg: LegId,
    pub media: LegMedia,
    pub shared: Option<Bytes>,
}

impl MediaJoin {
    /// The callee answered the caller's offer.
    pub fn direct(caller: LegId, callee: LegId, offer: Bytes, answer: Bytes, out: &mut Vec<ConferenceOutput>) -> Self {
        acknowledge(out, callee, AckBody::Nothing);
        tell(
            out,
            caller,
            LegCommand::Accept {
                sdp: Some(answer.clone().into()),
            },
        );
        Self::quiet([caller, callee], [Some(offer), Some(answer)])
    }

    /// The callee answered an offer that the caller has changed since with another device: the two are told of each other.
    pub fn behind(caller: LegId, callee: LegId, offered: Bytes, answer: Bytes, out: &mut Vec<ConferenceOutput>) -> Self {
        Self::direct(caller, callee, offered.clone(), answer.clone(), out);
        Self::restored(caller, callee, offered, answer, out)
    }

    /// The same, as soon as the caller has said what it makes of an offer of that other device.
    pub fn awaited(caller: LegId, callee: LegId, offered: Bytes, answer: Bytes, out: &mut Vec<ConferenceOutput>) -> Self {
        let exchange = Exchange::FirstAwaited {
            offered: offered.clone(),
        };
        Self {
            exchange,
            ..Self::direct(caller, callee, offered, answer, out)
        }
    }

    /// One side's offer from before the answer is with the other side.
    pub fn passing(self, from: LegId, to: LegId, offer: Bytes) -> Self {
        let offer = Some(offer);
        Self {
            exchange: Exchange::Passed { from, to, offer },
            ..self
        }
    }

    /// The callee answered an INVITE without an offer by giving one; the caller's ACK has to bring the answer, and the callee's
    /// ACK waits for it.
    pub fn late(caller: LegId, callee: LegId, offer: Bytes, out: &mut Vec<ConferenceOutput>) -> Self {
        tell(
            out,
            caller,
            LegCommand::Accept {
                sdp: Some(offer.clone().into()),
            },
        );
        Self {
            exchange: Exchange::LateAnswer {
                offerer: callee,
                answerer: caller,
            },
            ..Self::quiet([caller, callee], [None, Some(offer)])
        }
    }

    /// The second party of a third-party call answered `offered`, the first one's description; the first one is in a call with
    /// nobody and now gets the answer as an offer (RFC 3725 s.4.3).
    pub fn third_party(first: LegId, second: LegId, offered: Bytes, answer: Bytes, out: &mut Vec<ConferenceOutput>) -> Self {
        acknowledge(out, second, AckBody::Nothing);
        Self::restored(first, second, offered, answer, out)
    }

    /// `first` gets what `second` describes, which has `offered` of it.
    pub fn restored(first: LegId, second: LegId, offered: Bytes, description: Bytes, out: &mut Vec<ConferenceOutput>) -> Self {
        let ours = Reoffer::send(first, description.clone(), true, out);
        let known = [Some(offered.clone()), Some(description)];
        let offered = Some(offered);
        Self {
            exchange: Exchange::FirstReoffered { offered, ours },
            ..Self::quiet([first, second], known)
        }
    }

    /// The same where it is not known what `second` has: it is told in any case.
    pub fn renewed(first: LegId, second: LegId, known: [Bytes; 2], out: &mut Vec<ConferenceOutput>) -> Self {
        let ours = Reoffer::send(first, known[1].clone(), true, out);
        Self {
            exchange: Exchange::FirstReoffered { offered: None, ours },
            ..Self::quiet([first, second], known.map(Some))
        }
    }

    /// Each side has the other's description, `known`.
    pub fn quiet(sides: [LegId; 2], known: [Option<Bytes>; 2]) -> Self {
        let exchange = Exchange::Quiet;
        Self { sides, exchange, known }
    }

    /// What is kept of it: whatever was under way, it says whom to ask again.
    pub fn snapshot(&self) -> PairSnapshot {
        let pair = |first: LegId, exchange| {
            let swaps = self.sides[0] != first;
            let [one, other] = self.known.clone();
            PairSnapshot {
                sides: if swaps { [self.sides[1], self.sides[0]] } else { self.sides },
                known: if swaps { [other, one] } else { [one, other] },
                exchange,
            }
        };
        let [first, _] = self.sides;
        match &self.exchange {
            Exchange::Quiet => pair(first, PairExchange::Rest),
            Exchange::Passed { to, .. } => {
                let (is_told, is_needed) = (true, false);
                pair(*to, PairExchange::First { is_told, is_needed })
            }
            Exchange::LateAnswer { answerer, .. } => {
                let is_needed = self.known[usize::from(first != *answerer)].is_none();
                let is_told = false;
                pair(*answerer, PairExchange::First { is_told, is_needed })
            }
            Exchange::FirstAwaited { .. } => {
                let (is_told, is_needed) = (true, true);
                pair(first, PairExchange::First { is_told, is_needed })
            }
            Exchange::FirstReoffered { offered, ours } => {
                let (is_told, is_needed) = (offered.is_some(), ours.is_needed);
                pair(first, PairExchange::First { is_told, is_needed })
            }
            Exchange::SecondReoffered { ours } => {
                let is_needed = ours.is_needed;
                pair(first, PairExchange::Second { is_needed })
            }
        }
    }

    /// The pair as it was kept: what was under way is begun again. `None` where a description is missing for that.
    pub fn again(pair: PairSnapshot, out: &mut Vec<ConferenceOutput>) -> Option<Self> {
        let PairSnapshot { sides, known, exchange } = pair;
        let exchange = match exchange {
            PairExchange::Rest => Exchange::Quiet,
            PairExchange::First { is_told, is_needed } => {
                let ours = Reoffer::send(sides[0], known[1].clone()?, is_needed, out);
                let offered = known[0].clone().filter(|_| is_told);
                Exchange::FirstReoffered { offered, ours }
            }
            PairExchange::Second { is_needed } => {
                let ours = Reoffer::send(sides[1], known[0].clone()?, is_needed, out);
                Exchange::SecondReoffered { ours }
            }
        };
        Some(Self { sides, exchange, known })
    }

    /// Whether nothing is under way.
    pub fn is_quiet(&self) -> bool {
        matches!(self.exchange, Exchange::Quiet)
    }

    /// The side that has to be told first where the media goes now.
    pub fn is_leaving(&self, leg: LegId) -> bool {
        matches!(self.exchange, Exchange::FirstReoffered { .. }) && self.sides[0] == leg
    }

    /// Its two sides.
    pub fn sides(&self) -> [LegId; 2] {
        self.sides
    }

    fn learn(&mut self, leg: LegId, description: Option<Bytes>) {
        if let Some(description) = description {
            let side = usize::from(self.sides[0] != leg);
            self.known[side] = Some(description);
        }
    }

    /// The other side of `leg`; `None` where `leg` is no side of this join.
    pub fn peer(&self, leg: LegId) -> Option<LegId> {
        match self.sides {
            [one, other] if one == leg => Some(other),
            [one, other] if other == leg => Some(one),
            _ => None,
        }
    }

    /// The offer that is with this side, and which side's it is.
    pub fn passed_to(&self, leg: LegId) -> Option<(LegId, &Bytes)> {
        match &self.exchange {
            Exchange::Passed { from, to, offer } if *to == leg => Some((*from, offer.as_ref()?)),
            _ => None,
        }
    }

    /// What is under way, in a word, for logs.
    pub fn exchange_name(&self) -> &'static str {
        match self.exchange {
            Exchange::Quiet => "quiet",
            Exchange::LateAnswer { .. } => "late-answer",
            Exchange::FirstAwaited { .. } => "first-awaited",
            Exchange::Passed { .. } => "reinvite-passed",
            Exchange::FirstReoffered { .. } => "first-reoffered",
            Exchange::SecondReoffered { .. } => "second-reoffered",
        }
    }

    /// The device on `leg` sent a re-INVITE. Whether the other side's last ACK is there need not be known: the user agent holds
    /// our re-INVITE back until it is.
    pub fn reoffered(&mut self, leg: LegId, offer: Option<Bytes>, out: &mut Vec<ConferenceOutput>) {
        let free = matches!(self.exchange, Exchange::Quiet);
        match self.peer(leg) {
            Some(to) if free => {
                self.exchange = Exchange::Passed {
                    from: leg,
                    to,
                    offer: offer.clone(),
                };
                tell(
                    out,
                    to,
                    LegCommand::Reinvite {
                        offer: offer.map(Description::Passed),
                    },
                );
            }
            _ => tell(out, leg, LegCommand::RejectReinvite { status: 491 }),
        }
    }

    /// Our re-INVITE on `leg` was answered.
    pub fn reinvite_answered(
        &mut self,
        leg: LegId,
        sdp: Option<Bytes>,
        same_media: fn(&[u8], &[u8]) -> bool,
        out: &mut Vec<ConferenceOutput>,
    ) -> Result<(), Broken> {
        match std::mem::replace(&mut self.exchange, Exchange::Quiet) {
            Exchange::Passed { from, to, offer } if to == leg => {
                self.pass_answer(from, to, offer, sdp, out);
                Ok(())
            }
            Exchange::FirstAwaited { offered } if leg == self.sides[0] => {
                acknowledge(out, leg, AckBody::Nothing);
                self.tell_first(offered, out);
                Ok(())
            }
            Exchange::FirstReoffered { offered, ours } if leg == self.sides[0] => {
                acknowledge(out, leg, AckBody::Nothing);
                let now = sdp.ok_or(Broken { status: ANSWER_MISSING })?;
                self.learn(leg, Some(now.clone()));
                if !offered.is_some_and(|offered| same_media(&offered, &now)) {
                    let ours = Reoffer::send(self.sides[1], now, ours.is_needed, out);
                    self.exchange = Exchange::SecondReoffered { ours };
                }
                Ok(())
            }
            Exchange::SecondReoffered { .. } if leg == self.sides[1] => {
                acknowledge(out, leg, AckBody::Nothing);
                self.learn(leg, sdp);
                Ok(())
            }
            // No re-INVITE of ours is out on this leg: a 2xx is acknowledged all the same, and changes nothing.
            other => {
                let acked_later = matches!(other, Exchange::LateAnswer { offerer, .. } if offerer == leg);
                self.exchange = other;
                if !acked_later {
                    acknowledge(out, leg, AckBody::Nothing);
                }
                Ok(())
            }
        }
    }

    /// The first side is told of the second one, which has `offered` of it.
    fn tell_first(&mut self, offered: Bytes, out: &mut Vec<ConferenceOutput>) {
        if let Some(description) = self.known[1].clone() {
            let ours = Reoffer::send(self.sides[0], description, true, out);
            let offered = Some(offered);
            self.exchange = Exchange::FirstReoffered { offered, ours };
        }
    }

    /// Brings the answer to a passed re-INVITE back: `to` answered, `from` waits.
    fn pass_answer(&mut self, from: LegId, to: LegId, offer: Option<Bytes>, sdp: Option<Bytes>, out: &mut Vec<ConferenceOutput>) {
        if offer.is_some() || sdp.is_none() {
            acknowledge(out, to, AckBody::Nothing);
            self.learn(from, offer.filter(|_| sdp.is_some()));
        } else {
            // The offer goes on; the ACK of `from` brings the answer for the ACK that `to` waits for.
            self.exchange = Exchange::LateAnswer {
                offerer: to,
                answerer: from,
            };
        }
        self.learn(to, sdp.clone());
        if sdp.is_some() {
            tell(
                out,
                from,
                LegCommand::AcceptReinvite {
                    sdp: sdp.map(Description::Passed),
                },
            );
        } else {
            tell(out, from, LegCommand::RejectReinvite { status: ANSWER_MISSING });
        }
    }

    /// Our re-INVITE on `leg` was refused.
    pub fn reinvite_failed(&mut self, leg: LegId, status: u16, out: &mut Vec<ConferenceOutput>) -> Result<(), Broken> {
        let is_open = match &mut self.exchange {
            Exchange::Passed { from, to, .. } if *to == leg => {
                let status = refusal_to_pass(status);
                tell(out, *from, LegCommand::RejectReinvite { status });
                false
            }
            Exchange::FirstAwaited { offered } if leg == self.sides[0] => {
                let offered = offered.clone();
                self.tell_first(offered, out);
                true
            }
            Exchange::FirstReoffered { ours, .. } if leg == self.sides[0] => ours.refused(leg, status, out)?,
            Exchange::SecondReoffered { ours } if leg == self.sides[1] => ours.refused(leg, status, out)?,
            _ => return Ok(()),
        };
        if !is_open {
            self.exchange = Exchange::Quiet;
        }
        Ok(())
    }

    /// The ACK to our 200 on `leg` came.
    pub fn acked(&mut self, leg: LegId, sdp: Option<Bytes>, out: &mut Vec<ConferenceOutput>) -> Result<(), Broken> {
        match self.exchange {
            Exchange::LateAnswer { offerer, answerer } if answerer == leg => {
                // When broken, the exchange stays: the offerer's 200 is still to be acknowledged, see `close`.
                let answer = sdp.ok_or(Broken { status: ANSWER_MISSING })?;
                self.learn(leg, Some(answer.clone()));
                acknowledge(out, offerer, AckBody::Answer(answer.into()));
                self.exchange = Exchange::Quiet;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What `leg` still waits for from us before its BYE: every 200 gets its ACK, every re-INVITE its final response.
    pub fn close(&self, leg: LegId, out: &mut Vec<ConferenceOutput>) {
        match self.exchange {
            Exchange::LateAnswer { offerer, .. } if offerer == leg => acknowledge(out, leg, AckBody::Inactive),
            Exchange::Passed { from, .. } if from == leg => tell(out, leg, LegCommand::RejectReinvite { status: 487 }),
            _ => {}
        }
    }

    /// The end of the join; each side that is alive goes on alone. What it waits for is given to it in the plane's name, and what is
    /// still to come of it is left to its own [`LegMedia`].
    pub fn dissolve(self, is_alive: impl Fn(LegId) -> bool, out: &mut Vec<ConferenceOutput>) -> Vec<Freed> {
        let sides = self.sides.iter().zip(&self.known).filter(|(leg, _)| is_alive(**leg));
        sides
            .map(|(leg, shared)| Freed {
                leg: *leg,
                media: self.free(*leg, out),
                shared: shared.clone(),
            })
            .collect()
    }

    fn free(&self, leg: LegId, out: &mut Vec<ConferenceOutput>) -> LegMedia {
        match &self.exchange {
            Exchange::LateAnswer { offerer, .. } if *offerer == leg => {
                acknowledge(out, leg, AckBody::Answer(Description::Anchored));
                LegMedia::Anchored
            }
            Exchange::LateAnswer { .. } => LegMedia::AbandonedAnswer,
            Exchange::Passed { from, .. } if *from == leg => {
                tell(out, leg, LegCommand::RejectReinvite { status: 491 });
                LegMedia::Direct
            }
            Exchange::Passed { offer, .. } => LegMedia::Abandoned {
                with_offer: offer.is_some(),
                has_port: false,
            },
            Exchange::FirstAwaited { .. } | Exchange::FirstReoffered { .. } if self.sides[0] == leg => REOFFERED,
            Exchange::SecondReoffered { .. } if self.sides[1] == leg => REOFFERED,
            _ => LegMedia::Direct,
        }
    }
}

impl Reoffer {
    fn send(leg: LegId, offer: Bytes, is_needed: bool, out: &mut Vec<ConferenceOutput>) -> Self {
        let reinvite = LegCommand::Reinvite {
            offer: Some(offer.clone().into()),
        };
        tell(out, leg, reinvite);
        Self {
            offer,
            glares: 0,
            is_needed,
        }
    }

    /// Sends it again after glare, and says whether it did. Any other refusal is the end where it is needed.
    fn refused(&mut self, leg: LegId, status: u16, out: &mut Vec<ConferenceOutput>) -> Result<bool, Broken> {
        if status != 491 || self.glares == GLARES {
            return if self.is_needed { Err(Broken { status }) } else { Ok(false) };
        }
        self.glares += 1;
        let offer = Some(self.offer.clone().into());
        tell(out, leg, LegCommand::Reinvite { offer });
        Ok(true)
    }
}

/// The status for a device whose re-INVITE the other side refused. What concerns our dialog with the other side alone (a
/// challenge, a dialog that is gone) says nothing to it.
pub(super) fn refusal_to_pass(status: u16) -> u16 {
    match status {
        401 | 407 | 408 | 481 | 503 => 500,
        400..=699 => status,
        _ => 500,
    }
}

fn tell(out: &mut Vec<ConferenceOutput>, leg: LegId, command: LegCommand) {
    out.push(ConferenceOutput::Leg { leg, command });
}

fn acknowledge(out: &mut Vec<ConferenceOutput>, leg: LegId, answer: AckBody) {
    tell(out, leg, LegCommand::Ack { answer });
}

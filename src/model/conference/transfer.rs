//! Transfers that devices ask for. The T-Server side decides what becomes of them; here only the device is kept informed.
//!
//! Every REFER gets one final status: the T-Server side's, 487 where the party is let go of or the conference ends first, 503 where the
//! T-Server side says nothing at all in its time. A device that hangs up after its REFER, as many do, still hears how it ended (RFC 3515
//! s.2.4.4): nothing else is told to a leg that is over. Where that was the last one, the conference ends when its transfer has, if the
//! T-Server side has taken it up.

use std::time::{Duration, Instant};

use super::party::PartyPhase;
use super::{Conference, ConferenceOutput};
use crate::LegId;
use crate::leg::{LegCommand, ReferId};
use crate::link::{LinkNotification, TransferId, TransferTarget};

/// How many transfers of one device may be open.
const PER_LEG: usize = 4;

/// Call/Transaction Does Not Exist: the dialog that is to be replaced is not known here (RFC 3891 s.3).
const NO_SUCH_DIALOG: u16 = 481;
/// Request Pending: too many at once, or the call is not up yet.
const PENDING: u16 = 491;
/// Request Terminated: the party left.
const TERMINATED: u16 = 487;
/// Service Unavailable: the T-Server side is silent, or was interrupted.
pub(super) const UNAVAILABLE: u16 = 503;

#[derive(Clone, Debug)]
struct Transfer {
    id: TransferId,
    leg: LegId,
    refer: ReferId,
    /// The T-Server side has taken it up.
    accepted: bool,
    /// Until when the T-Server side has to say something.
    deadline: Option<Instant>,
}

/// The open transfers.
#[derive(Clone, Debug, Default)]
pub(super) struct Transfers {
    open: Vec<Transfer>,
    last: u32,
}

impl Transfers {
    /// None is open; the next one comes after this number.
    pub fn after(last: u32) -> Self {
        Self { open: Vec::new(), last }
    }

    /// The number of the last one.
    pub fn last(&self) -> u32 {
        self.last
    }

    /// The open ones, by the names that their legs have for them.
    pub fn open(&self) -> impl Iterator<Item = (LegId, ReferId)> {
        self.open.iter().map(|transfer| (transfer.leg, transfer.refer))
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.open.iter().filter_map(|transfer| transfer.deadline).min()
    }
}

impl Conference {
    /// A target that the shell could not look up.
    pub(super) fn refuse_transfer(&self, leg: LegId, refer: ReferId, out: &mut Vec<ConferenceOutput>) {
        if self.is_talking(leg) {
            let status = NO_SUCH_DIALOG;
            self.tell(leg, LegCommand::ReferProgress { refer, status }, out);
        }
    }

    pub(super) fn request_transfer(
        &mut self,
        leg: LegId,
        refer: ReferId,
        to: TransferTarget,
        now: Instant,
        out: &mut Vec<ConferenceOutput>,
    ) {
        let of_leg = self.transfers.open.iter().filter(|transfer| transfer.leg == leg);
        if !self.is_talking(leg) || of_leg.clone().any(|transfer| transfer.refer == refer) {
            return;
        }
        let party = self.leg(leg).and_then(|leg| self.party(leg.party));
        let Some(party) = party.filter(|party| party.phase == PartyPhase::Connected && of_leg.count() < PER_LEG) else {
            let status = PENDING;
            return self.tell(leg, LegCommand::ReferProgress { refer, status }, out);
        };
        let party = party.id;
        self.transfers.last = self.transfers.last.wrapping_add(1);
        let transfer = TransferId(self.transfers.last);
        self.transfers.open.push(Transfer {
            id: transfer,
            leg,
            refer,
            accepted: false,
            deadline: Some(now + Duration::from_millis(self.settings.server_timeout_ms)),
        });
        self.notify(
            LinkNotification::TransferRequested {
                conference: self.id,
                party,
                transfer,
                to,
            },
            out,
        );
    }

    /// The T-Server side tells how a transfer goes.
    pub(super) fn transfer_went_on(&mut self, id: TransferId, status: u16, out: &mut Vec<ConferenceOutput>) {
        let Some(index) = self.transfers.open.iter().position(|transfer| transfer.id == id) else {
            return;
        };
        if !(100..700).contains(&status) {
            return;
        }
        let transfer = &mut self.transfers.open[index];
        transfer.accepted = true;
        let (leg, refer) = (transfer.leg, transfer.refer);
        let lives = self.leg(leg).is_some();
        if status >= 200 {
            self.transfers.open.remove(index);
        } else if lives {
            self.transfers.open[index].deadline = None;
        }
        self.tell(leg, LegCommand::ReferProgress { refer, status }, out);
    }

    /// The party of a leg is let go of, or goes elsewhere; or the conference ends, and with it every transfer.
    pub(super) fn end_transfers(&mut self, of: Option<LegId>, out: &mut Vec<ConferenceOutput>) {
        let mut open = std::mem::take(&mut self.transfers.open);
        open.retain(|transfer| {
            let ends = of.is_none_or(|leg| transfer.leg == leg);
            if ends {
                let (refer, status) = (transfer.refer, TERMINATED);
                self.tell(transfer.leg, LegCommand::ReferProgress { refer, status }, out);
            }
            !ends
        });
        self.transfers.open = open;
    }

    /// The leg is over: what the T-Server side makes of its transfers, it says soon.
    pub(super) fn outlive_transfers(&mut self, leg: LegId, now: Instant) {
        let deadline = now + Duration::from_millis(self.settings.server_timeout_ms);
        for transfer in self.transfers.open.iter_mut().filter(|transfer| transfer.leg == leg) {
            transfer.deadline = Some(deadline);
        }
    }

    /// Whether a device that has hung up is yet to hear how a transfer ended that was accepted: one that takes its peer elsewhere leaves it
    /// alone here, and is not over when it leaves too.
    pub(super) fn awaits_transfer(&self) -> bool {
        self.transfers.open.iter().any(|transfer| transfer.accepted)
    }

    /// The T-Server side has said nothing of these.
    pub(super) fn time_out_transfers(&mut self, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let overdue = |transfer: &&Transfer| transfer.deadline.is_some_and(|deadline| deadline <= now);
        let silent: Vec<TransferId> = self
            .transfers
            .open
            .iter()
            .filter(overdue)
            .map(|transfer| transfer.id)
            .collect();
        for transfer in silent {
            self.transfer_went_on(transfer, UNAVAILABLE, out);
        }
    }
}

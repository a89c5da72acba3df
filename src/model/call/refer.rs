//! Transfers that a phone asks for (REFER): reported as the same requests would be, without ReferenceID, and answered to the phone by
//! how they go.

use std::time::Instant;

use super::conn::Stage;
use super::device::DeviceKey;
use super::make::called;
use super::offered::sip_status;
use super::operation::{Absorbing, Asker, Op, Step};
use super::{Call, CallOutput, Wanted};
use crate::link::{Headers, LinkRequest, TransferId, TransferTarget};
use crate::{ConferenceId, ConnId, PartyId, TError, TErrorCode};

/// The header that tells the target of a transfer who asked for it.
const REFERRED_BY: &str = "Referred-By";

/// An attended transfer whose second call is another group's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Referral {
    pub(super) from: (ConferenceId, PartyId),
    pub(super) transfer: TransferId,
    pub(super) to: (ConferenceId, PartyId),
}

impl Call {
    pub(super) fn transfer_requested(
        &mut self,
        from: (ConferenceId, PartyId),
        transfer: TransferId,
        to: TransferTarget,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) {
        let result = match to {
            TransferTarget::Address { to, referred_by } => {
                let headers = referred_by.map(|by| (REFERRED_BY.into(), by)).into_iter().collect();
                self.refer_to_address(from, transfer, &to, headers, now)
            }
            TransferTarget::Party { conference, party } => {
                let referral = Referral {
                    from,
                    transfer,
                    to: (conference, party),
                };
                self.refer_to_party(referral, now, out)
            }
        };
        if let Err(status) = result {
            out.push(CallOutput::Link(LinkRequest::TransferProgress {
                conference: from.0,
                transfer,
                status,
            }));
        }
    }

    /// The call that a device talks on; where it talks on none, the one it holds.
    fn call_of_device(&self, key: DeviceKey) -> Option<ConnId> {
        let calls = self.conns_of(key);
        let talks = |id: &ConnId| self.party(*id, key).is_some_and(super::party::Party::talks);
        let connected = |id: &ConnId| {
            self.party(*id, key)
                .is_some_and(|party| party.state == crate::PartyState::Connected)
        };
        calls
            .iter()
            .copied()
            .find(connected)
            .or_else(|| calls.iter().copied().find(talks))
    }

    /// The call that a device is to bring into another one: that which it talks on, or the one that it dialled, which rings.
    fn call_to_join(&self, key: DeviceKey) -> Option<ConnId> {
        let dials = |id: &ConnId| {
            let conn = self.conn(*id);
            conn.is_some_and(|conn| conn.stage == Stage::CallingDestination && conn.origin == key)
        };
        self.call_of_device(key)
            .or_else(|| self.conns_of(key).iter().copied().find(dials))
    }

    fn device_at(&self, (conference, party): (ConferenceId, PartyId)) -> Option<DeviceKey> {
        let mut devices = self.devices.iter().filter(|device| device.is_up());
        devices
            .find(|device| device.is_called(conference, party))
            .map(|device| device.key)
    }

    fn refer_to_address(
        &mut self,
        from: (ConferenceId, PartyId),
        transfer: TransferId,
        address: &str,
        headers: Headers,
        now: Instant,
    ) -> Result<(), u16> {
        let key = self.device_at(from).ok_or(481_u16)?;
        let id = self.call_of_device(key).ok_or(481_u16)?;
        self.check_idle().map_err(status_of)?;
        let device = self.device(key).ok_or(481_u16)?;
        called(&self.numbering, address, device.dials_as()).map_err(|error| sip_status(&error))?;
        let called = self.called_for(id, key, address).map_err(status_of)?;
        let asker = Asker::Phone(from.0, transfer);
        self.begin_single_step((id, key), called, true, asker, now)
            .map_err(status_of)?;
        if let Some(target) = self.pending.as_ref().and_then(|pending| pending.op.target()) {
            self.set_headers(target, headers);
        }
        Ok(())
    }

    pub(super) fn refer_to_party(&mut self, referral: Referral, now: Instant, out: &mut Vec<CallOutput>) -> Result<(), u16> {
        let key = self.device_at(referral.from).ok_or(481_u16)?;
        let id = self.call_of_device(key).ok_or(481_u16)?;
        self.check_idle().map_err(status_of)?;
        let asker = Asker::Phone(referral.from.0, referral.transfer);
        let Some(other_key) = self.device_at(referral.to) else {
            if self.rooms.iter().any(|room| room.id == referral.to.0) {
                return Err(481);
            }
            let op = Op::Absorb(Box::new(Absorbing::Referral(referral)));
            self.begin(op, (id, key), asker, Step::Absorb, now);
            self.absorbing = true;
            out.push(CallOutput::Absorb(Wanted::Conference(referral.to.0)));
            return Ok(());
        };
        // It replaces a dialog of its own: nobody else may give its calls away.
        if other_key == key || self.dn_of(other_key) != self.dn_of(key) {
            return Err(403);
        }
        let other = self.call_to_join(other_key).ok_or(481_u16)?;
        let (main, other) = self.main_and_other((id, key), (other, other_key));
        self.merge(main, other, true, asker, now, out).map_err(status_of)
    }
}

fn status_of(error: TError) -> u16 {
    super::cause::status_of_error(match error.code {
        TErrorCode::TooManyRequests => TErrorCode::DnBusy,
        code => code,
    })
}

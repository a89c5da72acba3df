//! What a phone does with each message that comes: the requests of the other side, and the answers to its own.

use std::sync::Arc;

use super::{AtTalk, Call, CallNumber, Shared, Stage, key};
use crate::rig::sip::{Message, tag_of, unique};
use crate::rig::voice::{Voice, tone_of};

pub async fn listen(phone: Arc<Shared>) {
    while let Some(message) = phone.wire.receive().await {
        if message.status().is_some() {
            on_response(&phone, &message).await;
        } else {
            on_request(&phone, &message).await;
        }
    }
}

async fn on_request(phone: &Arc<Shared>, request: &Message) {
    let (known, repeated) = {
        let state = phone.state();
        (state.call_of(request), state.answered.get(&key(request)).cloned())
    };
    if let Some(text) = repeated.filter(|_| request.method() != Some("ACK")) {
        return phone.send(&text).await;
    }
    match (request.method().unwrap_or_default(), known) {
        ("INVITE", None) => on_call(phone, request).await,
        ("INVITE", Some(call)) => on_reinvite(phone, request, call).await,
        ("UPDATE", Some(call)) => {
            let body = if request.body.is_empty() {
                String::new()
            } else {
                phone.state().calls[call].description(Some(&request.body))
            };
            phone.reply(request, "200 OK", &phone.contact(), &body).await;
        }
        ("ACK", Some(call)) => {
            let mut state = phone.state();
            let call = &mut state.calls[call];
            call.answer_due = false;
            call.described(&request.body);
            call.tune();
        }
        ("BYE", Some(call)) => {
            {
                let mut state = phone.state();
                let call = &mut state.calls[call];
                call.stage = Stage::Over(None);
                call.quiet();
            }
            phone.reply(request, "200 OK", "", "").await;
        }
        ("CANCEL", Some(call)) => on_cancel(phone, request, call).await,
        ("NOTIFY", Some(call)) => on_notify(phone, request, call).await,
        ("NOTIFY", None) if request.header("Event").starts_with("conference") => {
            phone.state().notified.push(request.body.clone());
            phone.reply(request, "200 OK", "", "").await;
        }
        ("OPTIONS" | "INFO", _) => phone.reply(request, "200 OK", "", "").await,
        ("ACK", _) => {}
        (method, known) => {
            phone
                .state()
                .complaints
                .push(format!("{method} in {known:?}: {}", request.start));
            let status = if method == "REFER" {
                "405 Method Not Allowed"
            } else {
                "481 No Such Call"
            };
            phone.reply(request, status, "", "").await;
        }
    }
}

async fn on_call(phone: &Arc<Shared>, invite: &Message) {
    let inside = |header: &str| {
        let address = header.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        address.map_or(header, |(uri, _)| uri).to_owned()
    };
    let voice = Arc::new(Voice::open(tone_of(&phone.name)).await);
    {
        let mut state = phone.state();
        let (local, remote) = (inside(invite.header("To")), inside(invite.header("From")));
        let mut call = Call::new(invite.header("Call-ID"), &local, &remote, invite.contact(), voice);
        call.incoming = true;
        call.has_rung = phone.abilities.rings_at_once;
        call.stage = Stage::Ringing;
        call.remote_tag = tag_of(invite.header("From")).to_owned();
        call.routes = invite.all("Record-Route").map(str::to_owned).collect();
        call.invite = Some(invite.clone());
        state.calls.push(call);
    }
    let status = if phone.abilities.rings_at_once {
        "180 Ringing"
    } else {
        "100 Trying"
    };
    phone.reply(invite, status, &phone.contact(), "").await;
}

async fn on_reinvite(phone: &Arc<Shared>, request: &Message, call: CallNumber) {
    let (ringing, busy) = {
        let state = phone.state();
        if state.stalled {
            // It comes again.
            return;
        }
        let call = &state.calls[call];
        let ringing = (call.stage == Stage::Ringing).then_some(call.has_rung);
        (ringing, call.reinvite.is_some() || call.answer_due)
    };
    if let Some(has_rung) = ringing {
        // The INVITE came again before its answer.
        if !has_rung {
            return phone.reply(request, "100 Trying", "", "").await;
        }
        return phone.reply(request, "180 Ringing", &phone.contact(), "").await;
    }
    if busy {
        return phone.reply(request, "491 Request Pending", "", "").await;
    }
    let body = {
        let mut state = phone.state();
        let call = &mut state.calls[call];
        call.answer_due = true;
        call.target = request.contact().to_owned();
        let offer = (!request.body.is_empty()).then_some(request.body.as_str());
        call.description(offer)
    };
    phone.reply(request, "200 OK", &phone.contact(), &body).await;
}

async fn on_cancel(phone: &Arc<Shared>, request: &Message, call: CallNumber) {
    phone.reply(request, "200 OK", "", "").await;
    let text = {
        let mut state = phone.state();
        let call = &mut state.calls[call];
        if call.stage != Stage::Ringing {
            return;
        }
        call.stage = Stage::Over(Some(487));
        let invite = call.invite.clone().expect("a call that rings");
        let text = invite.response("487 Request Terminated", &call.local_tag, "", "");
        state.answered.insert(key(&invite), text.clone());
        text
    };
    phone.send(&text).await;
}

async fn on_notify(phone: &Arc<Shared>, request: &Message, call: CallNumber) {
    let event = request.header("Event").split(';').next().unwrap_or_default().trim();
    match event {
        "talk" if phone.abilities.talk != AtTalk::Refuses => {
            phone.reply(request, "200 OK", "", "").await;
            if phone.abilities.talk == AtTalk::Answers {
                phone.answer(call).await;
            }
        }
        "refer" => {
            let status: Option<u16> = request
                .body
                .strip_prefix("SIP/2.0 ")
                .and_then(|rest| rest.get(..3)?.parse().ok());
            phone.state().calls[call].transfer.extend(status);
            phone.reply(request, "200 OK", "", "").await;
        }
        _ => phone.reply(request, "489 Bad Event", "", "").await,
    }
}

async fn on_response(phone: &Arc<Shared>, response: &Message) {
    let status = response.status().unwrap_or_default();
    let (seq, method) = response.header("CSeq").split_once(' ').unwrap_or_default();
    let seq: u32 = seq.parse().unwrap_or_default();
    let Some(number) = phone.state().call_of(response) else {
        if status >= 200 {
            phone
                .state()
                .finals
                .insert(response.header("CSeq").to_owned(), response.clone());
        }
        return;
    };
    let text = match method {
        "INVITE" if status < 200 => provisional(phone, response, number),
        "INVITE" => invite_answered(phone, response, number, seq, status),
        "REFER" if status >= 200 => {
            phone.state().calls[number].referred(seq, status);
            if status == 202 {
                leaves(phone).await;
            }
            None
        }
        _ => None,
    };
    if let Some(text) = text {
        phone.send(&text).await;
    }
}

/// Its transfer is accepted: it has done its part.
async fn leaves(phone: &Shared) {
    let texts: Vec<String> = {
        let mut state = phone.state();
        let calls = std::mem::take(&mut state.leaves);
        calls
            .into_iter()
            .filter_map(|call| state.calls[call].hang_up(phone))
            .collect()
    };
    for text in texts {
        phone.send(&text).await;
    }
}

/// Early media is heard; what is sent reliably is acknowledged (RFC 3262 s.4).
fn provisional(phone: &Shared, response: &Message, number: CallNumber) -> Option<String> {
    let mut state = phone.state();
    let call = &mut state.calls[number];
    if call.stage == Stage::Calling {
        call.alerting |= response.status() == Some(180);
        call.early_tag = tag_of(response.header("To")).to_owned();
        call.described(&response.body);
    }
    if !response.header("Require").contains("100rel") {
        return None;
    }
    call.cseq += 1;
    let tag = std::mem::replace(&mut call.remote_tag, tag_of(response.header("To")).to_owned());
    let more = format!("RAck: {} {}\r\n", response.header("RSeq"), response.header("CSeq"));
    let text = call.request(phone, "PRACK", &more, "");
    call.remote_tag = tag;
    Some(text)
}

/// The final answer to an INVITE of ours: what has to be sent for it.
fn invite_answered(phone: &Shared, response: &Message, number: CallNumber, seq: u32, status: u16) -> Option<String> {
    let mut state = phone.state();
    let call = &mut state.calls[number];
    let first = seq == 1 && !call.incoming;
    let branch = match &call.reinvite {
        Some((cseq, branch)) if *cseq == seq => branch.clone(),
        _ => call.branch.clone(),
    };
    if status >= 300 {
        if first && call.stage == Stage::Calling {
            call.stage = Stage::Over(Some(status));
            call.quiet();
        }
        if call.reinvite.as_ref().is_some_and(|(cseq, _)| *cseq == seq) {
            call.reinvite = None;
            call.reinvited.push(status);
        }
        let tag = std::mem::replace(&mut call.remote_tag, tag_of(response.header("To")).to_owned());
        let text = call.request_with(phone, "ACK", seq, &branch, "", "");
        call.remote_tag = tag;
        return Some(text);
    }
    call.remote_tag = tag_of(response.header("To")).to_owned();
    call.target = response.contact().to_owned();
    if first {
        call.routes = response.all("Record-Route").map(str::to_owned).collect();
        call.routes.reverse();
    }
    let fresh = (first && call.stage == Stage::Calling) || call.reinvite.as_ref().is_some_and(|(cseq, _)| *cseq == seq);
    let mut answer = String::new();
    if fresh {
        if first {
            call.stage = Stage::Talking;
        } else {
            call.reinvite = None;
            call.reinvited.push(status);
        }
        if first && !phone.abilities.offers {
            answer = call.description(Some(&response.body));
        } else {
            call.described(&response.body);
        }
    }
    Some(call.request_with(phone, "ACK", seq, &unique().to_string(), "", &answer))
}

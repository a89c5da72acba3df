//! SIPp on both sides: what SIP has beyond the plain call. PRACK, UPDATE, session timers, glare, late offers, forking; transfers asked
//! for by REFER, with far ends that know it and far ends that do not; pickup and redirection. After each the server lives and
//! nothing is left of the call.

use crate::rig::ports::free_port;
use crate::rig::server::{Server, Setup};
use crate::rig::sipp::Sipp;

/// The methods of a far end without REFER, and of one with it.
pub const WITHOUT_REFER: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS";
const WITH_REFER: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY";

/// A server whose numbers 2001 and 2002 lead to the returned ports. Calls between two trunks may be transferred.
pub async fn scene(setup: Setup) -> (Server, u16, u16) {
    let (first, second) = (free_port(), free_port());
    let target = format!(
        "[[trunk]]\ndn = \"sip:target@tandem.local\"\naddress = \"sip:127.0.0.1:{second};transport=udp\"\n\
         trusted_sources = [\"127.0.0.7/32\"]\n\
         [[dial_rule]]\npattern = \"2002\"\ntrunk = \"sip:target@tandem.local\"\nfrom_trunk = true"
    );
    let setup = setup.peer("2001", first, "udp").tables(&target);
    (setup.start().await, first, second)
}

pub fn caller(scenario: &str, server: &Server) -> Sipp {
    Sipp::caller(scenario, server.sip).value("talk_ms", "100")
}

/// One call between these two scenarios.
async fn call(caller_scenario: &str, callee_scenario: &str) {
    let (mut server, port, _) = scene(Setup::new()).await;
    let callee = Sipp::callee(callee_scenario, port)
        .value("allow", WITHOUT_REFER)
        .start()
        .await;
    caller(caller_scenario, &server).run().await;
    callee.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_caller_holds_and_the_far_end_hears_music() {
    call("caller_holds", "callee_is_transferred").await;
}

#[tokio::test]
async fn a_caller_holds_and_resumes_with_update() {
    call("caller_updates", "callee_is_transferred").await;
}

#[tokio::test]
async fn early_media_comes_reliably() {
    call("caller_prack", "callee_prack").await;
}

#[tokio::test]
async fn a_reliable_response_comes_again_until_its_prack() {
    call("caller_prack_late", "callee_prack").await;
}

#[tokio::test]
async fn a_caller_without_prack_reaches_a_callee_that_wants_it() {
    call("caller_early_media", "callee_prack").await;
}

/// A call where one side makes an offer before the answer; what its answer has to say, and with which status it comes.
async fn changes_early(mode: &str, caller_scenario: &str, callee_scenario: &str, status: &str, heard: &str) {
    let media = format!("[media]\nmode = \"{mode}\"");
    let (mut server, port, _) = scene(Setup::new().tables(&media)).await;
    let told = |sipp: Sipp| sipp.value("status", status).value("heard", heard);
    let callee = told(Sipp::callee(callee_scenario, port)).start().await;
    told(caller(caller_scenario, &server)).run().await;
    callee.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_caller_offers_something_else_before_the_answer() {
    changes_early(
        "direct",
        "caller_updates_early",
        "callee_is_updated_early",
        "200",
        "IP4 127.0.0.11",
    )
    .await;
    changes_early("anchored", "caller_updates_early", "callee_rings_on", "200", "m=audio").await;
}

#[tokio::test]
async fn a_callee_offers_something_else_before_its_answer() {
    changes_early(
        "direct",
        "caller_is_updated_early",
        "callee_updates_early",
        "200",
        "IP4 127.0.0.9",
    )
    .await;
    changes_early("anchored", "caller_prack", "callee_updates_early", "200", "m=audio").await;
    // A caller that hears it already and cannot be told.
    changes_early("direct", "caller_early_media", "callee_updates_early", "504", "504").await;
}

#[tokio::test]
async fn a_session_is_refreshed() {
    call("caller_refreshes", "callee_basic").await;
}

#[tokio::test]
async fn a_session_interval_that_is_too_brief_is_refused() {
    call("caller_too_brief", "callee_basic").await;
}

#[tokio::test]
async fn a_callee_wants_a_longer_session_interval() {
    call("caller_basic", "callee_wants_longer").await;
}

#[tokio::test]
async fn a_caller_without_an_offer() {
    call("caller_late_offer", "callee_late_offer").await;
}

#[tokio::test]
async fn a_call_forks_behind_a_proxy() {
    call("caller_early_media_is_hung_up_on", "callee_forks").await;
}

/// A transfer by this scenario of a far end that allows these methods, to a target that plays this scenario.
async fn transfer(scenario: &str, allow: &str, target_scenario: &str, outcome: &str) {
    // Where the audio goes through the server from the start, nobody has to be told of a third party.
    let anchored = Setup::new().tables("[media]\nmode = \"anchored\"");
    let (mut server, port, target_port) = scene(anchored).await;
    let callee = Sipp::callee("callee_is_transferred", port)
        .value("allow", allow)
        .start()
        .await;
    let target = Sipp::callee(target_scenario, target_port)
        .value("status", outcome)
        .start()
        .await;
    let more = if scenario == "caller_transfers_quietly" {
        "Refer-Sub: false"
    } else {
        "X-None: 1"
    };
    caller(scenario, &server)
        .value("target", "2002")
        .value("outcome", outcome)
        .value("more", more)
        .value("replaces", "")
        .run()
        .await;
    target.succeeds().await;
    callee.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_far_end_without_refer_is_transferred() {
    transfer("caller_transfers", WITHOUT_REFER, "callee_hangs_up", "200").await;
}

#[tokio::test]
async fn a_far_end_with_refer_is_transferred_in_the_same_way() {
    transfer("caller_transfers", WITH_REFER, "callee_hangs_up", "200").await;
}

#[tokio::test]
async fn a_transfer_of_which_nobody_wants_to_hear() {
    transfer("caller_transfers_quietly", WITHOUT_REFER, "callee_hangs_up", "200").await;
}

#[tokio::test]
async fn a_transfer_to_a_busy_target_fails_and_the_call_goes_on() {
    transfer("caller_transfers_in_vain", WITHOUT_REFER, "callee_refuses", "486").await;
}

#[tokio::test]
async fn a_transfer_to_a_target_that_declines_fails_and_the_call_goes_on() {
    transfer("caller_transfers_in_vain", WITHOUT_REFER, "callee_refuses", "603").await;
}

#[tokio::test]
async fn a_callee_sends_its_caller_elsewhere() {
    let (mut server, port, target_port) = scene(Setup::new()).await;
    let callee = Sipp::callee("callee_redirects", port)
        .value("target", "2002")
        .value("domain", "127.0.0.1")
        .start()
        .await;
    let target = Sipp::callee("callee_basic", target_port).start().await;
    caller("caller_basic", &server).run().await;
    callee.succeeds().await;
    target.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_call_that_rings_is_picked_up() {
    let (mut server, port, _) = scene(Setup::new()).await;
    let callee = Sipp::callee("callee_is_picked_up", port)
        .value("pickup", "2001")
        .start()
        .await;
    caller("caller_basic", &server).run().await;
    callee.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_callee_holds() {
    call("caller_is_reinvited", "callee_holds").await;
}

#[tokio::test]
async fn a_re_invite_of_a_caller_meets_one_that_is_open() {
    call("caller_glare", "callee_holds").await;
}

#[tokio::test]
async fn re_invites_of_a_caller_and_of_the_server_cross() {
    call("caller_glare_both", "callee_holds").await;
}

#[tokio::test]
async fn re_invites_of_a_callee_and_of_the_server_cross() {
    call("caller_holds_on", "callee_glare").await;
}

/// A caller holds its far end, which allows these methods, calls a target and joins the two.
async fn attended_transfer(setup: Setup, allow: &str) {
    let (mut server, port, target_port) = scene(setup).await;
    let callee = Sipp::callee("callee_is_transferred", port)
        .value("allow", allow)
        .start()
        .await;
    let target = Sipp::callee("callee_is_joined", target_port)
        .value("quiet_ms", "2000")
        .start()
        .await;
    caller("caller_transfers_attended", &server)
        .value("target", "2002")
        .value("outcome", "200")
        .run()
        .await;
    target.succeeds().await;
    callee.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_far_end_without_refer_is_joined_to_another_one() {
    attended_transfer(Setup::new(), WITHOUT_REFER).await;
}

#[tokio::test]
async fn a_far_end_with_refer_is_joined_to_another_one_in_the_same_way() {
    attended_transfer(Setup::new(), WITH_REFER).await;
}

#[tokio::test]
async fn far_ends_are_joined_whose_audio_was_anchored_from_the_start() {
    attended_transfer(Setup::new().tables("[media]\nmode = \"anchored\""), WITHOUT_REFER).await;
}

#[tokio::test]
async fn a_conference_is_watched_by_subscription() {
    let setup = Setup::new().trusted_phone("1001");
    let setup = setup.tables("[[conference_dn]]\ndn = \"sip:5000@tandem.local\"");
    let (mut server, _, _) = scene(setup).await;
    caller("caller_subscribes", &server)
        .dials("5000")
        .value("watcher", "1001")
        .value("package", "conference")
        .value("accept", "application/conference-info+xml")
        .run()
        .await;
    server.alive_and_idle().await;
}

//! One of two homes is struck: its calls are tried when it is back, those of the other one go on, and new ones are excused.

use super::*;

/// Two phones at home 0, whose call is up.
fn call_at_home() -> (Bench, [Head; 2]) {
    let mut bench = Bench::new(0.0);
    bench.world.settings.homes.push("127.0.0.1:5070".parse().unwrap());
    let legs = dialled_to_hold(&mut bench, None);
    (bench, legs)
}

fn strike(bench: &mut Bench, home: usize) {
    bench.world.strike(home, bench.now);
    bench.world.look_back(bench.now);
}

/// HoldCall and RetrieveCall are asked for and answered.
fn proof(bench: &mut Bench) {
    let callee = 3 - caller_of(bench);
    for (request, event) in [("HoldCall", "EventHeld"), ("RetrieveCall", "EventRetrieved")] {
        let asked = bench.request();
        assert_eq!(asked["request"], request);
        bench.call_event(event, callee, &asked["referenceId"]);
    }
}

#[test]
fn a_call_of_a_struck_home_is_tried_when_it_is_back() {
    let (mut bench, legs) = call_at_home();
    strike(&mut bench, 0);
    bench.later(Duration::from_secs(10));
    bench.quiet();
    assert_eq!(bench.world.calls_open(), 1, "nobody gives it up meanwhile");
    bench.world.restarted(bench.now);
    bench.world.prove_ready(10, bench.now);
    proof(&mut bench);
    assert!(!bench.world.is_part_recovered());
    released(&mut bench, legs);
    assert!(bench.world.is_part_recovered());
    bench.world.part_is_back();
    bench.world.prove_rest();
    assert!(bench.world.is_recovered());
    let recovery = bench.world.end_recovery(bench.now);
    assert_eq!(
        (recovery.established(), recovery.controllable(), recovery.rest.len()),
        (1, 1, 0)
    );
    assert_eq!(recovery.lost.count, 0);
}

#[test]
fn a_call_of_another_home_goes_on_and_is_tried_at_last() {
    let (mut bench, legs) = call_at_home();
    strike(&mut bench, 1);
    assert_eq!((bench.world.calls_up().len(), bench.world.is_part_recovered()), (1, true));
    bench.world.restarted(bench.now);
    bench.world.part_is_back();
    bench.world.prove_ready(10, bench.now);
    bench.quiet();
    bench.world.prove_rest();
    bench.world.prove_ready(10, bench.now);
    proof(&mut bench);
    released(&mut bench, legs);
    let recovery = bench.world.end_recovery(bench.now);
    assert_eq!((recovery.established(), recovery.rest.len(), recovery.lost.count), (0, 1, 0));
    assert_eq!(bench.world.stats.failures(), 0);
}

#[test]
fn a_call_of_another_home_that_ends_meanwhile_is_a_failure() {
    let (mut bench, [_, callee]) = call_at_home();
    strike(&mut bench, 1);
    bench.in_dialog("BYE", 10, &(String::new(), callee), "");
    bench.world.give_up(bench.now);
    bench.world.end_recovery(bench.now);
    assert_eq!((bench.world.stats.failures(), bench.world.stats.failures_in_fault()), (1, 0));
}

#[test]
fn a_call_that_needs_the_struck_home_may_fail_until_it_is_back() {
    for (struck, in_fault, failed) in [(true, 1, 0), (false, 0, 1)] {
        let mut bench = Bench::new(0.0);
        strike(&mut bench, 0);
        if !struck {
            bench.world.part_is_back();
        }
        bench.start();
        let invite = bench.sent_is("INVITE");
        bench.answer(&invite, 503, None);
        let stats = &bench.world.stats;
        assert_eq!(
            (stats.failures_in_fault(), stats.failures(), stats.open()),
            (in_fault, failed, 0)
        );
    }
}

#[test]
fn a_call_that_is_not_up_at_the_fault_is_let_go_and_its_requests_are_answered() {
    let mut bench = Bench::new(1.0);
    bench.start();
    let asked = bench.request();
    strike(&mut bench, 0);
    assert_eq!((bench.world.calls_open(), bench.world.stats.interrupted), (0, 1));
    assert!(
        !bench.world.is_part_recovered(),
        "MakeCall has no answer, however short ago it was asked"
    );
    bench.event(json!({"event": "EventError", "referenceId": asked["referenceId"], "errorCode": 231}));
    assert!(bench.world.is_part_recovered());
}

#[test]
fn the_connector_is_not_back_before_its_dns_are() {
    let mut bench = Bench::new(0.0);
    strike(&mut bench, 0);
    bench.event(json!({"event": "EventDNOutOfService", "thisDn": "sip:1@tandem.local"}));
    bench.later(Duration::from_secs(2));
    assert!(!bench.world.is_part_recovered());
    bench.event(json!({"event": "EventDNBackInService", "thisDn": "sip:1@tandem.local"}));
    assert!(bench.world.is_part_recovered());
    let recovery = bench.world.end_recovery(bench.now);
    let at = |secs| Some(Duration::from_secs(secs));
    assert_eq!(recovery.services, [at(0), at(0), at(2)]);
}

#[test]
fn phones_call_at_their_home_or_across_as_the_share_says() {
    for (across, differ) in [(0.0, false), (1.0, true)] {
        let mut bench = Bench::new(0.0);
        bench.world.settings.homes.push("127.0.0.1:5070".parse().unwrap());
        bench.world.settings.across = across;
        for number in [3, 4] {
            bench.world.phones.push(Phone::new(Rc::new(line(number)), 0).at_home(1));
        }
        bench.world.open_lines(4, 1);
        bench.world.schedule = Some(Schedule::new(2, 1e6, 2, None, bench.now));
        bench.later(Duration::from_secs(1));
        let home = |phone: usize| bench.world.phones[phone].home;
        let pairs: Vec<_> = bench
            .world
            .calls
            .values()
            .map(|call| (call.sides[0].phone, call.sides[1].phone))
            .collect();
        assert_eq!(pairs.len(), 2);
        assert!(
            pairs.iter().all(|(one, other)| (home(*one) != home(*other)) == differ),
            "{pairs:?}"
        );
    }
}

#[test]
fn the_first_calls_stand_and_the_others_end() {
    let mut bench = Bench::new(0.0);
    let hold = Some(HOLD);
    let schedule = Schedule::new(2, 1e6, 2, hold, bench.now).with_standing(1);
    bench.world.open_lines(2, 2);
    bench.world.schedule = Some(schedule);
    bench.later(Duration::from_millis(1));
    let mut holds: Vec<_> = bench.world.calls.iter().map(|(id, call)| (*id, call.hold)).collect();
    holds.sort_unstable();
    assert_eq!(holds, [(1, None), (2, hold)]);
}

#[test]
fn a_request_of_the_fault_that_is_never_answered_is_told() {
    let mut bench = Bench::new(1.0);
    strike(&mut bench, 0);
    bench.start();
    bench.request();
    bench.later(Duration::from_secs(20));
    assert_eq!(bench.world.stats.failures_in_fault(), 1);
    assert!(bench.world.is_part_recovered());
    let unanswered = bench.world.end_recovery(bench.now).unanswered();
    assert!(
        unanswered.len() == 1 && unanswered[0].contains("MakeCall(1) (4), 0 ms after"),
        "{unanswered:?}"
    );
}

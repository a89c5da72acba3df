//! The mixer against an exact sum.

use proptest::prelude::*;

use super::*;

fn everybody(parties: usize) -> Vec<Row> {
    (0..parties)
        .map(|listener| Row {
            hears: (0..parties).filter(|source| *source != listener).collect(),
            class: 0,
        })
        .collect()
}

/// What each listener hears in a round in which these sources are fed with a constant.
fn round(mixer: &mut Mixer, fed: &[(usize, i16)], listeners: usize) -> Vec<i16> {
    mixer.begin();
    for (source, level) in fed {
        mixer.feed(*source, &[*level; 160]);
    }
    mixer.group();
    let mut heard = vec![i16::MIN; listeners];
    for group in mixer.groups() {
        let mut frame = Vec::new();
        mixer.render(group, &mut frame);
        assert_eq!(frame.len(), 160);
        assert!(frame.iter().all(|sample| *sample == frame[0]));
        for listener in mixer.listeners(group) {
            assert_eq!(heard[*listener], i16::MIN, "in one group only");
            heard[*listener] = frame[0];
        }
    }
    heard
}

#[test]
fn everybody_hears_everybody_else() {
    let mut mixer = Mixer::new(Rate::Narrow);
    mixer.arrange(3, &everybody(3));
    assert_eq!(round(&mut mixer, &[(0, 1), (1, 10), (2, 100)], 3), [110, 101, 11]);
    assert_eq!(round(&mut mixer, &[(1, 10)], 3), [10, 0, 10]);
    assert_eq!(round(&mut mixer, &[], 3), [0, 0, 0]);
}

#[test]
fn a_whisper_is_heard_by_the_one_it_is_for() {
    // The customer 0, the agent 1, and the supervisor 2, who hears both and is heard by the agent.
    let mut mixer = Mixer::new(Rate::Narrow);
    let rows = [vec![1], vec![0, 2], vec![0, 1]].map(|hears| Row { hears, class: 0 });
    mixer.arrange(3, &rows);
    assert_eq!(round(&mut mixer, &[(0, 1), (1, 10), (2, 100)], 3), [10, 101, 11]);
}

#[test]
fn silent_listeners_share_one_group() {
    let mut mixer = Mixer::new(Rate::Narrow);
    mixer.arrange(100, &everybody(100));
    let heard = round(&mut mixer, &[(3, 5), (70, 7)], 100);
    assert!((heard[3], heard[70], heard[0], heard[99]) == (7, 5, 12, 12));
    assert_eq!(mixer.groups().len(), 3);
    let shared = mixer.groups().iter().find(|group| group.sources == 2).unwrap();
    assert_eq!(mixer.listeners(shared).len(), 98);
    let alone = mixer.groups().iter().find(|group| mixer.listeners(group) == [3]).unwrap();
    assert_eq!((alone.sources, alone.only), (1, Some(70)));
}

#[test]
fn classes_are_not_mixed_up() {
    let mut mixer = Mixer::new(Rate::Narrow);
    let rows = [0, 1, 0].map(|class| Row { hears: vec![0], class });
    mixer.arrange(1, &rows);
    assert_eq!(round(&mut mixer, &[(0, 9)], 3), [9, 9, 9]);
    assert_eq!(mixer.groups().iter().map(|group| group.class).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_matrix_that_changes_starts_afresh() {
    let mut mixer = Mixer::new(Rate::Narrow);
    mixer.arrange(3, &everybody(3));
    round(&mut mixer, &[(0, 1), (1, 10), (2, 100)], 3);
    mixer.arrange(1, &[Row::default()]);
    assert_eq!(round(&mut mixer, &[(0, 1), (2, 100)], 1), [0]);
    mixer.arrange(0, &[]);
    assert!(round(&mut mixer, &[(0, 1)], 0).is_empty() && mixer.groups().is_empty());
}

#[test]
fn what_nobody_should_feed_is_left_out() {
    let mut mixer = Mixer::new(Rate::Wide);
    let row = Row {
        hears: vec![0, 9, 64],
        class: 0,
    };
    mixer.arrange(2, &[row]);
    mixer.feed(7, &[1; 320]);
    mixer.feed(usize::MAX, &[1; 320]);
    mixer.feed(0, &[5; 4]);
    mixer.feed(0, &[5; 999]);
    mixer.group();
    let mut out = Vec::new();
    mixer.render(&mixer.groups()[0], &mut out);
    assert_eq!((out.len(), out[3], out[4]), (320, 5, 0));
    mixer.begin();
    let stale = Group {
        class: 0,
        sources: 1,
        only: Some(99),
        members: 5..9,
    };
    mixer.render(&stale, &mut out);
}

#[test]
fn the_limiter_keeps_order_and_scale() {
    let mut last = i16::MIN;
    for sum in (-400_000..400_000).step_by(97) {
        let limited = limit(sum);
        assert!(limited >= last && limited > i16::MIN);
        assert!(sum.abs() > KNEE || i32::from(limited) == sum);
        last = limited;
    }
    assert!(limit(i32::from(i16::MAX) * 100) > 32_000);
}

proptest! {
    #[test]
    fn every_listener_hears_the_exact_sum_of_its_row(
        sources in 1_usize..130,
        rows in proptest::collection::vec((proptest::collection::vec(0_usize..140, 0..140), 0_u32..2), 0..12),
        fed in proptest::collection::btree_map(0_usize..130, -180_i16..180, 0..130),
    ) {
        let rows: Vec<Row> = rows.into_iter().map(|(hears, class)| Row { hears, class }).collect();
        let mut mixer = Mixer::new(Rate::Narrow);
        mixer.arrange(sources, &rows);
        let fed: Vec<(usize, i16)> = fed.into_iter().collect();
        let heard = round(&mut mixer, &fed, rows.len());
        for (row, heard) in rows.iter().zip(heard) {
            let sum: i32 = fed
                .iter()
                .filter(|(source, _)| *source < sources && row.hears.contains(source))
                .map(|(_, level)| i32::from(*level))
                .sum();
            prop_assert_eq!(i32::from(heard), sum);
        }
    }
}

//! Which messages are lost, held up or doubled: a table of rules, and the dice.
//!
//! Pure: it knows no message and no clock. Invariant: a rule ends by itself, after its time or after so many messages, and there are never
//! more than [`MOST_RULES`].

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The most rules at a time.
pub const MOST_RULES: usize = 16;
/// The longest time that a rule is in force.
pub const LONGEST: Duration = Duration::from_secs(600);
/// The longest time that one message is held up.
pub const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// What kind of message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// Between devices and connectors.
    Sip,
    /// Between the T-Server and a connector of another process.
    Link,
}

/// Which way, as seen from this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// It arrives.
    In,
    /// It is sent.
    Out,
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It is lost.
    Drop,
    /// It comes later.
    Delay(Duration),
    /// It comes twice.
    Duplicate,
}

/// Which messages.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Chance {
    /// Each with this probability.
    Probability(f64),
    /// So many, from now on.
    Next(u64),
}

/// One rule.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rule {
    /// What kind of message.
    pub medium: Medium,
    /// Which way; `None`: both.
    pub direction: Option<Direction>,
    /// Of which connector; `None`: of each one.
    pub connector: Option<u16>,
    /// What becomes of it.
    pub effect: Effect,
    /// Which messages.
    pub chance: Chance,
    /// How long it is in force.
    pub lasts: Duration,
    /// What its dice begin with.
    pub seed: u64,
}

/// Why a rule is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// There are [`MOST_RULES`].
    #[error("there are {MOST_RULES} rules already; end them first")]
    TooMany,
    /// It would last longer than [`LONGEST`], or not at all.
    #[error("a rule lasts from 1 ms to {} s", LONGEST.as_secs())]
    Lasts,
    /// It would hold messages up longer than [`LONGEST_DELAY`].
    #[error("a message is held up for {} s at most", LONGEST_DELAY.as_secs())]
    Delay,
    /// A probability is more than 0 and at most 1; so many messages are at least one.
    #[error("a probability is above 0 and at most 1, a count at least 1")]
    Chance,
}

/// A rule that is in force.
#[derive(Clone, Debug)]
pub struct Active {
    /// What it is.
    pub rule: Rule,
    /// Until when.
    pub until: Instant,
    /// How many messages it has met.
    pub met: u64,
    dice: StdRng,
}

/// What becomes of one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// How many of it there are: 0 where it is lost.
    pub copies: usize,
    /// How much later it comes.
    pub delay: Duration,
}

impl Verdict {
    /// Nothing becomes of it.
    pub const UNTOUCHED: Self = Self {
        copies: 1,
        delay: Duration::ZERO,
    };
}

/// The rules that are in force.
#[derive(Default, Debug)]
pub struct Rules(Vec<Active>);

impl Rules {
    /// One more rule.
    pub fn add(&mut self, rule: Rule, now: Instant) -> Result<(), Refused> {
        self.expire(now);
        if self.0.len() >= MOST_RULES {
            return Err(Refused::TooMany);
        }
        if rule.lasts.is_zero() || rule.lasts > LONGEST {
            return Err(Refused::Lasts);
        }
        if matches!(rule.effect, Effect::Delay(delay) if delay.is_zero() || delay > LONGEST_DELAY) {
            return Err(Refused::Delay);
        }
        let is_chance = match rule.chance {
            Chance::Probability(probability) => probability > 0.0 && probability <= 1.0,
            Chance::Next(count) => count > 0,
        };
        if !is_chance {
            return Err(Refused::Chance);
        }
        self.0.push(Active {
            rule,
            until: now + rule.lasts,
            met: 0,
            dice: StdRng::seed_from_u64(rule.seed),
        });
        Ok(())
    }

    /// What becomes of a message. Every rule that it falls under has its say.
    pub fn judge(&mut self, medium: Medium, direction: Direction, connector: u16, now: Instant) -> Verdict {
        self.expire(now);
        let mut verdict = Verdict::UNTOUCHED;
        let covers = |rule: &Rule| {
            rule.medium == medium
                && rule.direction.is_none_or(|of| of == direction)
                && rule.connector.is_none_or(|of| of == connector)
        };
        for active in self.0.iter_mut().filter(|active| covers(&active.rule)) {
            let is_met = match active.rule.chance {
                Chance::Probability(probability) => active.dice.random_bool(probability),
                Chance::Next(_) => true,
            };
            if !is_met {
                continue;
            }
            active.met += 1;
            match active.rule.effect {
                Effect::Drop => verdict.copies = 0,
                Effect::Delay(delay) => verdict.delay = verdict.delay.max(delay),
                Effect::Duplicate => verdict.copies *= 2,
            }
        }
        self.0.retain(|active| !active.is_used_up());
        verdict
    }

    /// Those in force.
    pub fn active(&mut self, now: Instant) -> &[Active] {
        self.expire(now);
        &self.0
    }

    /// Ends all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn expire(&mut self, now: Instant) {
        self.0.retain(|active| active.until > now);
    }
}

impl Active {
    fn is_used_up(&self) -> bool {
        matches!(self.rule.chance, Chance::Next(count) if self.met >= count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        medium: Medium::Sip,
        direction: None,
        connector: None,
        effect: Effect::Drop,
        chance: Chance::Next(2),
        lasts: Duration::from_secs(10),
        seed: 1,
    };

    fn copies(rules: &mut Rules, medium: Medium, direction: Direction, connector: u16, now: Instant) -> usize {
        rules.judge(medium, direction, connector, now).copies
    }

    #[test]
    fn the_next_messages_are_lost_and_no_others() {
        let now = Instant::now();
        let mut rules = Rules::default();
        rules.add(RULE, now).unwrap();
        let lost: Vec<_> = (0..4)
            .map(|_| copies(&mut rules, Medium::Sip, Direction::In, 0, now))
            .collect();
        assert_eq!(lost, [0, 0, 1, 1]);
        assert!(rules.active(now).is_empty(), "it is used up");
    }

    #[test]
    fn a_rule_covers_its_kind_its_way_and_its_connector() {
        let now = Instant::now();
        let mut rules = Rules::default();
        let rule = Rule {
            direction: Some(Direction::Out),
            connector: Some(1),
            chance: Chance::Probability(1.0),
            ..RULE
        };
        rules.add(rule, now).unwrap();
        for (medium, direction, connector, expected) in [
            (Medium::Link, Direction::Out, 1, 1),
            (Medium::Sip, Direction::In, 1, 1),
            (Medium::Sip, Direction::Out, 0, 1),
            (Medium::Sip, Direction::Out, 1, 0),
        ] {
            assert_eq!(copies(&mut rules, medium, direction, connector, now), expected);
        }
        assert_eq!(rules.active(now)[0].met, 1);
        assert_eq!(
            copies(&mut rules, Medium::Sip, Direction::Out, 1, now + RULE.lasts),
            1,
            "its time is over"
        );
        assert!(rules.is_empty());
    }

    #[test]
    fn rules_add_up() {
        let now = Instant::now();
        let mut rules = Rules::default();
        for effect in [
            Effect::Duplicate,
            Effect::Delay(Duration::from_millis(5)),
            Effect::Delay(Duration::from_millis(3)),
        ] {
            rules.add(Rule { effect, ..RULE }, now).unwrap();
        }
        let expected = Verdict {
            copies: 2,
            delay: Duration::from_millis(5),
        };
        assert_eq!(rules.judge(Medium::Sip, Direction::In, 0, now), expected);
    }

    #[test]
    fn the_same_seed_throws_the_same_dice() {
        let now = Instant::now();
        let throws = || {
            let mut rules = Rules::default();
            let chance = Chance::Probability(0.5);
            rules.add(Rule { chance, ..RULE }, now).unwrap();
            (0..64)
                .map(|_| copies(&mut rules, Medium::Sip, Direction::In, 0, now))
                .collect::<Vec<_>>()
        };
        assert_eq!(throws(), throws());
        let lost = throws().iter().filter(|copies| **copies == 0).count();
        assert!((16..48).contains(&lost), "{lost} of 64");
    }

    #[test]
    fn what_is_beyond_the_bounds_is_refused() {
        let now = Instant::now();
        let mut rules = Rules::default();
        let late = LONGEST_DELAY + Duration::from_millis(1);
        for (rule, refused) in [
            (
                Rule {
                    lasts: Duration::ZERO,
                    ..RULE
                },
                Refused::Lasts,
            ),
            (
                Rule {
                    lasts: LONGEST * 2,
                    ..RULE
                },
                Refused::Lasts,
            ),
            (
                Rule {
                    effect: Effect::Delay(late),
                    ..RULE
                },
                Refused::Delay,
            ),
            (
                Rule {
                    chance: Chance::Probability(f64::NAN),
                    ..RULE
                },
                Refused::Chance,
            ),
            (
                Rule {
                    chance: Chance::Probability(1.5),
                    ..RULE
                },
                Refused::Chance,
            ),
            (
                Rule {
                    chance: Chance::Next(0),
                    ..RULE
                },
                Refused::Chance,
            ),
        ] {
            assert_eq!(rules.add(rule, now), Err(refused));
        }
        for _ in 0..MOST_RULES {
            rules.add(RULE, now).unwrap();
        }
        assert_eq!(rules.add(RULE, now), Err(Refused::TooMany));
        assert_eq!(rules.add(RULE, now + RULE.lasts), Ok(()), "the others are over");
    }
}

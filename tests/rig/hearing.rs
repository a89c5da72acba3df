//! Who hears whom, whatever the phones are: real ones by what they record, our own by what came to them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::handset::Handset;
use super::wait;
use super::wait::SOON;

/// What is heard is judged over this long.
const STRETCH: Duration = Duration::from_millis(400);

/// A phone that is listened to.
pub trait Hearing {
    /// Its user name.
    fn name(&self) -> &str;

    /// Listens from now on: who is heard, when asked how long that has been. Where next to nothing came: silence.
    fn listen(&self) -> Box<dyn Fn(Duration) -> BTreeSet<&'static str> + '_>;
}

/// Waits until each of these phones hears these for a while: names of phones, `sound` for music or a tone, nothing for silence.
pub async fn hear(expected: &[(&dyn Hearing, &str)]) {
    let wanted: Vec<BTreeSet<&str>> = expected.iter().map(|(_, names)| names.split_whitespace().collect()).collect();
    let begin = || {
        let ears: Vec<_> = expected.iter().map(|(phone, _)| phone.listen()).collect();
        (Instant::now(), ears)
    };
    let mut stretch = begin();
    let mut last = String::new();
    wait::until("who hears whom", SOON, async || {
        let (begun, ears) = &stretch;
        let elapsed = begun.elapsed();
        if elapsed < STRETCH {
            return Err(last.clone());
        }
        let heard: Vec<_> = ears.iter().map(|ear| ear(elapsed)).collect();
        if heard == wanted {
            return Ok(());
        }
        stretch = begin();
        let lines = expected.iter().zip(&heard);
        let lines = lines.map(|((phone, names), heard)| format!("{} hears {heard:?}, to hear [{names}]", phone.name()));
        last = lines.collect::<Vec<_>>().join("; ");
        Err(last.clone())
    })
    .await;
}

impl Hearing for Handset {
    fn name(&self) -> &str {
        &self.name
    }

    fn listen(&self) -> Box<dyn Fn(Duration) -> BTreeSet<&'static str> + '_> {
        Box::new(|elapsed| self.hears(elapsed))
    }
}

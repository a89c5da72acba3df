//! `mix`: calls that are held, transferred and made conferences of by desks, by the shares of a profile.

use std::time::Instant;

use crate::bench::Bench;
use crate::cli::Mix;
use crate::profile::Profile;
use crate::report::{Mark, Report};
use crate::world::Schedule;

/// Phones for each call: the two that talk and one to consult.
pub const PHONES_PER_CALL: u64 = 3;

/// Runs it.
pub async fn run(mix: &Mix, bench: &mut Bench) -> Result<Report, String> {
    let profile = Profile::load(&mix.profile)?;
    let before = Mark::now(bench);
    let bar = bench.bar("calling", mix.calls);
    let pause = profile.pause();
    bench.world.borrow_mut().profile = Some(profile);
    let schedule = Schedule::new(mix.calls, mix.rate, mix.concurrency, Some(pause), Instant::now());
    bench.run(schedule, false, &bar).await;
    bar.finish_and_clear();
    Ok(Report::new("mix", bench, &before))
}

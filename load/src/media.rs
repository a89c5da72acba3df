//! `media`: N calls at once with audio both ways, each packet accounted for, each leg told by itself. It is about the server's media plane:
//! a run whose packets all went past the server has not passed.

use crate::bench::Bench;
use crate::cli::{Hold, Media};
use crate::hold;
use crate::report::Report;

/// Runs it: a hold, judged by its packets too.
pub async fn run(media: &Media, bench: &mut Bench) -> Report {
    let held = Hold {
        calls: media.calls,
        rate: media.rate,
        secs: media.secs,
        common: media.common.clone(),
    };
    let mut report = hold::run(&held, bench).await;
    report.command = "media";
    let reasons = report
        .rtp
        .as_ref()
        .map_or_else(|| vec!["no media".to_owned()], |rtp| rtp.faults(media));
    report.reasons.extend(reasons);
    report
}

impl crate::report::Media {
    /// What is wrong with the packets, by the limits of the command line.
    fn faults(&self, limits: &Media) -> Vec<String> {
        let mut faults = Vec::new();
        let lost_percent = 100.0 * self.lost.max(0) as f64 / self.sent.max(1) as f64;
        if self.sent == 0 {
            faults.push("no packet was sent".to_owned());
        } else if self.through_server == 0 {
            faults.push(
                "no RTP went through the server, the phones sent it to each other: this says nothing of its media plane"
                    .to_owned(),
            );
        }
        if lost_percent > limits.max_loss {
            faults.push(format!(
                "{lost_percent:.3} % of the packets are lost, more than {}",
                limits.max_loss
            ));
        }
        if let (Some(limit), Some(late)) = (limits.max_late_ms, &self.latency)
            && late.p99_ms > limit
        {
            faults.push(format!("p99 of the latency is {:.3} ms, more than {limit}", late.p99_ms));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};
    use crate::stats::Quantiles;

    #[test]
    fn loss_and_latency_are_judged_by_the_limits_given() {
        let judge_way = |arguments: &str, sent: u64, through_server: u64, received: u64, p99_ms: f64| {
            let cli = Cli::try_parse_from(arguments.split(' ')).unwrap();
            let Command::Media(limits) = cli.command else { unreachable!() };
            let rtp = crate::report::Media {
                sent,
                through_server,
                received,
                lost: sent as i64 - received as i64,
                deaf_legs: 0,
                lossy_legs: 0,
                worst_leg_lost: 0,
                repeated: 0,
                unstamped: 0,
                latency: Some(Quantiles {
                    count: received,
                    p50_ms: 0.1,
                    p99_ms,
                    max_ms: 30.0,
                }),
                legs: crate::rtp::LegByLeg::default(),
            };
            rtp.faults(&limits).len()
        };
        let judge = |arguments, sent, received, p99_ms| judge_way(arguments, sent, sent, received, p99_ms);
        assert_eq!(judge("tandem-load media", 10_000, 10_000, 500.0), 0);
        assert_eq!(judge("tandem-load media", 10_000, 9_000, 1.0), 1);
        assert_eq!(judge("tandem-load media --max-loss 20", 10_000, 9_000, 1.0), 0);
        assert_eq!(judge("tandem-load media --max-late-ms 20", 10_000, 10_000, 21.0), 1);
        assert_eq!(judge("tandem-load media", 0, 0, 0.0), 1);
        assert_eq!(judge_way("tandem-load media", 10_000, 0, 10_000, 1.0), 1);
        assert_eq!(judge_way("tandem-load media", 10_000, 9_000, 10_000, 1.0), 0);
    }
}

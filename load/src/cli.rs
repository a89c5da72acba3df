//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::sip::digest;

/// Loads a CTI and SIP server from outside, as phones and desktops would, and checks what it does.
///
/// Phones register with digest, call, ring, answer and hang up over SIP; desktops register their DNs over the CTI protocol,
/// make and release calls, and check every event they get. All of it is one process on one thread.
///
/// A call succeeds when it was set up, held, and released, both legs ended as they should, and (where its DNs have a desktop)
/// each party got its events in a legal order with exactly one terminal event. The exit code is 0 only if every call succeeded,
/// no check of the event streams failed, and every gauge of live things went back to zero.
#[derive(Parser, Debug)]
#[command(name = "tandem-load", version, max_term_width = 120, after_long_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
EXAMPLES
  1,200 calls at once, 2,000 desktops, half of the calls made by MakeCall:
      tandem-load hold --calls 1200 --rate 50 --agents 2000 --server-pid $(pidof tandem)
  1,200 calls with audio through a server that anchors media:
      tandem-load media --calls 1200 --secs 30 --max-late-ms 20 --server-pid $(pidof tandem)
  How many calls per second, with a server started for it:
      tandem-load ramp --rates 100,200,500,1000 --secs 8 --server-bin target/release/tandem --server-config config/load.toml
  The same without registrations and desktops, through a trunk route (config/bench.toml) that sends 2001 to 127.0.0.1:5090:
      tandem-load ramp --rates 500,1000 --trunk-number 2001 --trunk-answer 127.0.0.1:5090
  A long run, to see whether memory stays flat:
      tandem-load soak --calls 100000 --rate 200 --json soak.json
  Calls that are held, transferred and made conferences of:
      tandem-load mix --profile agents --calls 2000 --rate 40 --concurrency 150
  1,200 calls up, SIGKILL, start, and every call held, retrieved and released; then 20 times under the load of a mix:
      tandem-load crash --calls 1200 --rounds 1 --server-bin target/release/tandem --server-config config/load.toml
      tandem-load crash --calls 200 --rounds 20 --mix --server-bin target/release/tandem --server-config config/load.toml
  A T-Server and three connectors under load, each fault once for a round (as root, for the one that takes network namespaces):
      tandem-load crash --connectors 3 --fault all --calls 200 --rounds 2 --server-bin target/release/tandem --server-config config/load.toml
  The same with requests of desks, calls across connectors, and an address for each phone, as real ones have:
      tandem-load crash --connectors 3 --fault all --calls 100 --mix --across 30 --sockets 400 --server-bin target/release/tandem \
          --server-config config/load.toml
  A rolling drain of three connectors with 200 calls up, in one process and in four:
      tandem-load drain --threads 3 --server-bin target/release/tandem --server-config config/load.toml
      tandem-load drain --connectors 3 --restart --server-bin target/release/tandem --server-config config/load.toml
  From MakeCall to INVITE, 200 calls one by one, and again with 1,200 calls up:
      tandem-load makecall --count 200 --background 1200

EXIT STATUS
  0  every call succeeded, every check passed, every gauge is zero
  1  something failed (for crash: anything was lost, missed or repeated); the report says what
  2  the run could not be set up (wrong arguments, no server, registration refused)";

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Sets up N calls, holds all of them at once, releases them.
    Hold(Hold),
    /// Holds N calls with audio both ways: what was lost, what came twice, and how late it came.
    ///
    /// Each leg sends 50 packets of G.711 a second to where the server's session description says, and knows each packet that comes. Against a
    /// server that anchors media they go through it; otherwise from phone to phone, and then the run does not pass: it has shown nothing of the
    /// server's media. The JSON report has a line for each leg.
    Media(Media),
    /// Climbs a ladder of call rates; each call is held for one second.
    ///
    /// A step passes when no call failed, retransmissions stayed under 1 % of the messages, and 93 % of the rate was reached. The
    /// ladder ends after two steps that did not pass.
    Ramp(Ramp),
    /// Makes N short calls through one server process and judges whether its memory stays flat.
    ///
    /// Flat: the median of the last third of the samples is less than 5 % or less than 8 MB above that of the first third (the
    /// first tenth is left out as warm-up).
    Soak(Soak),
    /// Calls in which desks hold, transfer, confer and alternate; the report has the times of each request.
    Mix(Mix),
    /// Kills the server with SIGKILL while calls are up, starts it again, and tries every call; the report says what was lost.
    ///
    /// With --connectors, the T-Server and its connectors are processes, and one of them is taken away (--fault).
    ///
    /// Each round: N calls are brought up, the server that was started for the run (--server-bin, --server-config) is killed at a random
    /// moment and started again at once. Desks resume, and must get every event once. Each call that was up (both phones have 200 and ACK,
    /// and its desks EventEstablished) is then held, retrieved and released. Calls that were ringing or dialling, and requests that were in
    /// flight, must end with one terminal event for each party and one answer each.
    ///
    /// With --connectors N: `tandem tserver` and N times `tandem connector` are started. Phone n registers with connector n modulo N, and
    /// desks connect to the T-Server. N calls stay up and others arrive, for a second each. When a connector is taken away, its calls that were up
    /// must all be there when it is back, and no call between phones of other connectors may fail; new calls of its own phones may, and are told
    /// apart. Each DN that goes out of service must come back once, and have one owner at all times.
    Crash(Crash),
    /// Drains every connector, one after the other, while calls are up and arrive; none may fail.
    ///
    /// N calls are up: each lasts for its time, and others take the place of those that end. Connector after connector is drained (POST
    /// /v1/admin/drain), becomes Suspended when its last call has ended, and is taken back (DELETE). The server is one process with several
    /// connectors, or (--connectors N) a T-Server and N connectors that are processes.
    Drain(Drain),
    /// Measures the time from MakeCall to the INVITE at the caller's phone, call by call.
    #[command(name = "makecall")]
    MakeCall(MakeCall),
}

impl Command {
    /// The options that every command has.
    pub fn common(&self) -> &Common {
        match self {
            Self::Hold(hold) => &hold.common,
            Self::Media(media) => &media.common,
            Self::Ramp(ramp) => &ramp.common,
            Self::Soak(soak) => &soak.common,
            Self::Mix(mix) => &mix.common,
            Self::Crash(crash) => &crash.common,
            Self::Drain(drain) => &drain.common,
            Self::MakeCall(make_call) => &make_call.common,
        }
    }
}

/// Options of `hold`.
#[derive(Args, Debug)]
pub struct Hold {
    /// How many calls are to be up at the same time.
    #[arg(long, default_value_t = 100)]
    pub calls: u64,
    /// Calls set up, and later released, per second.
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    /// How long all of them are held, in seconds.
    #[arg(long, default_value_t = 10.0)]
    pub secs: f64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// Options of `media`.
#[derive(Args, Debug)]
pub struct Media {
    /// How many calls are to be up at the same time.
    #[arg(long, default_value_t = 100)]
    pub calls: u64,
    /// Calls set up, and later released, per second.
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    /// How long all of them are held, in seconds.
    #[arg(long, default_value_t = 10.0)]
    pub secs: f64,
    /// How much of what was sent may be lost, in percent.
    #[arg(long, default_value_t = 0.1)]
    pub max_loss: f64,
    /// The highest latency that 99 of 100 packets may have, in milliseconds. Default: any.
    #[arg(long)]
    pub max_late_ms: Option<f64>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// Options of `ramp`.
#[derive(Args, Debug)]
pub struct Ramp {
    /// The call rates of the ladder, in calls per second.
    #[arg(long, value_delimiter = ',', default_values_t = [100.0, 200.0, 500.0, 1000.0])]
    pub rates: Vec<f64>,
    /// How long each step starts calls, in seconds.
    #[arg(long, default_value_t = 8.0)]
    pub secs: f64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// Options of `soak`.
#[derive(Args, Debug)]
pub struct Soak {
    /// How many calls in all.
    #[arg(long, default_value_t = 10_000)]
    pub calls: u64,
    /// Calls started per second, as long as the concurrency allows.
    #[arg(long, default_value_t = 200.0)]
    pub rate: f64,
    /// How many calls may be up at the same time.
    #[arg(long, default_value_t = 200)]
    pub concurrency: u64,
    /// How long each call is held, in milliseconds.
    #[arg(long, default_value_t = 200)]
    pub hold_ms: u64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// Options of `mix`.
#[derive(Args, Debug)]
pub struct Mix {
    /// What the calls do: `agents`, `everything`, `holds`, or a file of JSON with shares, such as
    /// {"plain": 5, "hold": 3, "transfer": 2, "conference": 1, "alternate": 1, "single_step_transfer": 1,
    /// "single_step_conference": 1, "pause_ms": 500}.
    #[arg(long, value_name = "FILE|NAME", default_value = "agents")]
    pub profile: String,
    /// How many calls in all.
    #[arg(long, default_value_t = 400)]
    pub calls: u64,
    /// Calls started per second, as long as the concurrency allows.
    #[arg(long, default_value_t = 20.0)]
    pub rate: f64,
    /// How many calls may be up at the same time.
    #[arg(long, default_value_t = 100)]
    pub concurrency: u64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// Options of `crash`.
#[derive(Args, Debug)]
pub struct Crash {
    /// How many calls are to be up when the server is killed.
    #[arg(long, default_value_t = 100)]
    pub calls: u64,
    /// How often.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Desks hold, transfer and confer meanwhile, as in `mix`; otherwise calls are only up, and a few more are being set up.
    #[arg(long)]
    pub mix: bool,
    /// What the calls do with --mix: a name or a file, as for `mix`.
    #[arg(long, value_name = "FILE|NAME", default_value = "agents", requires = "mix")]
    pub profile: String,
    /// Calls started per second, as long as there are fewer.
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    /// The kill comes within this time of when the calls are up, in seconds.
    #[arg(long, default_value_t = 3.0)]
    pub secs: f64,
    /// Calls that are tried per second after the restart.
    #[arg(long, default_value_t = 1000.0)]
    pub try_rate: f64,
    /// What is done with --connectors, in each round and to a connector that the seed chooses. Default: kill-connector.
    #[arg(long, value_enum, value_delimiter = ',', help_heading = "Connectors as processes")]
    pub fault: Vec<Fault>,
    /// How long a killed process stays away, in seconds.
    #[arg(long, default_value_t = 4.0, help_heading = "Connectors as processes")]
    pub down_secs: f64,
    /// How long a link is cut, in seconds.
    #[arg(long, default_value_t = 10.0, help_heading = "Connectors as processes")]
    pub cut_secs: f64,
    /// How long a connector is stopped, in seconds.
    #[arg(long, default_value_t = 10.0, help_heading = "Connectors as processes")]
    pub pause_secs: f64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub processes: Processes,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// Options of `drain`.
#[derive(Args, Debug)]
pub struct Drain {
    /// How many calls are to be up at all times.
    #[arg(long, default_value_t = 200)]
    pub calls: u64,
    /// How long each of them lasts, in seconds.
    #[arg(long, default_value_t = 8.0)]
    pub hold_secs: f64,
    /// The most calls started per second; on average it is as many as end.
    #[arg(long, default_value_t = 40.0)]
    pub rate: f64,
    /// How often each connector is drained.
    #[arg(long, default_value_t = 1)]
    pub rounds: u32,
    /// Calls that arrive from one drain to the next, in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub between_secs: f64,
    /// Connectors of the one process that is started (its option connectors.count); otherwise as its file says.
    #[arg(long, value_name = "N", requires = "server_config", conflicts_with = "connectors")]
    pub threads: Option<usize>,
    /// A connector that is a process is stopped with SIGTERM when it is Suspended, and started again: an upgrade.
    #[arg(long)]
    pub restart: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub processes: Processes,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// A server in several processes.
#[derive(Args, Debug)]
pub struct Processes {
    /// Start a T-Server and so many connectors as processes, instead of one that is all of it; 0: one process. All read --server-config; links,
    /// SIP listeners (that of --sip, and every tenth port above it) and media ports are set over it, journals are in a temporary directory.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Connectors as processes")]
    pub connectors: usize,
    /// The share of calls whose phones register with different connectors, in percent.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 0.0,
        help_heading = "Connectors as processes"
    )]
    pub across: f64,
    /// The port of the first connector's link; those of the others follow.
    #[arg(long, value_name = "PORT", default_value_t = 7400, help_heading = "Connectors as processes")]
    pub link_port: u16,
}

impl Processes {
    /// The share of calls across connectors, as a part of one.
    pub fn share_across(&self) -> Result<f64, String> {
        match self.across / 100.0 {
            share if share > 0.0 && self.connectors < 2 => Err("--across: with --connectors, two at least".into()),
            share if (0.0..=1.0).contains(&share) => Ok(share),
            _ => Err("--across: from 0 to 100".into()),
        }
    }
}

/// What is done to a process of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Fault {
    /// SIGKILL for a connector, which is started again after --down-secs.
    KillConnector,
    /// SIGKILL for the T-Server, which is started again after --down-secs; connectors and phones go on meanwhile.
    KillTserver,
    /// The link of a connector is cut for --cut-secs, while its phones still reach it. Takes root: connectors are in network namespaces.
    Cut,
    /// SIGSTOP for a connector, and SIGCONT after --pause-secs.
    Pause,
    /// Each of them, one after the other.
    All,
}

impl Fault {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillConnector => "kill-connector",
            Self::KillTserver => "kill-tserver",
            Self::Cut => "cut",
            Self::Pause => "pause",
            Self::All => "all",
        }
    }
}

/// Options of `makecall`.
#[derive(Args, Debug)]
pub struct MakeCall {
    /// How many calls, one after the other.
    #[arg(long, default_value_t = 200)]
    pub count: u64,
    /// Calls that are up while the same is measured once more; 0: it is not.
    #[arg(long, default_value_t = 0)]
    pub background: u64,
    /// Calls of the background set up, and later released, per second.
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// Options of every command.
#[derive(Args, Debug, Clone)]
pub struct Common {
    /// The server's SIP address.
    #[arg(long, default_value = "127.0.0.1:5060", help_heading = "Server")]
    pub sip: SocketAddr,
    /// How to reach it. TCP: phones share a few connections, over which the server must also send.
    #[arg(long, value_enum, default_value_t = Transport::Udp, help_heading = "Server")]
    pub transport: Transport,
    /// The domain of the DNs.
    #[arg(long, default_value = "tandem.local", help_heading = "Server")]
    pub domain: String,
    /// The server's CTI address.
    #[arg(long, default_value = "ws://127.0.0.1:8088/v1/cti", help_heading = "Server")]
    pub cti: String,
    /// The API key of the desktops.
    #[arg(
        long,
        default_value = "load-key",
        env = "TANDEM_LOAD_API_KEY",
        hide_env_values = true,
        help_heading = "Server"
    )]
    pub api_key: String,
    /// The server's metrics, for the gauges; `none` leaves them out of the verdict.
    #[arg(long, default_value = "http://127.0.0.1:8088/metrics", help_heading = "Server")]
    pub metrics: String,
    /// How long the gauges may take to go back to zero, in seconds. SIP transactions live for 32 s after their end.
    #[arg(long, default_value_t = 45.0, help_heading = "Server")]
    pub drain_secs: f64,
    /// The server's process, for its CPU and memory (with the processes below it).
    #[arg(long, conflicts_with = "server_config", help_heading = "Server")]
    pub server_pid: Option<u32>,
    /// Start `tandem serve --config FILE` for the run, and stop it afterwards. Its journal is in a temporary directory.
    #[arg(long, value_name = "FILE", requires = "server_bin", help_heading = "Server")]
    pub server_config: Option<PathBuf>,
    /// The program to start.
    #[arg(long, value_name = "PATH", requires = "server_config", help_heading = "Server")]
    pub server_bin: Option<PathBuf>,

    /// How many DNs have a desktop (0: no CTI at all). Default: as many as there are phones.
    #[arg(long, help_heading = "Phones and desktops")]
    pub agents: Option<usize>,
    /// DNs that share one CTI connection.
    #[arg(long, default_value_t = 10, help_heading = "Phones and desktops")]
    pub dns_per_client: usize,
    /// The part of the calls that are made by MakeCall; the others are dialled on a phone.
    #[arg(long, default_value_t = 0.5, help_heading = "Phones and desktops")]
    pub mix_cti: f64,
    /// How many phones register. Default: two for each call that can be up, or one for each desktop DN if that is more. With
    /// fewer, phones take several calls at once.
    #[arg(long, help_heading = "Phones and desktops")]
    pub phones: Option<usize>,
    /// The number of the first DN; the others follow.
    #[arg(long, default_value_t = 10_000, help_heading = "Phones and desktops")]
    pub first_dn: u64,
    /// The password of each DN; the letter n in braces stands for its number.
    #[arg(long, default_value = "load-{n}", help_heading = "Phones and desktops")]
    pub password_template: String,
    /// The digest algorithm to answer with, where the server offers it.
    #[arg(long, value_enum, default_value_t = Digest::Sha256, help_heading = "Phones and desktops")]
    pub digest: Digest,
    /// How long a phone rings before it answers, in milliseconds (calls that ask for auto-answer are answered at once).
    #[arg(long, default_value_t = 20, help_heading = "Phones and desktops")]
    pub answer_ms: u64,
    /// REGISTERs in flight at once.
    #[arg(long, default_value_t = 50, help_heading = "Phones and desktops")]
    pub register_window: usize,
    /// How long a call may take until it is up, in seconds.
    #[arg(long, default_value_t = 20.0, help_heading = "Phones and desktops")]
    pub setup_secs: f64,
    /// Send and count RTP: 20 ms PCMU on each leg, on a port of its own.
    #[arg(long, help_heading = "Phones and desktops")]
    pub rtp: bool,
    /// Dial this number from phones that do not register, instead of calls between registered extensions. No CTI.
    #[arg(long, value_name = "NUMBER", help_heading = "Phones and desktops")]
    pub trunk_number: Option<String>,
    /// Answer the calls for the trunk number here; without it, somebody else answers.
    #[arg(long, value_name = "ADDR", requires = "trunk_number", help_heading = "Phones and desktops")]
    pub trunk_answer: Option<SocketAddr>,

    /// The source addresses of SIP and RTP; sockets are spread over them.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1", help_heading = "Generator")]
    pub local: Vec<IpAddr>,
    /// SIP sockets (or TCP connections), shared by the phones.
    #[arg(long, default_value_t = 4, help_heading = "Generator")]
    pub sockets: usize,
    /// Write the report as JSON, too.
    #[arg(long, value_name = "FILE", help_heading = "Generator")]
    pub json: Option<PathBuf>,
    /// Makes the run (who calls whom, who hangs up, all identifiers) repeatable. Default: a new one, shown in the report.
    #[arg(long, help_heading = "Generator")]
    pub seed: Option<u64>,
    /// No progress bars.
    #[arg(long, short, help_heading = "Generator")]
    pub quiet: bool,
}

impl Common {
    /// Checks what clap cannot, in one place.
    pub fn check(&self) -> Result<(), String> {
        let rules = [
            (
                self.local.is_empty() || self.sockets == 0,
                "--local and --sockets: at least one is needed",
            ),
            (
                self.local.iter().any(IpAddr::is_ipv6) || self.sip.is_ipv6(),
                "IPv6: the SIP library of the phones has none",
            ),
            (!(0.0..=1.0).contains(&self.mix_cti), "--mix-cti: a part is between 0 and 1"),
            (self.dns_per_client == 0, "--dns-per-client: at least one"),
            (self.register_window == 0, "--register-window: at least one"),
            (self.phones.is_some_and(|phones| phones < 2), "--phones: at least two"),
            (self.setup_secs <= 0.0, "--setup-secs: more than zero"),
        ];
        rules
            .iter()
            .find(|(broken, _)| *broken)
            .map_or(Ok(()), |(_, rule)| Err((*rule).to_owned()))
    }

    /// The longest ringing and setting up.
    pub fn setup_limit(&self) -> Duration {
        Duration::from_secs_f64(self.setup_secs)
    }
}

/// Transports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

/// Digest algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// MD5.
    Md5,
}

impl From<Digest> for digest::Algorithm {
    fn from(digest: Digest) -> Self {
        match digest {
            Digest::Sha256 => Self::Sha256,
            Digest::Md5 => Self::Md5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent_and_wrong_values_are_told() {
        Cli::command().debug_assert();
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        let common = |line: &str| parse(line).unwrap().command.common().clone();
        assert_eq!(common("tandem-load hold").check(), Ok(()));
        assert!(common("tandem-load ramp --rates 1,2 --mix-cti 2").check().is_err());
        assert!(common("tandem-load soak --local ::1").check().is_err());
        assert!(parse("tandem-load hold --server-config x").is_err());
        assert!(parse("tandem-load ramp --rates fast").is_err());
        assert!(
            parse("tandem-load crash --profile holds").is_err(),
            "a profile is one of --mix"
        );
        assert!(parse("tandem-load crash --mix --profile holds --rounds 20").is_ok());
        assert!(parse("tandem-load crash --connectors 3 --fault cut,pause --cut-secs 3").is_ok());
        assert!(parse("tandem-load crash --connectors 3 --fault earthquake").is_err());
    }

    #[test]
    fn calls_across_connectors_need_two_of_them() {
        let share = |connectors, across| {
            let link_port = 7400;
            Processes {
                connectors,
                across,
                link_port,
            }
            .share_across()
        };
        assert_eq!((share(0, 0.0), share(3, 50.0)), (Ok(0.0), Ok(0.5)));
        assert!(share(1, 10.0).is_err() && share(3, 101.0).is_err() && share(3, -1.0).is_err());
    }
}

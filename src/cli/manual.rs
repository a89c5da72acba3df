//! What `--help` says below the options of the commands that serve: signals, pages, files and exit codes, as a manual page has them. What
//! more than one of them says stands here once.

const RELOADS: &str = "\
SIGHUP
      Reads the configuration again. What needs no restart is in force at
      once; the log says of each key which it is";

const CTI_PAGES: &str = "\
PAGES (cti.bind; keys: [[cti.api_key]])
  /v1/cti
      the CTI protocol (WebSocket)";

const DESCRIPTION: &str = "\
/openapi.json
      the description of these";

const ENVIRONMENT: &str = "\
ENVIRONMENT
  TANDEM_SECTION__KEY sets one option over the file: TANDEM_LOG__FILTER=debug.";

const NOTIFICATIONS: &str = "\
SERVICE MANAGER
  NOTIFY_SOCKET and WATCHDOG_USEC as of sd_notify(3): READY, RELOADING,
  STOPPING, WATCHDOG";

const CTI_READY: &str = "\
OUTPUT
  One line on standard output when it is ready: `ready: CTI and HTTP on
  ADDRESS:PORT`.";

const ENDED: &str = "\
EXIT STATUS
  0  ended as it was asked to
  1  it could not start: a configuration that is not valid";

const REFUSED: &str = "2  the command line is wrong";

/// Of `tandem serve`.
pub fn serve() -> String {
    format!(
        "\
SIGNALS
  SIGTERM, SIGINT
      Drains: no call starts (503 with Retry-After; MakeCall gets an error),
      live calls stay until they end, at most server.drain_timeout_s. A second
      one ends what is left with a BYE.
  {RELOADS}.

{CTI_PAGES}
  /livez, /healthz, /readyz, /metrics
      health and Prometheus metrics; no key, unless http.metrics_require_key
  /v1/calls, /v1/dns, /v1/connectors
      what there is (scope read)
  /v1/events
      all events, as server-sent events (scopes read and cti)
  /v1/admin/drain, /v1/admin/reload
      administration (scope admin)
  {DESCRIPTION}

{ENVIRONMENT}

{NOTIFICATIONS}. Unit: config/tandem.service.

{CTI_READY} The log goes to standard error.

{ENDED}, a port that is
     taken, a journal that another process has
  {REFUSED}"
    )
}

/// Of `tandem tserver`.
pub fn tserver() -> String {
    format!(
        "\
It connects to every [[link]] of the configuration, and again when that
breaks: each is a connector, a process started with `tandem connector --name
NAME`. DNs are spread over those that can be reached; calls that live go on
while this process is away.

SIGNALS
  SIGTERM, SIGINT
      Ends at once: clients are told (close code 1001, with a few seconds to
      answer it), live calls go on at their connectors, and the next T-Server
      takes them up from the journal. A phone that rings goes on ringing, and
      may answer. While no T-Server is there, connectors refuse new calls with
      503. To let all calls end first, POST /v1/admin/drain.
  {RELOADS}, or that it is of connectors
      (`not here`).

{CTI_PAGES}
  /livez, /healthz
      whether the event path turns; no key
  /readyz
      whether calls and clients are taken: a connector can be reached, and one
      of them is not drained
  /metrics
      Prometheus metrics, of links and DNs too
  /v1/calls, /v1/dns, /v1/events
      as of `tandem serve`
  /v1/connectors
      each connector: Running, Suspending, Suspended or Disconnected, what it
      holds, how many DNs it owns. A DN has one owner
  /v1/admin/drain
      POST {{\"connector\": 0}} gives its DNs to others; its calls end by
      themselves, or after `deadline_s`. DELETE ?connector=0 takes it back.
      Without a connector: no call starts, and this process ends when the last
      one has ended
  /v1/admin/reload
      POST reads the configuration again
  {DESCRIPTION}

{ENVIRONMENT}

{NOTIFICATIONS}. Unit: config/tandem-tserver.service.

FILES
  Its journal is in the directory `tserver` of [journal] dir, so that
  connectors can have the same configuration.

{CTI_READY} Links come up later. The log goes to standard error.

{ENDED} or has no
     [[link]], a port that is taken, a journal that another process has
  {REFUSED}

EXAMPLES
  tandem tserver --config tandem.toml
  curl -H 'Authorization: Bearer KEY' -d '{{\"connector\": 0}}' \\
      http://127.0.0.1:8088/v1/admin/drain"
    )
}

/// Of `tandem connector`.
pub fn connector() -> String {
    format!(
        "\
It listens on its [[link]] for its T-Server, which connects to it, and serves
SIP on every [[sip.listener]]. Connectors of one host have the same
configuration; what has to differ is given with --set or in the environment
(TANDEM_SIP__LISTENER='[{{transport=\"udp\", bind=\"...\"}}]').

SIGNALS
  SIGTERM, SIGINT
      Drains: its DNs are the other connectors' at once, a call that comes in
      is handed on to them, or refused with 503 and Retry-After where there is
      none; live calls stay, under the control of their desktops, until they
      end. Then it exits. At server.drain_timeout_s, or at a second signal,
      what is left is ended with a BYE.
  {RELOADS}, or that it is of the
      T-Server (`not here`).

PAGES (--http, or http_bind of its [[link]]; keys: [[cti.api_key]])
  Without either there are none.
  /livez, /healthz
      whether the connector answers; no key
  /readyz
      whether it takes calls: its T-Server is connected, and it is not drained
  /metrics
      Prometheus metrics: SIP, media, conferences, the link
  /v1/connectors
      itself: Running, Suspending or Suspended, and what it holds (scope read)
  /v1/admin/drain
      POST drains as SIGTERM does, DELETE takes that back; with {{\"connector\":
      N}}, its own number, it is drained and does not exit (scope admin)
  /v1/admin/reload
      POST reads the configuration again (scope admin)
  {DESCRIPTION}

{ENVIRONMENT}

{NOTIFICATIONS}, EXTEND_TIMEOUT_USEC while it drains. Unit:
  config/tandem-connector@.service.

FILES
  Its journal is in the directory `connector-N` of [journal] dir, N being its
  number: the place of its [[link]], from 0.

OUTPUT
  One line on standard output when it is ready: `ready: connector NAME, link
  on ADDRESS:PORT`, and where there are pages `, HTTP on ADDRESS:PORT` after
  it. The log goes to standard error.

{ENDED} or has no [[link]]
     of that name, a port that is taken, a journal that another process has
  {REFUSED}

EXAMPLES
  tandem connector --name connector1 --config tandem.toml --http 127.0.0.1:9101
  curl http://127.0.0.1:9101/readyz"
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use tandem_config::registry::OPTIONS;

    use crate::cli::Cli;

    #[test]
    fn the_commands_that_serve_have_a_manual() {
        let mut cli = Cli::command();
        cli.clone().debug_assert();
        for (name, unit) in [
            ("serve", "tandem.service"),
            ("tserver", "tandem-tserver.service"),
            ("connector", "tandem-connector@.service"),
        ] {
            let command = cli.find_subcommand_mut(name).unwrap();
            let help = command.render_long_help().to_string();
            for heading in [
                "SIGNALS",
                "PAGES",
                "ENVIRONMENT",
                "SERVICE MANAGER",
                "OUTPUT",
                "EXIT STATUS",
                unit,
                "--config",
            ] {
                assert!(help.contains(heading), "{name}: {heading}");
            }
            let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(unit);
            assert!(file.exists(), "{unit}");
        }
    }

    #[test]
    fn a_manual_fits_a_terminal_and_the_options_that_it_names_are_there() {
        for text in [super::serve(), super::tserver(), super::connector()] {
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            let words = text.split(|c: char| !(c.is_ascii_lowercase() || "._".contains(c)));
            let sections = ["cti.", "http.", "server."];
            for word in words.map(|word| word.trim_matches('.')) {
                if sections.iter().any(|section| word.starts_with(section)) {
                    let table = format!("{word}[]");
                    let is_there = OPTIONS
                        .iter()
                        .any(|option| option.path == word || option.path.starts_with(&table));
                    assert!(is_there, "{word}");
                }
            }
        }
    }
}

//! `tandem demo`: a server on loopback, simulated phones on real SIP and RTP, calls in a loop, one line per event.
//!
//! Everything it needs is in the binary: no root, no network, no database. Ports that are taken are replaced by free ones.

mod control;
mod desktop;
mod phone;
mod round;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use tandem_config::{Config, LogFormat, environment};
use tandem_sip::flow::Transport;

use crate::boot::Server;
use crate::cli::serve::StopSignals;
use crate::telemetry::{self, MetricsPages};
use desktop::Desktop;
use phone::{Phone, PhoneIdentity};
use round::Stage;

/// The configuration of the demo, which is also the one to start from.
const CONFIG: &str = include_str!("../../../config/default.toml");
/// The phones of the demo and their tones, in hertz. None is a harmonic of another.
const PHONES: [(&str, f64); 4] = [("1001", 440.0), ("1002", 620.0), ("1003", 770.0), ("1004", 950.0)];
/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the demo waits for live calls when it ends.
const DRAIN: Duration = Duration::from_secs(3);

/// Arguments of `tandem demo`.
#[derive(Clone, Debug, Default, Args)]
pub struct DemoArgs {
    /// Play one round and exit: 0 only if every step was seen.
    #[arg(long)]
    pub check: bool,
    /// Sets one option over the demo's own configuration, such as `cti.bind=127.0.0.1:9000`. May be given again.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
}

/// Runs the demo.
pub fn run(args: &DemoArgs) -> ExitCode {
    let started = Instant::now();
    let loaded = match Config::from_toml(CONFIG, Path::new("config/default.toml"), &args.sets, environment()) {
        Ok(loaded) => loaded,
        Err(problems) => return super::config::refuse(&problems),
    };
    let mut config = loaded.config;
    use_free_ports(&mut config);
    // It shows calls, and leaves nothing behind.
    config.journal.enabled = false;
    // The screen belongs to the events; the log shows what went wrong.
    let metrics = match telemetry::install_logs(LogFormat::Text, "warn").and_then(|()| MetricsPages::install()) {
        Ok(metrics) => metrics,
        Err(error) => return fail(&error),
    };
    actix_rt::System::new().block_on(async {
        match demo(&config, args, metrics, started).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        }
    })
}

fn fail(error: &str) -> ExitCode {
    eprintln!("tandem demo: {error}");
    ExitCode::FAILURE
}

async fn demo(config: &Config, args: &DemoArgs, metrics: MetricsPages, started: Instant) -> Result<(), String> {
    let mut stop = StopSignals::listen().map_err(|error| format!("signals: {error}"))?;
    let server = Server::start(config, metrics).await.map_err(|error| error.to_string())?;
    let sip = sip_address(&server)?;
    introduce(config, &server, sip);
    let played = tokio::select! {
        played = play(config, args.check, &server, sip, started) => played,
        () = stop.next() => Ok(()),
    };
    println!("\ndraining: no new calls; live ones may end");
    server
        .drain(async {
            tokio::select! {
                () = stop.next() => {}
                () = tokio::time::sleep(DRAIN) => {}
            }
        })
        .await;
    server.stop().await;
    played
}

async fn play(config: &Config, once: bool, server: &Server, sip: SocketAddr, started: Instant) -> Result<(), String> {
    let domain = config.sip.domains.first().cloned().unwrap_or_default();
    let mut phones = Vec::new();
    for (number, tone_hz) in PHONES {
        let password = config
            .dns()
            .find(|dn| dn.dn == format!("sip:{number}@{domain}"))
            .and_then(|dn| dn.password)
            .ok_or_else(|| format!("DN {number} of the demo is not configured"))?;
        let identity = PhoneIdentity {
            number: number.into(),
            domain: domain.clone(),
            password: password.reveal().into(),
            tone_hz,
        };
        phones.push(
            Phone::start(identity, sip)
                .await
                .map_err(|error| format!("phone {number}: {error}"))?,
        );
    }
    let dns: Vec<String> = PHONES.iter().map(|(number, _)| format!("sip:{number}@{domain}")).collect();
    let desktop = Desktop::open(server.cti_address, api_key(config), &dns, Duration::from_secs(5)).await?;
    let mut stage = Stage { desktop, phones };
    stage.register().await?;
    println!(
        "\n{} phones registered, {:.1} s after the start",
        PHONES.len(),
        started.elapsed().as_secs_f64()
    );
    let mut rounds = 0_u64;
    loop {
        stage.forget();
        stage.play().await?;
        rounds += 1;
        if once {
            println!("\nevery step was seen");
            return Ok(());
        }
        println!(
            "\nround {rounds} done; the next one starts in {} s (Ctrl-C ends the demo)",
            PAUSE.as_secs()
        );
        tokio::time::sleep(PAUSE).await;
    }
}

fn sip_address(server: &Server) -> Result<SocketAddr, String> {
    let udp = server.listeners.iter().find(|listener| listener.transport == Transport::Udp);
    udp.map(|listener| listener.advertised)
        .ok_or_else(|| "the demo needs a UDP listener".into())
}

/// The key of the demo's own desktop, which the configuration holds in plain text.
fn api_key(config: &Config) -> &str {
    let keys = config.cti.api_key.iter();
    keys.filter_map(|key| key.key.as_ref()).next().map_or("", |key| key.reveal())
}

/// Says how to join in.
fn introduce(config: &Config, server: &Server, sip: SocketAddr) {
    let domain = config.sip.domains.first().map_or("tandem.local", String::as_str);
    let key = api_key(config);
    println!("Tandem {} demo, on loopback only", env!("CARGO_PKG_VERSION"));
    println!(
        "  your own softphone   server {sip} (UDP or TCP), domain {domain}, user 1005, password demo-1005; dial 1001 to 1008"
    );
    println!(
        "  your own CTI client  websocat --protocol {} ws://{}{}",
        tandem_wire::SUBPROTOCOL,
        server.cti_address,
        tandem_wire::PATH
    );
    println!(
        "                       {{\"request\":\"OpenServer\",\"referenceId\":1,\"applicationName\":\"me\",\"apiKey\":\"{key}\"}}"
    );
    println!("                       {{\"request\":\"RegisterAddress\",\"referenceId\":2,\"thisDn\":\"sip:1005@{domain}\"}}");
    println!(
        "                       {{\"request\":\"MakeCall\",\"referenceId\":3,\"thisDn\":\"sip:1005@{domain}\",\"otherDn\":\"sip:1001@{domain}\"}}"
    );
    println!("  metrics              http://{}/metrics", server.cti_address);
    println!(
        "  live calls           curl -H 'Authorization: Bearer {key}' http://{}/v1/calls",
        server.cti_address
    );
}

/// Replaces addresses that are taken by free ports, so that the demo starts beside another server.
fn use_free_ports(config: &mut Config) {
    let taken =
        |address: &SocketAddr| std::net::UdpSocket::bind(address).is_err() || std::net::TcpListener::bind(address).is_err();
    for listener in &mut config.sip.listener {
        if taken(&listener.bind) {
            println!("{} is taken; the demo takes a free port", listener.bind);
            listener.bind.set_port(0);
        }
    }
    if taken(&config.cti.bind) {
        println!("{} is taken; the demo takes a free port", config.cti.bind);
        config.cti.bind.set_port(0);
    }
}

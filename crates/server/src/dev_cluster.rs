//! `esker dev --brokers N`: a cluster on one machine. Each broker is a process of its own, as it would be on its own machine, so that
//! any of them can be killed; one that ends is started again.

use crate::command::DevOptions;
use crate::config::ConfigProblem;
use crate::run::complain;
use esker_cli::admin_is_ready;
use esker_env::real::Runtimes;
use esker_env::{Entropy, Env};
use futures_util::future::join_all;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// From a broker's Kafka port to the port on which the others reach it.
const PEER_PORTS: u16 = 100;
/// Before a broker that has ended is started again.
const RESTART_AFTER: Duration = Duration::from_secs(1);
/// Between two looks whether a broker is ready.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One of the brokers.
#[derive(Debug)]
struct Member {
    id: u16,
    kafka: SocketAddr,
    peer: SocketAddr,
    admin: SocketAddr,
    data: PathBuf,
    log: PathBuf,
}

/// Runs the brokers until a signal comes.
pub(crate) fn serve(options: &DevOptions) -> ExitCode {
    let outcome = Runtimes::start(1, 1)
        .map_err(|error| format!("start threads: {error}"))
        .and_then(|runtimes| runtimes.block_on(run(&Env::real(&runtimes), options)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::from(2)
        }
    }
}

async fn run(env: &Env, options: &DevOptions) -> Result<(), ConfigProblem> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let members = members(options)?;
    prepare(env, options, &members)?;
    let commands: Vec<_> = members.iter().map(|member| (member, options, &*members)).collect();
    let mut children = Vec::new();
    for (member, options, members) in &commands {
        children.push(start(member, options, members)?);
    }
    let told = async {
        join_all(members.iter().map(|member| until_ready(env, member))).await;
        say(&table(&members));
        std::future::pending::<()>().await;
    };
    let keep =
        |((member, options, members), child)| keep_running(env, member, options, members, child);
    let keeping = join_all(commands.iter().copied().zip(&mut children).map(keep));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = told => {}
        _ = keeping => {}
    }
    // One after the other: each gives its partitions to those that are left.
    for (member, child) in members.iter().zip(&mut children) {
        stop(member, child).await;
    }
    Ok(())
}

/// Where each of them listens and keeps what it has.
fn members(options: &DevOptions) -> Result<Vec<Member>, ConfigProblem> {
    let parse = |option: &str, text: &str| -> Result<SocketAddr, ConfigProblem> {
        let address = text.replace("localhost:", "127.0.0.1:").parse::<SocketAddr>();
        let address =
            address.map_err(|error| format!("{option} {text}: {error}; write ADDRESS:PORT"))?;
        match address.port() {
            0 => Err(format!(
                "{option} {text}: several brokers need ports that are known; write one"
            )),
            _ => Ok(address),
        }
    };
    let kafka = parse("--kafka-addr", &options.kafka_addr)?;
    let admin = parse("--admin-addr", &options.admin_addr)?;
    let at = |base: SocketAddr, more: u16| -> Result<SocketAddr, ConfigProblem> {
        let port = base.port().checked_add(more);
        let port = port.ok_or_else(|| format!("there is no port {} + {more}", base.port()))?;
        Ok(SocketAddr::new(base.ip(), port))
    };
    (1..=options.brokers)
        .map(|id| {
            let name = format!("broker-{id}");
            Ok(Member {
                id,
                kafka: at(kafka, id - 1)?,
                peer: at(kafka, PEER_PORTS + id - 1)?,
                admin: at(admin, id - 1)?,
                data: options.data_dir.join(&name),
                log: options.data_dir.join(name + ".log"),
            })
        })
        .collect()
}

/// Makes the directory, and refuses one of another kind or of a cluster of another size: voters are neither added nor removed.
fn prepare(env: &Env, options: &DevOptions, members: &[Member]) -> Result<(), ConfigProblem> {
    let dir = &options.data_dir;
    let failed = |error: io::Error| {
        format!(
            "create {}: {error}. Give a directory that this user can write with --data-dir",
            dir.display()
        )
    };
    if dir.join("identity.json").exists() {
        return Err(format!(
            "{} is the directory of one broker: give another one with --data-dir, or leave --brokers out",
            dir.display()
        ));
    }
    let is_there = |id: usize| dir.join(format!("broker-{id}")).exists();
    let known = (1..=usize::from(u8::MAX)).take_while(|id| is_there(*id)).count();
    if known > 0 && known != members.len() {
        return Err(format!(
            "{} holds a cluster of {known} brokers: say --brokers {known}",
            dir.display()
        ));
    }
    env.disk.create_dir_all(dir).map_err(failed)?;
    make_secret(&*env.entropy, &secret_path(dir)).map_err(failed)
}

/// What the brokers know each other by. Only this user reads it; it stays the same for the life of the cluster.
fn make_secret(entropy: &dyn Entropy, path: &Path) -> io::Result<()> {
    let secret = format!("{:032x}{:032x}", entropy.next_u128(), entropy.next_u128());
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn secret_path(dir: &Path) -> PathBuf {
    dir.join("cluster-secret")
}

fn start(
    member: &Member,
    options: &DevOptions,
    members: &[Member],
) -> Result<Child, ConfigProblem> {
    let program = std::env::current_exe().map_err(|error| format!("find this program: {error}"))?;
    let log = OpenOptions::new().create(true).append(true).open(&member.log);
    let log = log.map_err(|error| format!("open {}: {error}", member.log.display()))?;
    let voters: Vec<_> =
        members.iter().map(|voter| format!("{}@{}", voter.id, voter.peer)).collect();
    let bucket = match &options.bucket {
        Some(url) => url.clone(),
        None => {
            let dir = std::path::absolute(options.data_dir.join("bucket"));
            let dir = dir.map_err(|error| format!("{}: {error}", options.data_dir.display()))?;
            format!("file://{}", dir.display())
        }
    };
    let mut command = Command::new(program);
    command.arg("dev").arg("--data-dir").arg(&member.data).args(["--bucket", &bucket]);
    command.args(["--kafka-addr", &member.kafka.to_string()]);
    command.args(["--admin-addr", &member.admin.to_string()]);
    let secret = secret_path(&options.data_dir);
    let own = [
        format!("node.id={}", member.id),
        format!("controller.quorum.voters={}", voters.join(",")),
        format!("esker.peer.listener={}", member.peer),
        format!("esker.cluster.secret.file={}", secret.display()),
    ];
    // One of them takes OTLP: its ports are for one.
    let no_otlp = ["esker.otlp.http.listener=".to_owned()];
    let others = if member.id == 1 { &[][..] } else { &no_otlp[..] };
    for setting in own.iter().chain(&options.settings).chain(others) {
        command.args(["--set", setting]);
    }
    // A signal from the terminal is for this process alone, which stops them one after the other.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.kill_on_drop(true);
    command.spawn().map_err(|error| format!("start broker {}: {error}", member.id))
}

async fn until_ready(env: &Env, member: &Member) {
    while !admin_is_ready(env, &member.admin.to_string()).await {
        env.clock.sleep(LOOK_EVERY).await;
    }
}

/// Starts the broker again whenever it ends.
async fn keep_running(
    env: &Env,
    member: &Member,
    options: &DevOptions,
    members: &[Member],
    child: &mut Child,
) {
    loop {
        let ended =
            child.wait().await.map_or_else(|error| error.to_string(), |end| end.to_string());
        let last = last_line(&member.log);
        complain(&format!("broker {} has ended ({ended}) and is started again: {last}", member.id));
        env.clock.sleep(RESTART_AFTER).await;
        match start(member, options, members) {
            Ok(again) => *child = again,
            Err(problem) => complain(&problem),
        }
    }
}

fn last_line(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next_back().unwrap_or_default().to_owned()
}

/// Asks a broker to stop and waits for it.
async fn stop(member: &Member, child: &mut Child) {
    if let Some(pid) = child.id() {
        let asked = Command::new("kill").arg(pid.to_string()).status().await;
        if !asked.is_ok_and(|status| status.success()) {
            let _already_gone = child.start_kill();
        }
    }
    if let Err(error) = child.wait().await {
        complain(&format!("broker {}: {error}", member.id));
    }
}

fn table(members: &[Member]) -> String {
    let rows = members.iter().map(|member| {
        let Member { id, kafka, admin, data, log, .. } = member;
        vec![
            id.to_string(),
            kafka.to_string(),
            admin.to_string(),
            data.display().to_string(),
            log.display().to_string(),
        ]
    });
    esker_cli::table(&["BROKER", "KAFKA", "ADMIN", "DATA", "LOG"], rows)
}

#[expect(clippy::print_stdout, reason = "the table of what was started")]
fn say(text: &str) {
    print!("{text}");
    let _closed = io::stdout().flush();
}

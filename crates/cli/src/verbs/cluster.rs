//! `esker cluster`, `broker`, `quorum`, `journal`, and `topic move`: what the admin interface of any broker answers.

use crate::admin_api::cluster::{
    BrokerStatus, ClusterStatus, Done, Finding, JournalStatus, PlannedMove, QuorumStatus,
    VoterStatus,
};
use crate::admin_http::call;
use crate::args::{AdminArgs, BrokerVerb, ClusterVerb, JournalVerb, OutputFormat, QuorumVerb};
use crate::failure::{Exit, Failure};
use crate::ui::{Row, Ui};
use esker_env::Env;
use hyper::Method;
use serde::Serialize;
use std::time::Duration;

/// Between two questions of one who waits.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// An admin interface that is asked.
pub(super) struct Asked<'a> {
    pub(super) env: &'a Env,
    pub(super) ui: Ui,
    pub(super) admin: &'a AdminArgs,
}

impl Asked<'_> {
    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        call(self.env, &self.admin.admin, Method::GET, path).await?.json().await
    }

    async fn post<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        call(self.env, &self.admin.admin, Method::POST, path).await?.json().await
    }

    async fn order(&self, path: &str) -> Result<(), Failure> {
        let Done { done } = self.post(path).await?;
        if done { Ok(()) } else { Err(Failure::new(Exit::Error, "the broker did not do it")) }
    }

    async fn status(&self) -> Result<ClusterStatus, Failure> {
        self.get("/v1/cluster").await
    }

    pub(super) async fn cluster(&self, verb: ClusterVerb) -> Result<(), Failure> {
        match verb {
            ClusterVerb::Health { wait, output } => self.health(wait, output.output).await,
            ClusterVerb::Describe { output } => self.describe(output.output).await,
            ClusterVerb::Balance { dry_run, output } => {
                let path =
                    if dry_run { "/v1/cluster/balance?dry-run" } else { "/v1/cluster/balance" };
                let moves: Vec<PlannedMove> = self.post(path).await?;
                self.ui.rows(output.output, &moves)?;
                let what = if dry_run { "would move" } else { "move" };
                self.ui.note(&format!("{} partitions {what}", moves.len()));
                Ok(())
            }
        }
    }

    /// Until all is well or time is over.
    async fn health(&self, wait: u64, output: OutputFormat) -> Result<(), Failure> {
        let clock = &*self.env.clock;
        let deadline = clock.now().plus(Duration::from_secs(wait));
        let findings = loop {
            let status = self.status().await;
            let is_late = clock.now() >= deadline;
            match status {
                Ok(status) if status.findings.is_empty() || is_late => break status.findings,
                Err(failure) if is_late => return Err(failure),
                Ok(_) | Err(_) => clock.sleep(ASK_AGAIN).await,
            }
        };
        let healthy = findings.is_empty();
        if output == OutputFormat::Json {
            self.ui.json(&Health { healthy, findings: &findings })?;
        } else if healthy {
            self.ui.line("healthy")?;
        } else {
            self.ui.rows(output, &findings)?;
        }
        if healthy {
            return Ok(());
        }
        let count = findings.len();
        Err(Failure::new(Exit::Unhealthy, format!("the cluster is not healthy: {count} reasons")))
    }

    async fn describe(&self, output: OutputFormat) -> Result<(), Failure> {
        let status = self.status().await?;
        if output == OutputFormat::Json {
            return self.ui.json(&status);
        }
        self.ui.rows(output, &status.brokers)?;
        let ClusterStatus { cluster, topics, partitions, moves, journals, .. } = &status;
        self.ui.note(&format!(
            "cluster {cluster}: {topics} topics, {partitions} partitions, {moves} of them on the move, {journals} journals"
        ));
        Ok(())
    }

    pub(super) async fn broker(&self, verb: BrokerVerb) -> Result<(), Failure> {
        match verb {
            BrokerVerb::List { output } => {
                self.ui.rows(output.output, &self.status().await?.brokers)
            }
            BrokerVerb::Drain { id, wait } => self.drain(id, wait).await,
            BrokerVerb::Resume { id } => {
                self.order(&format!("/v1/brokers/{id}/resume")).await?;
                self.ui.line(&format!("broker {id} may lead again"))
            }
            BrokerVerb::Remove { id, destroy } => {
                if destroy.dry_run {
                    return self.ui.line(&format!("broker {id} would be forgotten"));
                }
                self.ui.confirm(&format!("forget broker {id}"), destroy.yes)?;
                self.order(&format!("/v1/brokers/{id}/remove")).await?;
                self.ui.line(&format!("broker {id} is forgotten"))
            }
        }
    }

    async fn drain(&self, id: i32, wait: u64) -> Result<(), Failure> {
        self.order(&format!("/v1/brokers/{id}/drain")).await?;
        if wait == 0 {
            return self.ui.line(&format!("broker {id} is being drained"));
        }
        let clock = &*self.env.clock;
        let deadline = clock.now().plus(Duration::from_secs(wait));
        let bar = self.ui.progress("draining", None);
        loop {
            let brokers = self.status().await?.brokers;
            let broker = brokers.into_iter().find(|broker| broker.id == id);
            let Some(BrokerStatus { state, leads, holds, .. }) = broker else {
                return Err(Failure::new(Exit::NotFound, format!("no broker {id}")));
            };
            // Nobody waits for the dead: others have taken over.
            if (leads, holds) == (0, 0) || state == "fenced" {
                bar.finish_and_clear();
                return self.ui.line(&format!("broker {id} is drained"));
            }
            if clock.now() >= deadline {
                let what = format!(
                    "broker {id} still leads {leads} partitions and holds {holds} journals"
                );
                let failure = Failure::new(Exit::Timeout, what);
                return Err(failure.hint("it goes on; look with `esker broker list`"));
            }
            clock.sleep(ASK_AGAIN).await;
        }
    }

    pub(super) async fn quorum(&self, verb: QuorumVerb) -> Result<(), Failure> {
        let QuorumVerb::Describe { output } = verb;
        let quorum = self.status().await?.quorum;
        if output.output == OutputFormat::Json {
            return self.ui.json(&quorum);
        }
        self.ui.rows(output.output, &quorum.voters)?;
        let QuorumStatus { term, applied, .. } = quorum;
        self.ui.note(&format!("term {term}; this node has applied entry {applied}"));
        Ok(())
    }

    pub(super) async fn journal(&self, verb: JournalVerb) -> Result<(), Failure> {
        let mut journals: Vec<JournalStatus> = self.get("/v1/journals").await?;
        match verb {
            JournalVerb::List { output } => self.ui.rows(output.output, &journals),
            JournalVerb::Describe { id, output } => {
                journals.retain(|journal| journal.id == id);
                match journals.as_slice() {
                    [] => {
                        Err(Failure::new(Exit::NotFound, format!("no journal {id} holds anything")))
                    }
                    [one] if output.output == OutputFormat::Json => self.ui.json(one),
                    one => self.ui.rows(output.output, one),
                }
            }
        }
    }

    pub(super) async fn move_topic(&self, place: &str, to: i32) -> Result<(), Failure> {
        let (topic, partition) = match place.rsplit_once(':') {
            None => (place, None),
            Some((topic, partition)) => {
                let number = partition.parse::<u32>();
                let number = number.map_err(|_| {
                    Failure::usage(format!(
                        "`{partition}` is no partition: write TOPIC or TOPIC:NUMBER"
                    ))
                })?;
                (topic, Some(number))
            }
        };
        let more = partition.map(|number| format!("&partition={number}")).unwrap_or_default();
        self.order(&format!("/v1/topics/{topic}/move?to={to}{more}")).await?;
        self.ui.line(&format!("{place} moves to broker {to}"))
    }
}

#[derive(Serialize)]
struct Health<'a> {
    healthy: bool,
    findings: &'a [Finding],
}

impl Row for Finding {
    const COLUMNS: &'static [&'static str] = &["REASON", "WHAT", "TRY"];
    const NARROW: usize = 3;

    fn cells(&self) -> Vec<String> {
        vec![self.reason.clone(), self.what.clone(), self.advice.clone()]
    }

    fn name(&self) -> &str {
        &self.reason
    }
}

impl Row for BrokerStatus {
    const COLUMNS: &'static [&'static str] =
        &["BROKER", "STATE", "ADDRESS", "RACK", "LEADS", "JOURNALS", "HOLDS", "CONTROLLER", "PEER"];
    const NARROW: usize = 8;

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.state.clone(),
            self.address.clone(),
            self.rack.clone().unwrap_or_else(|| "-".to_owned()),
            self.leads.to_string(),
            self.journals.to_string(),
            self.holds.to_string(),
            if self.controller { "yes" } else { "-" }.to_owned(),
            self.peer.clone(),
        ]
    }

    fn name(&self) -> &str {
        &self.address
    }
}

impl Row for VoterStatus {
    const COLUMNS: &'static [&'static str] = &["VOTER", "LEADS", "ENTRY", "LAG", "ADDRESS"];
    const NARROW: usize = 5;

    fn cells(&self) -> Vec<String> {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        vec![
            self.id.to_string(),
            if self.leads { "yes" } else { "-" }.to_owned(),
            number(self.last_entry),
            number(self.lag),
            self.address.clone(),
        ]
    }

    fn name(&self) -> &str {
        &self.address
    }
}

impl Row for JournalStatus {
    const COLUMNS: &'static [&'static str] =
        &["JOURNAL", "OWNER", "SHARD", "STATE", "DRAINED", "END", "ACKS", "BROKERS", "STORES"];
    const NARROW: usize = 8;

    fn cells(&self) -> Vec<String> {
        let broker = |store: &crate::admin_api::cluster::JournalStore| match store.broker {
            Some(id) if store.alive => id.to_string(),
            Some(id) => format!("{id}?"),
            None => "?".to_owned(),
        };
        let all = |cells: Vec<String>| cells.join(",");
        vec![
            self.id.clone(),
            self.owner.to_string(),
            self.shard.to_string(),
            self.state.clone(),
            self.drained.to_string(),
            self.end.map_or_else(|| "-".to_owned(), |end| end.to_string()),
            self.acks.to_string(),
            all(self.stores.iter().map(broker).collect()),
            all(self.stores.iter().map(|store| store.store.clone()).collect()),
        ]
    }

    fn name(&self) -> &str {
        &self.id
    }
}

impl Row for PlannedMove {
    const COLUMNS: &'static [&'static str] = &["TOPIC", "PARTITION", "FROM", "TO"];
    const NARROW: usize = 4;

    fn cells(&self) -> Vec<String> {
        let Self { topic, partition, from, to } = self;
        vec![topic.clone(), partition.to_string(), from.to_string(), to.to_string()]
    }

    fn name(&self) -> &str {
        &self.topic
    }
}

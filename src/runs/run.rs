//! The document of a run: everything about it except its store's records.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Random, Timestamp},
    kv::{ActorId, Creator, GeneralAccess, Patch, RunId, StoreId, TokenId, UserId},
};

use super::{
    run_repository::{Result, RunsError},
    status::{Outcome, RunStatus},
};

/// Maximum number of metamorphs of a run (the platform's limit).
pub const MAX_METAMORPHS: usize = 10;

/// Maximum number of tokens of a run.
const MAX_TOKENS: usize = 500;

/// Key prefix of later inputs, before their numbers from 1 on.
const LATER_INPUT: &str = "INPUT-METAMORPH-";

/// The key of a run's first input.
const FIRST_INPUT: &str = "INPUT";

/// Origin of a run; the platform's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunOrigin {
    /// A developer.
    Development,
    /// A page.
    Web,
    /// A request.
    Api,
    /// A schedule.
    Scheduler,
    /// A test.
    Test,
    /// A webhook.
    Webhook,
    /// Another actor.
    Actor,
    /// A command.
    Cli,
    /// Continuous integration.
    Ci,
    /// A standby actor.
    Standby,
    /// A model's tool.
    Mcp,
}

impl RunOrigin {
    /// All origins, by their words.
    pub const NAMES: [(&str, Self); 11] = [
        ("DEVELOPMENT", Self::Development),
        ("WEB", Self::Web),
        ("API", Self::Api),
        ("SCHEDULER", Self::Scheduler),
        ("TEST", Self::Test),
        ("WEBHOOK", Self::Webhook),
        ("ACTOR", Self::Actor),
        ("CLI", Self::Cli),
        ("CI", Self::Ci),
        ("STANDBY", Self::Standby),
        ("MCP", Self::Mcp),
    ];

    /// Returns the word in the API.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, origin)| *origin == self).map_or("API", |(name, _)| name)
    }

    /// Parses the word of the API.
    pub fn parse(word: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(name, _)| *name == word).map(|(_, origin)| origin)
    }
}

/// Settings of a run. Larder enforces only the timeout; the rest is kept for the runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSettings {
    /// Build of the actor.
    pub build: String,
    /// Timeout in seconds; 0 for none.
    pub timeout_secs: u64,
    /// Its memory in MiB.
    pub memory_mbytes: u32,
    /// Its disk space in MiB.
    pub disk_mbytes: u32,
}

/// A change of the actor within a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metamorph {
    /// Time of the request.
    pub created_at: Timestamp,
    /// The new actor.
    pub actor_id: ActorId,
    /// Its build.
    pub build_id: ActorId,
    /// The record that holds its input.
    pub input_key: String,
}

/// A run to create.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The run and its actor.
    pub actor_run: Creator,
    /// The owner.
    pub owner_id: UserId,
    /// The task, if any.
    pub task: Option<ActorId>,
    /// The token that creates it, if that token is limited to what it creates.
    pub creator: Option<TokenId>,
    /// Its origin.
    pub origin: RunOrigin,
    /// Its settings.
    pub settings: RunSettings,
    /// Its build.
    pub build_id: ActorId,
    /// Its store.
    pub store: StoreId,
    /// Its dataset and request queue, if an upstream has them.
    pub upstream_ids: Option<UpstreamIds>,
}

/// Storages of a run at the upstream, by its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamIds {
    /// Its dataset.
    pub dataset: String,
    /// Its request queue.
    pub request_queue: String,
}

impl UpstreamIds {
    /// Returns placeholder ids without an upstream: the platform's models require them.
    fn generate(random: &dyn Random) -> Self {
        let id = || StoreId::generate(random).to_string();
        Self { dataset: id(), request_queue: id() }
    }
}

/// Everything about a run; kept at `larder/runs/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its permanent id.
    pub id: RunId,
    /// Incremented by every write.
    pub version: u64,
    /// Fresh with every write: a writer whose response was lost can read back whether it won.
    pub nonce: String,
    /// The owner.
    pub owner_id: UserId,
    /// The actor that was started.
    #[serde(rename = "actorId")]
    pub actor: ActorId,
    /// The task that was started, if any.
    #[serde(rename = "taskId")]
    pub task: Option<ActorId>,
    /// The token that created it, if that token is limited to what it creates.
    #[serde(rename = "creatorTokenId", default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<TokenId>,
    /// Creation time.
    pub started_at: Timestamp,
    /// Time of its end.
    pub finished_at: Option<Timestamp>,
    /// Its status.
    pub status: RunStatus,
    /// Its status message.
    pub status_message: Option<String>,
    /// True if that message was its last.
    pub is_status_message_terminal: Option<bool>,
    /// Its origin.
    pub origin: RunOrigin,
    /// Its settings.
    pub settings: RunSettings,
    /// Its build.
    pub build_id: ActorId,
    /// Exit code of its program.
    pub exit_code: Option<i32>,
    /// Access for users without a right of their own.
    pub general_access: GeneralAccess,
    /// Its key-value store.
    #[serde(rename = "storeId")]
    pub store: StoreId,
    /// Id of its dataset at the upstream, or a placeholder.
    #[serde(rename = "datasetId")]
    pub dataset: String,
    /// Id of its request queue at the upstream, or a placeholder.
    #[serde(rename = "requestQueueId")]
    pub request_queue: String,
    /// Number of later inputs begun; some may not have arrived.
    #[serde(rename = "inputsStarted")]
    pub inputs_begun: usize,
    /// Its metamorphs.
    pub metamorphs: Vec<Metamorph>,
    /// Its last recorded heartbeat.
    #[serde(rename = "heartbeatAt")]
    pub seen_at: Timestamp,
    /// Time of the abort request.
    #[serde(rename = "abortRequestedAt")]
    pub abort_requested_at: Option<Timestamp>,
    /// Tokens that were created for it and end with it.
    #[serde(rename = "tokenIds")]
    pub tokens: Vec<TokenId>,
    /// Uptimes of its creation, last heartbeat and abort request.
    #[serde(rename = "uptimeMillis")]
    pub uptimes: Uptimes,
    /// Number of uses of its store at the last check.
    #[serde(rename = "storeUseCount")]
    pub store_uses: Option<u64>,
}

/// Moments of a run by the uptime of the installation, in milliseconds, which no wall clock change moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Uptimes {
    /// Its creation.
    pub started: u64,
    /// Its last recorded heartbeat.
    #[serde(rename = "heartbeat")]
    pub seen: u64,
    /// The abort request.
    #[serde(rename = "abortRequested", default, skip_serializing_if = "Option::is_none")]
    pub abort_requested: Option<u64>,
}

/// An update of a run by its runner or owner.
#[derive(Debug, Clone, Default)]
pub struct RunUpdate {
    /// Its status message.
    pub status_message: Patch<String>,
    /// True if that message is the last; `None` to leave it unchanged.
    pub is_status_message_terminal: Option<bool>,
    /// General access; `None` to leave it unchanged.
    pub general_access: Option<GeneralAccess>,
}

impl NewRun {
    /// Returns the first document of the run.
    pub fn into_run(self, random: &dyn Random, now: Timestamp) -> Run {
        let Self { actor_run, owner_id, task, creator, origin, settings, build_id, store, upstream_ids } = self;
        let UpstreamIds { dataset, request_queue } = upstream_ids.unwrap_or_else(|| UpstreamIds::generate(random));
        let mut run = Run {
            id: actor_run.run,
            version: 0,
            nonce: String::new(),
            owner_id,
            actor: actor_run.actor,
            task,
            creator,
            started_at: now,
            finished_at: None,
            status: RunStatus::Ready,
            status_message: None,
            is_status_message_terminal: None,
            origin,
            settings,
            build_id,
            exit_code: None,
            general_access: GeneralAccess::default(),
            store,
            dataset,
            request_queue,
            inputs_begun: 0,
            metamorphs: Vec::new(),
            seen_at: now,
            abort_requested_at: None,
            tokens: Vec::new(),
            uptimes: Uptimes::default(),
            store_uses: None,
        };
        run.touch(random);
        run
    }
}

impl Run {
    /// Marks the document as changed.
    pub fn touch(&mut self, random: &dyn Random) {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        self.version += 1;
        self.nonce = format!("{:032x}", u128::from_be_bytes(bytes));
    }

    /// Returns the time of its timeout, if it has one.
    pub fn deadline(&self) -> Option<Timestamp> {
        let limit = Duration::from_secs(self.settings.timeout_secs);
        (!limit.is_zero()).then(|| self.started_at.plus(limit))
    }

    /// Returns the key of its current input.
    pub fn input_key(&self) -> &str {
        self.metamorphs.last().map_or(FIRST_INPUT, |metamorph| &metamorph.input_key)
    }

    /// Returns its current actor.
    pub fn current_actor(&self) -> ActorId {
        self.metamorphs.last().map_or(self.actor, |metamorph| metamorph.actor_id)
    }

    /// Records a heartbeat. Returns whether to write it, which is at most once per `step`.
    pub fn record_heartbeat(&mut self, now: Timestamp, step: Duration) -> bool {
        let status = self.status.after_heartbeat();
        // A date far ahead was written by a clock that was wrong.
        let is_fresh = now.since(self.seen_at) < step && self.seen_at.since(now) < step;
        if status.is_terminal() || status == self.status && is_fresh {
            return false;
        }
        self.status = status;
        self.seen_at = if is_fresh { self.seen_at.max(now) } else { now };
        true
    }

    /// Records its end. Returns whether anything changed.
    pub fn finish(&mut self, outcome: Outcome, exit_code: Option<i32>, now: Timestamp) -> bool {
        if self.status.is_terminal() {
            return false;
        }
        self.status = self.status.finished(outcome);
        self.exit_code = exit_code;
        self.finished_at = Some(now);
        true
    }

    /// Records an abort request. Returns whether anything changed.
    pub fn request_abort(&mut self, now: Timestamp) -> bool {
        let status = self.status.abort_requested();
        let is_news = status != self.status;
        if is_news {
            self.status = status;
            self.abort_requested_at = Some(now);
            self.finished_at = status.is_terminal().then_some(now);
        }
        is_news
    }

    /// Applies an update. Returns whether there is anything to write.
    pub fn apply(&mut self, update: &RunUpdate) -> bool {
        let before = (self.status_message.clone(), self.is_status_message_terminal, self.general_access);
        // A terminal message stays, even if a periodic warning arrives late.
        if self.is_status_message_terminal != Some(true) || update.is_status_message_terminal == Some(true) {
            match &update.status_message {
                Patch::Keep => {}
                Patch::Clear => self.status_message = None,
                Patch::Set(message) => self.status_message = Some(message.clone()),
            }
            self.is_status_message_terminal = update.is_status_message_terminal.or(self.is_status_message_terminal);
        }
        self.general_access = update.general_access.unwrap_or(self.general_access);
        before != (self.status_message.clone(), self.is_status_message_terminal, self.general_access)
    }

    /// Reserves a number for another input. Returns the key of its record, to be written next.
    pub fn begin_input(&mut self) -> Result<String> {
        if self.status.is_terminal() {
            return Err(RunsError::Over);
        }
        if self.inputs_begun >= MAX_METAMORPHS {
            return Err(RunsError::TooManyMetamorphs { limit: MAX_METAMORPHS });
        }
        self.inputs_begun += 1;
        Ok(format!("{LATER_INPUT}{}", self.inputs_begun))
    }

    /// Records a metamorph, once its input exists. Returns whether anything changed.
    pub fn metamorph(&mut self, metamorph: Metamorph) -> Result<bool> {
        if self.status.is_terminal() {
            return Err(RunsError::Over);
        }
        let is_news = !self.metamorphs.contains(&metamorph);
        if is_news {
            self.metamorphs.push(metamorph);
        }
        Ok(is_news)
    }

    /// Records a token that ends with the run.
    pub fn add_token(&mut self, token: TokenId) -> Result<()> {
        if self.status.is_terminal() {
            return Err(RunsError::Over);
        }
        if self.tokens.len() >= MAX_TOKENS {
            return Err(RunsError::TooManyTokens { limit: MAX_TOKENS });
        }
        self.tokens.push(token);
        Ok(())
    }
}

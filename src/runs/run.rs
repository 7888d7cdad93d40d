//! The document of a run: everything about it but its store's records.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Random, Timestamp},
    kv::{ActorId, Change, GeneralAccess, Maker, RunId, StoreId, TokenId, UserId},
};

use super::{
    error::{Result, RunsError},
    status::{Outcome, RunStatus},
};

/// How often a run can be given another input and another actor (the platform's limit).
pub const MAX_METAMORPHS: usize = 10;

/// The most tokens that can be made for one run.
const MAX_TOKENS: usize = 500;

/// What begins the keys of inputs that came later, before their numbers from 1 on.
const LATER_INPUT: &str = "INPUT-METAMORPH-";

/// The key of a run's first input.
const FIRST_INPUT: &str = "INPUT";

/// What a run was started by; the platform's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunOrigin {
    /// Somebody who develops it.
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
    /// Every origin there is, by its word.
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

    /// Returns the word of the API.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, origin)| *origin == self).map_or("API", |(name, _)| name)
    }

    /// The origin of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(name, _)| *name == word).map(|(_, origin)| origin)
    }
}

/// What was asked for when a run was started. Nothing here is enforced but the time; it is kept for who runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSettings {
    /// Which build of the actor.
    pub build: String,
    /// How long it may take in seconds; 0 is for ever.
    pub timeout_secs: u64,
    /// Its memory in MiB.
    pub memory_mbytes: u32,
    /// Its room on a disk in MiB.
    pub disk_mbytes: u32,
}

/// A change of what is run, within a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metamorph {
    /// When it was asked for.
    pub created_at: Timestamp,
    /// What is run from then on.
    pub actor_id: ActorId,
    /// Which build of it.
    pub build_id: ActorId,
    /// The record that holds its input.
    pub input_key: String,
}

/// A run that is to be.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Identifies it, and the actor that is run.
    pub maker: Maker,
    /// Whose run it is.
    pub owner_id: UserId,
    /// The task that is run, if it is one.
    pub task: Option<ActorId>,
    /// The token that makes it, if it is one that is limited to what it makes.
    pub creator: Option<TokenId>,
    /// What it is started by.
    pub origin: RunOrigin,
    /// What was asked for.
    pub settings: RunSettings,
    /// Which build that is.
    pub build_id: ActorId,
    /// Its store.
    pub store: StoreId,
    /// Its dataset and its request queue, where an upstream has them.
    pub elsewhere: Option<Elsewhere>,
}

/// What a run has elsewhere, as the server calls it that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its dataset.
    pub dataset: String,
    /// Its request queue.
    pub request_queue: String,
}

impl Elsewhere {
    /// What would be there if there were such a server: the platform's models want ids.
    fn nowhere(random: &dyn Random) -> Self {
        let id = || StoreId::generate(random).to_string();
        Self { dataset: id(), request_queue: id() }
    }
}

/// Everything about a run; stands at `larder/runs/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Identifies it, for ever.
    pub id: RunId,
    /// One more with every write.
    pub version: u64,
    /// Fresh with every write, so that whoever lost the answer to one can read back whether it was his.
    pub nonce: String,
    /// Whose run it is.
    pub owner_id: UserId,
    /// The actor that was started.
    #[serde(rename = "actorId")]
    pub actor: ActorId,
    /// The task that was started, if it was one.
    #[serde(rename = "taskId")]
    pub task: Option<ActorId>,
    /// The token that made it, if one did that is limited to what it made.
    #[serde(rename = "creatorTokenId", default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<TokenId>,
    /// When it was made.
    pub started_at: Timestamp,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// How far it has come.
    pub status: RunStatus,
    /// What it says of itself.
    pub status_message: Option<String>,
    /// Whether that was its last word.
    pub is_status_message_terminal: Option<bool>,
    /// What it was started by.
    pub origin: RunOrigin,
    /// What was asked for.
    pub settings: RunSettings,
    /// Which build of the actor that is.
    pub build_id: ActorId,
    /// What its program exited with.
    pub exit_code: Option<i32>,
    /// Who may see it without a right of his own.
    pub general_access: GeneralAccess,
    /// Its key-value store.
    #[serde(rename = "storeId")]
    pub store: StoreId,
    /// What its dataset is called by the upstream, or would be if there were one.
    #[serde(rename = "datasetId")]
    pub dataset: String,
    /// What its request queue is called by the upstream, or would be if there were one.
    #[serde(rename = "requestQueueId")]
    pub request_queue: String,
    /// Inputs that came later and were begun; some may not have arrived.
    #[serde(rename = "inputsStarted")]
    pub inputs_begun: usize,
    /// What it became.
    pub metamorphs: Vec<Metamorph>,
    /// Its last sign of life that was written down.
    #[serde(rename = "heartbeatAt")]
    pub seen_at: Timestamp,
    /// Since when somebody wants it to end.
    #[serde(rename = "abortRequestedAt")]
    pub abort_asked_at: Option<Timestamp>,
    /// Tokens that were made for it and end with it.
    #[serde(rename = "tokenIds")]
    pub tokens: Vec<TokenId>,
    /// When it was made, last seen and asked to end, by uptime.
    #[serde(rename = "uptimeMillis")]
    pub uptimes: Uptimes,
    /// Number of uses of its store when that was looked at last.
    #[serde(rename = "storeUseCount")]
    pub store_uses: Option<u64>,
}

/// Moments of a run by the uptime of the installation, in milliseconds: what no change of the wall clock moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Uptimes {
    /// When it was made.
    pub started: u64,
    /// Its last sign of life that was written down.
    #[serde(rename = "heartbeat")]
    pub seen: u64,
    /// When it was asked to end.
    #[serde(rename = "abortRequested", default, skip_serializing_if = "Option::is_none")]
    pub abort_asked: Option<u64>,
}

/// Changes that whoever runs it, or owns it, makes.
#[derive(Debug, Clone, Default)]
pub struct RunUpdate {
    /// What it says of itself.
    pub status_message: Change<String>,
    /// Whether that is its last word, unless that stays.
    pub is_status_message_terminal: Option<bool>,
    /// Who may see it, unless that stays.
    pub general_access: Option<GeneralAccess>,
}

impl NewRun {
    /// The first document of the run.
    pub fn into_run(self, random: &dyn Random, now: Timestamp) -> Run {
        let Self { maker, owner_id, task, creator, origin, settings, build_id, store, elsewhere } = self;
        let Elsewhere { dataset, request_queue } = elsewhere.unwrap_or_else(|| Elsewhere::nowhere(random));
        let mut run = Run {
            id: maker.run,
            version: 0,
            nonce: String::new(),
            owner_id,
            actor: maker.actor,
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
            abort_asked_at: None,
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

    /// When its time is over, if it has not for ever.
    pub fn deadline(&self) -> Option<Timestamp> {
        let limit = Duration::from_secs(self.settings.timeout_secs);
        (!limit.is_zero()).then(|| self.started_at.plus(limit))
    }

    /// The record that holds its input now.
    pub fn input_key(&self) -> &str {
        self.metamorphs.last().map_or(FIRST_INPUT, |metamorph| &metamorph.input_key)
    }

    /// What is run now.
    pub fn current_actor(&self) -> ActorId {
        self.metamorphs.last().map_or(self.actor, |metamorph| metamorph.actor_id)
    }

    /// Notes a sign of life; whether that is to be written down, which it is only so often.
    pub fn seen(&mut self, now: Timestamp, step: Duration) -> bool {
        let status = self.status.alive();
        // What is far ahead was written by a clock that was wrong.
        let is_fresh = now.since(self.seen_at) < step && self.seen_at.since(now) < step;
        if status.is_terminal() || status == self.status && is_fresh {
            return false;
        }
        self.status = status;
        self.seen_at = if is_fresh { self.seen_at.max(now) } else { now };
        true
    }

    /// Notes how it ended; whether that is news.
    pub fn finish(&mut self, outcome: Outcome, exit_code: Option<i32>, now: Timestamp) -> bool {
        if self.status.is_terminal() {
            return false;
        }
        self.status = self.status.finished(outcome);
        self.exit_code = exit_code;
        self.finished_at = Some(now);
        true
    }

    /// Notes that somebody wants it to end; whether that is news.
    pub fn ask_to_abort(&mut self, now: Timestamp) -> bool {
        let status = self.status.abort_asked();
        let is_news = status != self.status;
        if is_news {
            self.status = status;
            self.abort_asked_at = Some(now);
            self.finished_at = status.is_terminal().then_some(now);
        }
        is_news
    }

    /// Makes an update; whether there is anything to write.
    pub fn apply(&mut self, update: &RunUpdate) -> bool {
        let before = (self.status_message.clone(), self.is_status_message_terminal, self.general_access);
        // What a program said last stands, also when a warning of the kind that comes by the minute is late.
        if self.is_status_message_terminal != Some(true) || update.is_status_message_terminal == Some(true) {
            match &update.status_message {
                Change::Keep => {}
                Change::Clear => self.status_message = None,
                Change::Set(message) => self.status_message = Some(message.clone()),
            }
            self.is_status_message_terminal = update.is_status_message_terminal.or(self.is_status_message_terminal);
        }
        self.general_access = update.general_access.unwrap_or(self.general_access);
        before != (self.status_message.clone(), self.is_status_message_terminal, self.general_access)
    }

    /// Takes a number for another input, whose record is written next; the record's key.
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

    /// Notes what it becomes, once the input for that is there; whether that is news.
    pub fn become_other(&mut self, metamorph: Metamorph) -> Result<bool> {
        if self.status.is_terminal() {
            return Err(RunsError::Over);
        }
        let is_news = !self.metamorphs.contains(&metamorph);
        if is_news {
            self.metamorphs.push(metamorph);
        }
        Ok(is_news)
    }

    /// Notes a token that is to end with the run.
    pub fn remember_token(&mut self, token: TokenId) -> Result<()> {
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

//! All pairs of calls, with every interleaving in which the second runs wholly between two steps of the first, and others by chance.

use std::{sync::Arc, time::Duration};

use larder::clock::{Random, SeededRandom};
use tokio::task::JoinHandle;

use super::{
    calls::{ALL, Call},
    scene::{Answer, Gateway, STALENESS, Scene},
};

/// Interleavings by chance that are tried of each pair, beside those that are tried in order.
const BY_CHANCE: u64 = 3;

/// Interleaving of two calls.
#[derive(Debug, Clone, Copy)]
enum Schedule {
    /// The second call begins after so many steps of the first, and runs to its end.
    Within(usize),
    /// Whatever waits goes on, by chance.
    ByChance(u64),
}

/// A call that was answered, by which gateway.
struct Done {
    call: Call,
    answer: Answer,
    gateway: Arc<Gateway>,
}

/// A run of two calls.
struct Trial {
    scene: Arc<Scene>,
    calls: [Call; 2],
    wrong: Vec<String>,
}

impl Trial {
    fn begin(&self, call: Call, gateway: usize) -> JoinHandle<Done> {
        let scene = self.scene.clone();
        let gateway = scene.gateways[gateway].clone();
        #[expect(clippy::disallowed_methods, reason = "the runtime ends with the trial")]
        tokio::spawn(async move {
            let answer = call.make(&scene, &gateway).await;
            Done { call, answer, gateway }
        })
    }

    /// Lets steps of both calls go on as the schedule says; returns whether the first was still at it when the second began.
    async fn interleave(&mut self, calls: [Call; 2], schedule: Schedule) -> (Vec<Done>, bool) {
        let gate = self.scene.gate.clone();
        let last = self.scene.gateways.len() - 1;
        gate.close(true);
        let first = self.begin(calls[0], 0);
        let (second, is_within) = match schedule {
            Schedule::Within(steps) => {
                for _ in 0..steps {
                    gate.settle().await;
                    match gate.waiting().first().copied() {
                        Some(next) => gate.release(next),
                        None if first.is_finished() => break,
                        // It waits until other gateways know.
                        None => self.scene.advance(Duration::from_secs(1)),
                    }
                }
                gate.settle().await;
                let is_within = !first.is_finished();
                let mark = gate.arrivals();
                let second = self.begin(calls[1], last);
                while !second.is_finished() {
                    gate.settle().await;
                    let waiting = gate.waiting();
                    // If the second call waits for a lock of the first, the first proceeds.
                    let next = waiting.iter().find(|number| **number >= mark).or(waiting.first()).copied();
                    match next {
                        Some(number) => gate.release(number),
                        // It waits until other gateways know.
                        None => self.scene.advance(Duration::from_secs(1)),
                    }
                }
                let second = second.await.expect("it does not panic");
                // An acknowledged change holds at once, while the first call is still in flight.
                gate.close(false);
                self.judge_tokens(&[&second], &second.gateway, "at once").await;
                (second, is_within)
            }
            Schedule::ByChance(seed) => {
                let (random, second) = (SeededRandom::new(seed), self.begin(calls[1], last));
                while !(first.is_finished() && second.is_finished()) {
                    gate.settle().await;
                    let waiting = gate.waiting();
                    if waiting.is_empty() {
                        self.scene.advance(Duration::from_secs(1));
                    } else {
                        gate.release(waiting[below(&random, waiting.len())]);
                    }
                }
                (second.await.expect("it does not panic"), true)
            }
        };
        gate.open();
        while !first.is_finished() {
            gate.settle().await;
            self.scene.advance(Duration::from_secs(1));
        }
        (vec![first.await.expect("it does not panic"), second], is_within)
    }

    /// Compares the tokens and rights on a gateway with the responses.
    async fn judge_tokens(&mut self, done: &[&Done], gateway: &Gateway, when: &str) {
        let scene = self.scene.clone();
        let succeeded = |call: Call| done.iter().any(|done| done.call == call && done.answer.status < 300);
        let (no_alice, is_over) = (succeeded(Call::DisableAlice), succeeded(Call::FinishRun));
        let mut dead = vec![
            (no_alice || succeeded(Call::RevokeToken), scene.own.token.clone(), "her token"),
            (no_alice || is_over || succeeded(Call::RevokeRunToken), scene.of_run.token.clone(), "the run's token"),
            (succeeded(Call::DisableBob), scene.bobs.token.clone(), "the user's token"),
        ];
        for made in done {
            if let Some((_, token)) = made.call.made(&made.answer) {
                dead.push((no_alice || is_over && made.call.makes_run_token(), token, "the new token"));
            }
        }
        for (is_dead, token, what) in dead {
            if is_dead && gateway.is_valid(&token).await {
                self.wrong.push(format!("{what} is valid {when}"));
            }
        }
        let is_shut_out = succeeded(Call::DisableBob) || succeeded(Call::Unshare) && !succeeded(Call::Share);
        if is_shut_out && scene.may_write(gateway).await {
            self.wrong.push(format!("the user may write {when}"));
        }
        // If both calls take it away, one of the two ends the links, and the other gateway may be the one that did.
        let is_taken = succeeded(Call::Unshare) || succeeded(Call::DisableBob) && !self.calls.contains(&Call::Unshare);
        if is_taken && scene.link_opens(gateway).await {
            self.wrong.push(format!("a link that the user signed opens {when}"));
        }
    }

    /// Compares the live objects with the listed ones.
    async fn judge_living(&mut self, done: &[Done]) {
        let scene = self.scene.clone();
        let gateway = &scene.gateways[0];
        let all: Vec<_> = done.iter().map(|done| done.call).collect();
        let listed = gateway.ask("GET", "/larder/v1/tokens?username=alice", None).await.data.to_string();
        let made = done.iter().filter_map(|done| done.call.made(&done.answer).map(|made| (done.call, made)));
        let known = [&scene.own, &scene.of_run].map(|known| (known.id.clone(), known.token.clone()));
        let made: Vec<_> = made.collect();
        for (id, token) in known.iter().chain(made.iter().map(|(_, made)| made)) {
            if gateway.is_valid(token).await && !listed.contains(id.as_str()) {
                self.wrong.push(format!("{id} is valid and not listed"));
            }
        }
        for (call, (_, token)) in &made {
            let may_be_dead = all.contains(&Call::DisableAlice)
                || call.makes_run_token() && all.contains(&Call::FinishRun)
                || *call == Call::ReplaceToken && all.contains(&Call::RevokeToken)
                || *call == Call::ReplaceRunToken && all.contains(&Call::RevokeRunToken);
            if !may_be_dead && !gateway.is_valid(token).await {
                self.wrong.push(format!("what {call:?} made is not valid"));
            }
        }
        let shared =
            gateway.ask_with(Some(&scene.bobs.token), "GET", "/v2/key-value-stores?ownership=sharedWithMe", None);
        let is_listed = shared.await.data.to_string().contains(&scene.store);
        if is_listed != scene.may_write(gateway).await && !all.contains(&Call::DisableBob) {
            self.wrong.push("what the user may do and what is listed differ".to_owned());
        }
    }

    /// Compares the state after a long time with the responses.
    async fn judge_in_the_end(&mut self, done: &[Done]) {
        let scene = self.scene.clone();
        let all: Vec<_> = done.iter().collect();
        for wait in [Duration::from_hours(2), Duration::from_hours(2), Duration::from_hours(24 * 40)] {
            scene.advance(wait);
            for gateway in &scene.gateways {
                gateway.do_jobs().await;
                self.judge_tokens(&all, gateway, "much later").await;
            }
        }
        for (call, id) in [(Call::RevokeToken, &scene.own.id), (Call::RevokeRunToken, &scene.of_run.id)] {
            let is_revoked = done.iter().any(|done| done.call == call && done.answer.status == 204);
            let left = scene.left_of(id).await;
            if is_revoked && !left.is_empty() {
                self.wrong.push(format!("of a revoked token there is left: {left:?}"));
            }
        }
    }
}

fn below(random: &SeededRandom, bound: usize) -> usize {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    usize::try_from(u64::from_le_bytes(bytes) % bound as u64).expect("it is small")
}

/// Makes two calls as the schedule says. Returns the contradictions, and whether the calls overlapped.
fn run(seed: u64, calls: [Call; 2], schedule: Schedule, is_shared: bool) -> (Vec<String>, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let scene = Arc::new(Scene::new(seed, is_shared).await);
        let mut trial = Trial { scene: scene.clone(), calls, wrong: Vec::new() };
        let (done, is_within) = trial.interleave(calls, schedule).await;
        for each in &done {
            // The calls of a pair may refuse each other, and fail in no other way.
            if !matches!(each.answer.status, 200..=204 | 400 | 404) {
                trial.wrong.push(format!("{:?} was answered {:?}", each.call, each.answer));
            }
            // A store that was shared again meanwhile stays shared.
            if each.call != Call::Unshare || !calls.contains(&Call::Share) {
                trial.judge_tokens(&[each], &each.gateway, "on its gateway").await;
            }
        }
        scene.advance(STALENESS);
        let all: Vec<_> = done.iter().collect();
        for gateway in &scene.gateways {
            trial.judge_tokens(&all, gateway, "after the staleness bound").await;
        }
        trial.judge_living(&done).await;
        trial.judge_in_the_end(&done).await;
        (trial.wrong, is_within)
    })
}

fn try_all(is_shared: bool) {
    let (mut seed, mut wrong) = (0, Vec::new());
    for first in ALL {
        for second in ALL {
            let mut note = |schedule| {
                seed += 1;
                let (found, is_within) = run(seed, [first, second], schedule, is_shared);
                wrong.extend(found.into_iter().map(|what| format!("{first:?}, {second:?} {schedule:?}: {what}")));
                is_within
            };
            let mut steps = 0;
            while note(Schedule::Within(steps)) {
                steps += 1;
            }
            for chance in 0..BY_CHANCE {
                note(Schedule::ByChance(chance));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} things are wrong in {seed} interleavings:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(60)].join("\n")
    );
}

#[test]
fn what_a_call_takes_away_on_one_gateway_is_gone_for_ever_however_another_call_meets_it() {
    try_all(false);
}

#[test]
fn what_a_call_takes_away_on_one_of_two_gateways_is_gone_on_both_however_another_call_meets_it() {
    try_all(true);
}

//! The calls, and what has to hold after each of them.

use serde_json::json;

use super::scene::{Answer, Gateway, Scene};

/// A call that gives or takes rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    CreateToken,
    ReplaceToken,
    RevokeToken,
    ReplaceRunToken,
    RevokeRunToken,
    DisableAlice,
    DisableBob,
    Share,
    Unshare,
    FinishRun,
    MakeEnvironment,
}

/// All of them.
pub const ALL: [Call; 11] = [
    Call::CreateToken,
    Call::ReplaceToken,
    Call::RevokeToken,
    Call::ReplaceRunToken,
    Call::RevokeRunToken,
    Call::DisableAlice,
    Call::DisableBob,
    Call::Share,
    Call::Unshare,
    Call::FinishRun,
    Call::MakeEnvironment,
];

impl Call {
    /// Makes the call.
    pub async fn make(self, scene: &Scene, gateway: &Gateway) -> Answer {
        let Scene { own, of_run, run, store, .. } = scene;
        // An overlap of 30 days: what lives on lives on for long.
        let replaced = Some(json!({ "username": "alice", "overlapSecs": 2_592_000 }));
        let disabled = Some(json!({ "isDisabled": true }));
        let access = format!("/larder/v1/stores/{store}/access/bob");
        match self {
            Self::CreateToken => gateway.ask("POST", "/larder/v1/tokens", Some(json!({ "username": "alice" }))).await,
            Self::ReplaceToken => gateway.ask("POST", &format!("/larder/v1/tokens/{}/replace", own.id), replaced).await,
            Self::ReplaceRunToken => {
                gateway.ask("POST", &format!("/larder/v1/tokens/{}/replace", of_run.id), replaced).await
            }
            Self::RevokeToken => revoke(gateway, &own.id).await,
            Self::RevokeRunToken => revoke(gateway, &of_run.id).await,
            Self::DisableAlice => gateway.ask("PUT", "/larder/v1/users/alice", disabled).await,
            Self::DisableBob => gateway.ask("PUT", "/larder/v1/users/bob", disabled).await,
            Self::Share => gateway.ask("PUT", &access, Some(json!({ "right": "write" }))).await,
            Self::Unshare => gateway.ask("DELETE", &access, None).await,
            Self::FinishRun => {
                gateway.ask("POST", &format!("/larder/v1/runs/{run}/finish"), Some(json!({ "exitCode": 0 }))).await
            }
            Self::MakeEnvironment => {
                gateway.ask("POST", &format!("/larder/v1/runs/{run}/environment"), Some(json!({}))).await
            }
        }
    }

    /// Returns the token that a successful call has made, with its id.
    pub fn made(self, answer: &Answer) -> Option<(String, String)> {
        if answer.status != 201 {
            return None;
        }
        match self {
            Self::CreateToken | Self::ReplaceToken | Self::ReplaceRunToken => {
                Some((answer.text("id"), answer.text("token")))
            }
            Self::MakeEnvironment => {
                let token = answer.data["environment"]["APIFY_TOKEN"].as_str().expect("a token").to_owned();
                Some((answer.text("tokenId"), token))
            }
            _ => None,
        }
    }

    /// Returns whether the token that this call made ends with a run.
    pub fn makes_run_token(self) -> bool {
        matches!(self, Self::ReplaceRunToken | Self::MakeEnvironment)
    }
}

async fn revoke(gateway: &Gateway, id: &str) -> Answer {
    gateway.ask("DELETE", &format!("/larder/v1/tokens/{id}?username=alice"), None).await
}

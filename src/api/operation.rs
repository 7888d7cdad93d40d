//! Operations by their names in metrics. They are few, so that each can be counted separately.

use super::{
    administration::AccountCall,
    route::Endpoint,
    run_route::{RunCall, RunsCall},
    store_route::StoreCall,
};

/// Declares the operations with their names, and the list of all.
macro_rules! operations {
    ($($operation:ident = $name:literal,)*) => {
        /// Operation of a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Operation {
            $($operation,)*
        }

        impl Operation {
            /// Names of all operations, in the order of their numbers.
            pub const NAMES: [&str; [$($name),*].len()] = [$($name),*];

            /// Returns its name.
            pub fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
    };
}

operations! {
    ListStores = "list_stores",
    CreateStore = "create_store",
    GetStore = "get_store",
    UpdateStore = "update_store",
    DeleteStore = "delete_store",
    ListKeys = "list_keys",
    DownloadRecords = "download_records",
    GetRecord = "get_record",
    HeadRecord = "head_record",
    PutRecord = "put_record",
    DeleteRecord = "delete_record",
    ShareStore = "share_store",
    MakeViewLink = "make_view_link",
    RotateSigningKey = "rotate_signing_key",
    ReadAccount = "read_account",
    ManageTokens = "manage_tokens",
    ManageUsers = "manage_users",
    ManageClock = "manage_clock",
    ListRuns = "list_runs",
    StartRun = "start_run",
    GetRun = "get_run",
    ChangeRun = "change_run",
    Upstream = "upstream",
    TellLeader = "tell_leader",
    ReadUsage = "read_usage",
    ReadMetrics = "read_metrics",
    ReadDescription = "read_description",
    Preflight = "preflight",
    Unknown = "unknown",
}

impl Operation {
    /// Returns whether it concerns one record.
    pub fn is_of_record(self) -> bool {
        matches!(self, Self::GetRecord | Self::HeadRecord | Self::PutRecord | Self::DeleteRecord)
    }
}

impl From<&Endpoint> for Operation {
    fn from(endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::ListStores => Self::ListStores,
            Endpoint::CreateStore => Self::CreateStore,
            Endpoint::Store(_, call) | Endpoint::Runs(RunsCall::Store(_, call)) => call.into(),
            Endpoint::CurrentUser
            | Endpoint::Limits
            | Endpoint::MonthlyUsage
            | Endpoint::Session
            | Endpoint::User(_) => Self::ReadAccount,
            Endpoint::CountUse | Endpoint::RenewStore => Self::TellLeader,
            Endpoint::Account(call) => match call {
                AccountCall::ListUsers
                | AccountCall::CreateUser
                | AccountCall::GetUser(_)
                | AccountCall::UpdateUser(_) => Self::ManageUsers,
                AccountCall::ListTokens
                | AccountCall::CreateToken
                | AccountCall::RevokeToken(_)
                | AccountCall::ReplaceToken(_) => Self::ManageTokens,
                AccountCall::GetClock | AccountCall::AcceptClock => Self::ManageClock,
            },
            Endpoint::Runs(RunsCall::ListRuns(_)) => Self::ListRuns,
            Endpoint::Runs(RunsCall::StartRun(_)) => Self::StartRun,
            Endpoint::Runs(RunsCall::Run(_, call)) => match call {
                RunCall::GetRun | RunCall::GetLog => Self::GetRun,
                RunCall::GetUsage => Self::ReadUsage,
                RunCall::UpdateRun
                | RunCall::Abort
                | RunCall::Metamorph
                | RunCall::Restart
                | RunCall::Charge
                | RunCall::Finish
                | RunCall::Beat
                | RunCall::Enter => Self::ChangeRun,
            },
            Endpoint::ServedElsewhere(_) => Self::Upstream,
            Endpoint::Usage => Self::ReadUsage,
            Endpoint::Metrics => Self::ReadMetrics,
            Endpoint::Description => Self::ReadDescription,
        }
    }
}

impl From<&StoreCall> for Operation {
    fn from(call: &StoreCall) -> Self {
        match call {
            StoreCall::Get => Self::GetStore,
            StoreCall::Update => Self::UpdateStore,
            StoreCall::Delete => Self::DeleteStore,
            StoreCall::ListKeys => Self::ListKeys,
            StoreCall::DownloadRecords => Self::DownloadRecords,
            StoreCall::GetRecord(_) => Self::GetRecord,
            StoreCall::HeadRecord(_) => Self::HeadRecord,
            StoreCall::PutRecord(_) | StoreCall::DirectUploadUrl(_) => Self::PutRecord,
            StoreCall::DeleteRecord(_) => Self::DeleteRecord,
            StoreCall::MakeViewLink => Self::MakeViewLink,
            StoreCall::GetUsage => Self::ReadUsage,
            StoreCall::GetAccess | StoreCall::Share(_) | StoreCall::Unshare(_) => Self::ShareStore,
            StoreCall::RotateSigningKey => Self::RotateSigningKey,
        }
    }
}

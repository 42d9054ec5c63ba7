//! The page of every error code, as the node serves it: the files of `docs/errors/`.

use caxton_model::ErrorCode;

macro_rules! pages {
    ($($variant:ident $page:literal)*) => {
        const fn text(code: ErrorCode) -> &'static str {
            match code {
                $(ErrorCode::$variant => include_str!(concat!("../../../docs/errors/", $page, ".md")),)*
            }
        }
        #[cfg(test)]
        const NAMES: &[(ErrorCode, &str)] = &[$((ErrorCode::$variant, $page),)*];
    };
}

pages! {
    MemoryLimit "CX1001"
    TableLimit "CX1002"
    CpuLimit "CX1003"
    WallLimit "CX1004"
    FuelLimit "CX1005"
    StackLimit "CX1006"
    HostCallLimit "CX1007"
    AllocationLimit "CX1008"
    MessageRateLimit "CX1009"
    QueueFull "CX1010"
    TimerLimit "CX1011"
    MessageTooLarge "CX1012"
    PayloadTooLarge "CX1013"
    StateLimit "CX1014"
    LogRateLimit "CX1015"
    ModuleTooLarge "CX1016"
    ConcurrencyLimit "CX1017"
    SubscriptionLimit "CX1018"
    HostBytesLimit "CX1019"
    FileLimit "CX1020"
    HttpRateLimit "CX1021"
    HttpBodyTooLarge "CX1022"
    HttpByteRateLimit "CX1023"
    NetByteRateLimit "CX1024"
    Trap "CX2001"
    BadPointer "CX2002"
    GuestAbort "CX2003"
    GuestExit "CX2004"
    BadReturn "CX2005"
    GuestError "CX2006"
    InitFailed "CX2007"
    Interrupted "CX2008"
    Breaker "CX2009"
    BadAllocator "CX2010"
    MalformedMessage "CX3001"
    MalformedRequest "CX3002"
    UnknownField "CX3003"
    InvalidModule "CX3004"
    UnsupportedModule "CX3005"
    UnmetImport "CX3006"
    ProfileRequired "CX3007"
    InvalidManifest "CX3008"
    InvalidConfig "CX3009"
    InvalidLimit "CX3010"
    InvalidName "CX3011"
    CompileRefused "CX3012"
    UnsupportedMediaType "CX3013"
    HeadersTooLarge "CX3014"
    Denied "CX4001"
    Unauthorized "CX4002"
    Forbidden "CX4003"
    ReservedName "CX4004"
    NotFound "CX4005"
    NameTaken "CX4006"
    Conflict "CX4007"
    DuplicateMessage "CX4008"
    MethodNotAllowed "CX4009"
    PermissionRequired "CX4010"
    Undeliverable "CX5001"
    AgentFailed "CX5002"
    AgentStopped "CX5003"
    Timeout "CX5004"
    NoCapability "CX5005"
    Expired "CX5006"
    RemoteAddress "CX5007"
    NotUnderstoodByHost "CX5008"
    NodeBudget "CX6001"
    DiskFull "CX6002"
    ShuttingDown "CX6003"
    JournalDamaged "CX6004"
    DirectoryLocked "CX6005"
    Internal "CX6006"
    TooManyRequests "CX6007"
    RequestTimeout "CX6008"
    EngineUnavailable "CX6009"
    AuditUnavailable "CX6010"
    VaultClosed "CX6011"
}

/// The page of a code, by the code or by the page's name.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    ErrorCode::ALL
        .iter()
        .find(|code| code.as_str() == name || code.page().eq_ignore_ascii_case(name))
        .map(|code| text(*code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_served_its_own_page() {
        for (code, page) in NAMES {
            assert_eq!(code.page(), *page);
            assert!(
                find(code.as_str())
                    .unwrap()
                    .starts_with(&format!("# {page}: `{code}`"))
            );
            assert_eq!(find(page), find(code.as_str()));
        }
        assert_eq!(find("CX0000"), None);
    }
}

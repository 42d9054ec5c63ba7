//! Limits: one table of names, units, defaults and reasons, for every kind of guest.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    ByteSize, ErrorCode, Micros, nearest,
    planted::{Planted, is_planted},
};

/// The value of a limit that does not bind.
pub const UNLIMITED: u64 = u64::MAX;

/// What a package is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A named, supervised, long-lived guest with a mailbox.
    #[default]
    Agent,
    /// A function from bytes to bytes, no state between calls.
    Processor,
    /// A package of named actions.
    Extension,
    /// A guest that serves HTTP.
    App,
}
impl Kind {
    /// The kind's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Processor => "processor",
            Self::Extension => "extension",
            Self::App => "app",
        }
    }
}
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a limit's number is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Micros,
    Count,
}

struct Row {
    name: &'static str,
    unit: Unit,
    /// Agent; processor; extension and app. `UNLIMITED`: off, or of no meaning for that kind.
    defaults: [u64; 3],
    code: ErrorCode,
    what: &'static str,
}

/// Fuel per microsecond of `cpu` where `fuel` is not set: 100 T a second. Measured on one machine, code
/// that the compiler removes burns the most, 2.2 T a second; memory operations in the cache burn
/// 0.1 T, and loops that compute 0.03 T.
const FUEL_PER_CPU_MICRO: u64 = 100_000_000;

const MIB: u64 = 1 << 20;
const STACK_BYTES: u64 = 512 * 1024;
const OFF: u64 = UNLIMITED;

macro_rules! limits {
    ($($variant:ident $name:literal $unit:ident [$agent:expr, $processor:expr, $extension:expr] $code:ident $what:literal)*) => {
        /// The name of a limit: the same in manifests, flags, API, metrics and errors.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(usize)]
        pub enum LimitName { $(#[doc = $what] $variant,)* }
        impl LimitName {
            /// All limits, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        name: $name, unit: Unit::$unit,
                        defaults: [$agent, $processor, $extension],
                        code: ErrorCode::$code, what: $what,
                    },)*
                }
            }
        }
    };
}

limits! {
    Memory "memory" Bytes [50 * MIB, 256 * MIB, 128 * MIB] MemoryLimit "Sum of all linear memories of one instance."
    TableElements "table_elements" Count [20_000, 20_000, 20_000] TableLimit "Sum of all table elements of one instance."
    Cpu "cpu" Micros [100_000, 30_000_000, 30_000_000] CpuLimit "Time really run per turn or call."
    Wall "wall" Micros [1_000_000, 30_000_000, 60_000_000] WallLimit "Run and host wait per turn or call; not waiting for the shard."
    Fuel "fuel" Count [OFF, OFF, OFF] FuelLimit "Fuel per turn or call under the metered and deterministic profiles. Not set: derived from `cpu` at a rate that no code exceeds, so that `cpu` ends the guest."
    Stack "stack" Bytes [STACK_BYTES, STACK_BYTES, STACK_BYTES] StackLimit "Guest stack; the same for all guests of an engine."
    HostCalls "host_calls" Count [1_000, 10_000, 100_000] HostCallLimit "Host functions called per turn or call."
    Allocations "allocations" Count [10_000, 10_000, 10_000] AllocationLimit "`memory.grow` requests per turn or call, refused ones too."
    MessagesPerSecond "messages_per_second" Count [100, OFF, 100] MessageRateLimit "Messages sent; the first reply to a request is free."
    Mailbox "mailbox" Count [1_024, OFF, OFF] QueueFull "Messages waiting in the mailbox."
    MailboxBytes "mailbox_bytes" Bytes [16 * MIB, OFF, OFF] QueueFull "Bytes waiting in the mailbox."
    Timers "timers" Count [1_000, OFF, 100] TimerLimit "Timers set at the same time."
    MessageBytes "message_bytes" Bytes [MIB, OFF, 10 * MIB] MessageTooLarge "One message."
    PayloadBytes "payload_bytes" Bytes [MIB, 64 * MIB, 10 * MIB] PayloadTooLarge "Input or output of one call."
    StateBytes "state_bytes" Bytes [64 * MIB, OFF, 64 * MIB] StateLimit "Keys and values stored."
    StateKeys "state_keys" Count [100_000, OFF, 100_000] StateLimit "Keys stored; a key has at most 1 KiB."
    LogLinesPerSecond "log_lines_per_second" Count [100, 100, 100] LogRateLimit "Log lines of at most 8 KiB; more are dropped, counted and said."
    ModuleBytes "module_bytes" Bytes [32 * MIB, 32 * MIB, 32 * MIB] ModuleTooLarge "The module's own size."
    ConcurrentCalls "concurrent_calls" Count [1, 64, 64] ConcurrencyLimit "Calls at the same time."
    Subscriptions "subscriptions" Count [100, OFF, 100] SubscriptionLimit "Subscriptions to broadcasts at the same time."
    HostBytes "host_bytes" Bytes [8 * MIB, OFF, 8 * MIB] HostBytesLimit "What the host keeps for the guest beside its mailbox and state: dead letters of its messages, requests that wait for an answer, subscriptions, its descriptor, its metrics, its lines in conversations."
    FileBytes "file_bytes" Bytes [10 * MIB, 64 * MIB, 10 * MIB] FileLimit "One file, where the guest makes it longer."
    FsBytes "fs_bytes" Bytes [64 * MIB, 256 * MIB, 64 * MIB] FileLimit "What the guest wrote to files and did not delete."
    FsEntries "fs_entries" Count [10_000, 100_000, 10_000] FileLimit "Files, directories and links that the guest created and did not delete."
    HttpPerMinute "http_per_minute" Count [100, 100, 500] HttpRateLimit "HTTP requests a minute, redirects included: a token bucket that holds the requests of one minute and is filled evenly."
    HttpBodyBytes "http_body_bytes" Bytes [10 * MIB, 10 * MIB, 10 * MIB] HttpBodyTooLarge "The body of one HTTP request, or of one response; never more than 16 MiB."
    HttpBytesPerMinute "http_bytes_per_minute" Bytes [100 * MIB, 100 * MIB, 100 * MIB] HttpByteRateLimit "Bytes of HTTP a minute, sent and received, heads and bodies: a token bucket as for `http_per_minute`."
    NetBytesPerMinute "net_bytes_per_minute" Bytes [100 * MIB, 100 * MIB, 100 * MIB] NetByteRateLimit "Bytes of everything that the guest sends to the network and receives a minute, HTTP included: a token bucket as for `http_per_minute`."
}

impl LimitName {
    /// The name, as in manifests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }
    /// One sentence: what it bounds.
    #[must_use]
    pub const fn what(self) -> &'static str {
        self.row().what
    }
    /// The error a guest's sender sees when it is reached.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        self.row().code
    }
    /// The default for a kind of guest.
    #[must_use]
    pub const fn default_for(self, kind: Kind) -> u64 {
        let [agent, processor, extension] = self.row().defaults;
        match kind {
            Kind::Agent => agent,
            Kind::Processor => processor,
            Kind::Extension | Kind::App => extension,
        }
    }
    /// A value with its unit, for people.
    #[must_use]
    pub fn show(self, value: u64) -> String {
        if value == UNLIMITED {
            return "unlimited".to_owned();
        }
        match self.row().unit {
            Unit::Bytes => ByteSize(value).to_string(),
            Unit::Micros => Micros(value).to_string(),
            Unit::Count => value.to_string(),
        }
    }
    /// Reads a value with this limit's unit: `"64MiB"`, `"100ms"`, `"1000"`, `"unlimited"`.
    ///
    /// Errors: a sentence that says what would be right.
    pub fn read(self, text: &str) -> Result<u64, String> {
        if text.trim() == "unlimited" {
            return Ok(UNLIMITED);
        }
        match self.row().unit {
            Unit::Bytes => text
                .parse::<ByteSize>()
                .map(|v| v.0)
                .map_err(|e| e.to_string()),
            Unit::Micros => text
                .parse::<Micros>()
                .map(|v| v.0)
                .map_err(|e| e.to_string()),
            Unit::Count => text
                .trim()
                .replace('_', "")
                .parse::<u64>()
                .map_err(|_| format!("expected a whole number, got `{text}`")),
        }
    }
    /// The seed documents' field names, which the API takes too.
    fn from_alias(text: &str) -> Option<Self> {
        Some(match text {
            "max_memory_bytes" => Self::Memory,
            "max_cpu_micros" => Self::Cpu,
            "max_execution_time_micros" => Self::Wall,
            "max_host_calls" => Self::HostCalls,
            "max_messages_per_second" => Self::MessagesPerSecond,
            "max_allocations" => Self::Allocations,
            _ => return None,
        })
    }
}
impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for LimitName {
    type Err = LimitsError;
    fn from_str(text: &str) -> Result<Self, LimitsError> {
        Self::ALL
            .iter()
            .copied()
            .find(|name| name.as_str() == text)
            .or_else(|| Self::from_alias(text))
            .ok_or_else(|| LimitsError::UnknownName {
                name: text.chars().take(100).collect(),
                nearest: nearest(text, Self::ALL.iter().map(|n| n.as_str())),
            })
    }
}

/// Why limits were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitsError {
    /// No such limit.
    #[error("`{name}` is no limit{}", .nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownName {
        /// What was asked for.
        name: String,
        /// The nearest there is.
        nearest: Option<&'static str>,
    },
    /// The value has not the limit's unit.
    #[error("limit `{name}`: {reason}")]
    Malformed {
        /// Which limit.
        name: LimitName,
        /// What would be right.
        reason: String,
    },
    /// More than the operator allows.
    #[error(
        "limit `{name}`: {} is above this node's ceiling of {}; ask for less, or raise `[ceilings] {name}` in node.toml",
        .name.show(*asked), .name.show(*ceiling)
    )]
    AboveCeiling {
        /// Which limit.
        name: LimitName,
        /// What was asked for.
        asked: u64,
        /// What is allowed.
        ceiling: u64,
    },
    /// One value for all guests, which none can ask to differ from.
    #[error("limit `{name}` is {} for all guests of a node; leave it out", .name.show(.name.default_for(Kind::Agent)))]
    Fixed {
        /// Which limit.
        name: LimitName,
    },
    /// Zero where something is needed to run at all.
    #[error("limit `{name}` is 0, so the guest could never run; leave it out for the default")]
    Zero {
        /// Which limit.
        name: LimitName,
    },
}

/// A value for every limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    values: [u64; LimitName::ALL.len()],
}

impl Limits {
    /// The defaults for a kind of guest.
    #[must_use]
    pub fn for_kind(kind: Kind) -> Self {
        let mut limits = Self {
            values: [UNLIMITED; LimitName::ALL.len()],
        };
        for name in LimitName::ALL {
            limits.set(*name, name.default_for(kind));
        }
        limits
    }
    /// Nothing bounded: the ceiling of an operator who sets none.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self {
            values: [UNLIMITED; LimitName::ALL.len()],
        }
    }
    /// The value of a limit, [`UNLIMITED`] if it does not bind.
    #[must_use]
    pub fn get(&self, name: LimitName) -> u64 {
        if is_planted(Planted::WithoutLimit(name)) {
            return UNLIMITED;
        }
        self.values.get(name as usize).copied().unwrap_or(UNLIMITED)
    }
    /// The fuel of one turn or call: as it was set, else what `cpu` is worth.
    #[must_use]
    pub fn fuel(&self) -> u64 {
        match self.get(LimitName::Fuel) {
            UNLIMITED => self.get(LimitName::Cpu).saturating_mul(FUEL_PER_CPU_MICRO),
            fuel => fuel,
        }
    }
    /// Sets one. Any value is valid in itself; [`Self::checked_against`] judges it.
    pub fn set(&mut self, name: LimitName, value: u64) {
        if let Some(slot) = self.values.get_mut(name as usize) {
            *slot = value;
        }
    }
    /// All of them, in the documentation's order.
    pub fn iter(&self) -> impl Iterator<Item = (LimitName, u64)> + '_ {
        LimitName::ALL.iter().map(|name| (*name, self.get(*name)))
    }
    /// Applies what a manifest or a request asks for. A default above its ceiling becomes the ceiling.
    ///
    /// `memory = 0` means unlimited up to the ceiling; any other zero where nothing could run is refused.
    ///
    /// Errors: every [`LimitsError`] there is in it, not only the first.
    pub fn asked(
        mut self,
        asked: &BTreeMap<LimitName, u64>,
        ceilings: &Self,
    ) -> Result<Self, Vec<LimitsError>> {
        let mut errors = Vec::new();
        for name in LimitName::ALL.iter().filter(|n| **n != LimitName::Stack) {
            self.set(*name, self.get(*name).min(ceilings.get(*name)));
        }
        for (name, value) in asked {
            let (name, mut value) = (*name, *value);
            let ceiling = ceilings.get(name);
            match name {
                _ if name.row().unit == Unit::Micros
                    && value > Micros::LONGEST.0
                    && value != UNLIMITED =>
                {
                    let reason =
                        format!("{} is longer than 100 years; ask for less", Micros(value));
                    errors.push(LimitsError::Malformed { name, reason });
                }
                LimitName::Memory if value == 0 => value = ceiling,
                LimitName::Stack if value != STACK_BYTES => {
                    errors.push(LimitsError::Fixed { name });
                }
                LimitName::Cpu
                | LimitName::Wall
                | LimitName::Fuel
                | LimitName::Mailbox
                | LimitName::MailboxBytes
                | LimitName::MessageBytes
                | LimitName::ModuleBytes
                | LimitName::ConcurrentCalls
                    if value == 0 =>
                {
                    errors.push(LimitsError::Zero { name });
                }
                _ => {}
            }
            if value > ceiling {
                errors.push(LimitsError::AboveCeiling {
                    name,
                    asked: value,
                    ceiling,
                });
            }
            self.set(name, value);
        }
        if errors.is_empty() {
            Ok(self)
        } else {
            Err(errors)
        }
    }
}

impl Serialize for LimitName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for LimitName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// As an object of all limits; `null` stands for unlimited.
impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_map(
                self.iter()
                    .map(|(name, value)| (name, (value != UNLIMITED).then_some(value))),
            )
        } else {
            serializer.collect_seq(self.values)
        }
    }
}
/// From an object of some limits over the agent's defaults (numbers, or texts with units).
impl<'de> Deserialize<'de> for Limits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut limits = Self::for_kind(Kind::Agent);
        if deserializer.is_human_readable() {
            for (name, value) in AskedLimits::deserialize(deserializer)?.0 {
                limits.set(name, value);
            }
        } else {
            // A journal of an older version may know fewer limits: those keep their defaults.
            let values = Vec::<u64>::deserialize(deserializer)?;
            for (name, value) in LimitName::ALL.iter().zip(values) {
                limits.set(*name, value);
            }
        }
        Ok(limits)
    }
}

/// Some limits as people write them: numbers in the limit's base unit, or texts with units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskedLimits(pub BTreeMap<LimitName, u64>);

impl<'de> Deserialize<'de> for AskedLimits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Value {
            Number(u64),
            Text(String),
        }
        let mut asked = BTreeMap::new();
        for (name, value) in BTreeMap::<String, Option<Value>>::deserialize(deserializer)? {
            let name: LimitName = name.parse().map_err(de::Error::custom)?;
            let value = match value {
                None => UNLIMITED,
                Some(Value::Number(number)) => number,
                Some(Value::Text(text)) => name
                    .read(&text)
                    .map_err(|reason| de::Error::custom(LimitsError::Malformed { name, reason }))?,
            };
            asked.insert(name, value);
        }
        Ok(Self(asked))
    }
}
impl Serialize for AskedLimits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|(name, value)| (name, (*value != UNLIMITED).then_some(*value))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_checked_all_at_once() {
        let mut ceilings = Limits::unlimited();
        ceilings.set(LimitName::Memory, 100 * MIB);
        let asked = [(LimitName::Memory, 200 * MIB), (LimitName::Cpu, 0)]
            .into_iter()
            .collect();
        let errors = Limits::for_kind(Kind::Agent)
            .asked(&asked, &ceilings)
            .unwrap_err();
        assert_eq!(errors.len(), 2);
        let zero = [(LimitName::Memory, 0)].into_iter().collect();
        let limits = Limits::for_kind(Kind::Agent)
            .asked(&zero, &ceilings)
            .unwrap();
        assert_eq!(limits.get(LimitName::Memory), 100 * MIB);
    }

    #[test]
    fn a_ceiling_caps_the_default_too_and_the_stack_is_the_same_for_all() {
        let mut ceilings = Limits::unlimited();
        ceilings.set(LimitName::Memory, 10 * MIB);
        let limits = Limits::for_kind(Kind::Agent)
            .asked(&BTreeMap::new(), &ceilings)
            .unwrap();
        assert_eq!(limits.get(LimitName::Memory), 10 * MIB);
        assert_eq!(limits.get(LimitName::Cpu), 100_000);
        let deeper = [(LimitName::Stack, MIB)].into_iter().collect();
        let errors = Limits::for_kind(Kind::Agent)
            .asked(&deeper, &ceilings)
            .unwrap_err();
        assert!(
            errors[0].to_string().contains("512 KiB for all"),
            "{errors:?}"
        );
    }

    #[test]
    fn names_units_and_aliases_are_read() {
        let asked: AskedLimits = serde_json::from_str(
            r#"{"memory":"64MiB","cpu":"250ms","max_host_calls":5,"fuel":null}"#,
        )
        .unwrap();
        assert_eq!(asked.0.get(&LimitName::Memory), Some(&(64 * MIB)));
        assert_eq!(asked.0.get(&LimitName::Cpu), Some(&250_000));
        assert_eq!(asked.0.get(&LimitName::HostCalls), Some(&5));
        let error = serde_json::from_str::<AskedLimits>(r#"{"memmory":1}"#).unwrap_err();
        assert!(
            error.to_string().contains("did you mean `memory`"),
            "{error}"
        );
        let error = serde_json::from_str::<AskedLimits>(r#"{"cpu":"ten"}"#).unwrap_err();
        assert!(error.to_string().contains("250ms"), "{error}");
    }

    #[test]
    fn limits_survive_json() {
        let limits = Limits::for_kind(Kind::Processor);
        let text = serde_json::to_string(&limits).unwrap();
        assert_eq!(serde_json::from_str::<Limits>(&text).unwrap(), limits);
    }
}

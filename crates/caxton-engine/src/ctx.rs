//! What stands beside a guest in its store: limits, counters, the host's side, the refused growth.

use std::{fmt, sync::Arc};

use caxton_model::{ByteSize, ErrorCode, Fault, LimitName, Limits, UNLIMITED};
use wasmtime::{GuestProfiler, Memory, ResourceLimiter};

use crate::{
    HostCalls, Room, Usage, clock::GuestClock, files::FileBounds, meter::Meter, room::Reserved,
    ticker::Touch, wasi::WasiState,
};

/// A fault on its way through the runtime's error type.
#[derive(Debug)]
pub(crate) struct Stop(pub(crate) Box<Fault>);

impl Stop {
    pub(crate) fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self(Box::new(Fault::new(code, text)))
    }
    /// Limit, what was asked, how to raise it.
    pub(crate) fn limit(name: LimitName, limit: u64, asked: &str) -> Self {
        Self(Box::new(limit_fault(name, limit, asked)))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.text, f)
    }
}
impl std::error::Error for Stop {}

/// The text of every limit's fault: limit, what was asked, how to raise it.
pub(crate) fn limit_fault(name: LimitName, limit: u64, asked: &str) -> Fault {
    let code = name.code();
    Fault::new(
        code,
        format!(
            "limit `{name}` is {}, {asked}; {}",
            name.show(limit),
            code.remedy()
        ),
    )
}

/// The limits that the engine enforces, out of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) memory: u64,
    pub(crate) table_elements: u64,
    pub(crate) cpu_nanos: u64,
    pub(crate) wall_nanos: u64,
    pub(crate) fuel: u64,
    /// Whether `fuel` follows from `cpu`, since nobody set it.
    pub(crate) fuel_is_derived: bool,
    pub(crate) host_calls: u64,
    pub(crate) allocations: u64,
    pub(crate) message_bytes: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) files: FileBounds,
}

impl Bounds {
    pub(crate) fn of(limits: &Limits) -> Self {
        let nanos = |name| match limits.get(name) {
            UNLIMITED => UNLIMITED,
            micros => micros.saturating_mul(1_000),
        };
        Self {
            memory: limits.get(LimitName::Memory),
            table_elements: limits.get(LimitName::TableElements),
            cpu_nanos: nanos(LimitName::Cpu),
            wall_nanos: nanos(LimitName::Wall),
            fuel: limits.fuel(),
            fuel_is_derived: limits.get(LimitName::Fuel) == UNLIMITED,
            host_calls: limits.get(LimitName::HostCalls),
            allocations: limits.get(LimitName::Allocations),
            message_bytes: limits.get(LimitName::MessageBytes),
            payload_bytes: limits.get(LimitName::PayloadBytes),
            files: FileBounds {
                file_bytes: limits.get(LimitName::FileBytes),
                fs_bytes: limits.get(LimitName::FsBytes),
                fs_entries: limits.get(LimitName::FsEntries),
            },
        }
    }
}

/// A growth that was refused in this turn: whatever the guest makes of it is a fault of that limit.
#[derive(Debug, Clone)]
pub(crate) enum Refused {
    /// By the limit on the sum of all memories.
    Memory { asked_bytes: u64 },
    /// By the maximum that the module itself declares.
    OwnMaximum {
        asked_bytes: u64,
        maximum_bytes: u64,
    },
    /// By the limit on tables.
    Table { asked: u64 },
    /// By the node's budget for all guests together.
    Node { asked_bytes: u64 },
    /// By the machine.
    System { reason: String },
}

/// The sums the limiter keeps.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) memory_bytes: u64,
    pub(crate) memory_peak_bytes: u64,
    pub(crate) table_elements: u64,
    last_memory_delta: u64,
    last_table_delta: u64,
}

/// The store's data.
pub(crate) struct Ctx {
    pub(crate) host: Box<dyn HostCalls>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) touch: Touch,
    /// What it has taken in this turn of what the node has for all guests.
    pub(crate) room: Reserved,
    pub(crate) bounds: Bounds,
    pub(crate) held: Held,
    pub(crate) refused: Option<Refused>,
    pub(crate) memory: Option<Memory>,
    pub(crate) host_calls: u64,
    pub(crate) allocations: u64,
    pub(crate) log_lines: u64,
    /// Bytes moved through the standard streams in this turn.
    pub(crate) stream_bytes: u64,
    pub(crate) fuel_given: u64,
    pub(crate) starting: bool,
    /// Sleeps take no time, and the clock is virtual.
    pub(crate) deterministic: bool,
    /// Random numbers are the machine's own.
    pub(crate) has_secure_random: bool,
    pub(crate) clock: GuestClock,
    pub(crate) response: Option<Vec<u8>>,
    /// What came of the turn's last access.
    pub(crate) reply: Arc<[u8]>,
    pub(crate) wasi: Option<Box<WasiState>>,
    pub(crate) profiler: Option<Box<GuestProfiler>>,
}

impl Ctx {
    pub(crate) fn new(bounds: Bounds, touch: Touch, room: Room, host: Box<dyn HostCalls>) -> Self {
        Self {
            host,
            meter: Meter::new(),
            touch,
            room: Reserved::new(room),
            bounds,
            held: Held::default(),
            refused: None,
            memory: None,
            host_calls: 0,
            allocations: 0,
            log_lines: 0,
            stream_bytes: 0,
            fuel_given: 0,
            starting: true,
            deterministic: false,
            has_secure_random: false,
            clock: GuestClock::default(),
            response: None,
            reply: Arc::default(),
            wasi: None,
            profiler: None,
        }
    }
    /// Starts the counters of a turn.
    pub(crate) fn begin_turn(&mut self) {
        self.meter.reset();
        self.refused = None;
        self.host_calls = 0;
        self.allocations = 0;
        self.log_lines = 0;
        self.stream_bytes = 0;
        self.clock.begin_turn();
        self.response = None;
        if !self.reply.is_empty() {
            self.reply = Arc::default();
        }
        self.starting = false;
    }
    /// Whether the guest is a WASI command, whose standard output is its result.
    pub(crate) fn is_command(&self) -> bool {
        self.wasi.as_ref().is_some_and(|wasi| wasi.stdout.is_some())
    }
    /// Counts a host call.
    pub(crate) fn count_host_call(&mut self) -> Result<(), Stop> {
        self.host_calls += 1;
        if self.host_calls > self.bounds.host_calls {
            let asked = "and the guest called one more host function";
            return Err(Stop::limit(
                LimitName::HostCalls,
                self.bounds.host_calls,
                asked,
            ));
        }
        Ok(())
    }
    pub(crate) fn usage(&self, fuel: u64) -> Usage {
        Usage {
            cpu_nanos: self.meter.cpu(),
            host_wait_nanos: self.meter.host_wait(),
            memory_bytes: self.held.memory_bytes,
            memory_peak_bytes: self.held.memory_peak_bytes,
            table_elements: self.held.table_elements,
            host_calls: self.host_calls,
            allocations: self.allocations,
            fuel,
            log_lines: self.log_lines,
            preemptions: self.meter.preemptions(),
        }
    }
    /// The fault of a growth that was refused, if one was.
    pub(crate) fn refused_fault(&self) -> Option<Fault> {
        Some(match self.refused.as_ref()? {
            Refused::Memory { asked_bytes } => limit_fault(
                LimitName::Memory,
                self.bounds.memory,
                &format!("the guest asked for {} of memory", ByteSize(*asked_bytes)),
            ),
            Refused::OwnMaximum {
                asked_bytes,
                maximum_bytes,
            } => Fault::new(
                ErrorCode::MemoryLimit,
                format!(
                    "the module declares a memory of at most {}, the guest asked for {}; link it with a larger maximum memory",
                    ByteSize(*maximum_bytes),
                    ByteSize(*asked_bytes)
                ),
            ),
            Refused::Table { asked } => limit_fault(
                LimitName::TableElements,
                self.bounds.table_elements,
                &format!("the guest asked for {asked} table elements"),
            ),
            Refused::Node { asked_bytes } => self.room.fault(*asked_bytes),
            Refused::System { reason } => Fault::new(
                ErrorCode::MemoryLimit,
                format!(
                    "the node has no memory for the guest: {reason}; {}",
                    ErrorCode::NodeBudget.remedy()
                ),
            ),
        })
    }
}

/// What a table's element takes. Unit: bytes.
const ELEMENT_BYTES: u64 = size_of::<usize>() as u64;

impl Ctx {
    /// Whether the node has so much for this guest; the initial size is not charged.
    fn node_has(&mut self, bytes: u64) -> bool {
        if self.starting {
            self.room.is_left()
        } else {
            self.room.take(bytes)
        }
    }
}

fn as_u64(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

impl ResourceLimiter for Ctx {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if !self.starting {
            self.allocations += 1;
            if self.allocations > self.bounds.allocations {
                let asked = "and the guest asked once more for memory";
                let limit = self.bounds.allocations;
                return Err(wasmtime::Error::new(Stop::limit(
                    LimitName::Allocations,
                    limit,
                    asked,
                )));
            }
        }
        let delta = as_u64(desired.saturating_sub(current));
        let asked_bytes = self.held.memory_bytes.saturating_add(delta);
        self.held.last_memory_delta = 0;
        if asked_bytes > self.bounds.memory {
            self.refused = Some(Refused::Memory { asked_bytes });
            return Ok(false);
        }
        if let Some(maximum) = maximum.filter(|maximum| desired > *maximum) {
            let maximum_bytes = as_u64(maximum);
            self.refused = Some(Refused::OwnMaximum {
                asked_bytes,
                maximum_bytes,
            });
            return Ok(false);
        }
        if !self.node_has(delta) {
            self.refused = Some(Refused::Node { asked_bytes });
            return Ok(false);
        }
        self.held.last_memory_delta = delta;
        self.held.memory_bytes = asked_bytes;
        self.held.memory_peak_bytes = self.held.memory_peak_bytes.max(asked_bytes);
        self.host.memory_is(asked_bytes);
        Ok(true)
    }
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // What `memory_growing` booked was not given after all.
        let delta = std::mem::take(&mut self.held.last_memory_delta);
        self.held.memory_bytes = self.held.memory_bytes.saturating_sub(delta);
        self.room.give(delta);
        self.host.memory_is(self.held.memory_bytes);
        if self.refused.is_none() {
            self.refused = Some(Refused::System {
                reason: format!("{error:#}"),
            });
        }
        Ok(())
    }
    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let delta = as_u64(desired.saturating_sub(current));
        let asked = self.held.table_elements.saturating_add(delta);
        self.held.last_table_delta = 0;
        if asked > self.bounds.table_elements {
            self.refused = Some(Refused::Table { asked });
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let bytes = delta.saturating_mul(ELEMENT_BYTES);
        if !self.node_has(bytes) {
            self.refused = Some(Refused::Node { asked_bytes: bytes });
            return Ok(false);
        }
        self.held.last_table_delta = delta;
        self.held.table_elements = asked;
        Ok(true)
    }
    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        let delta = std::mem::take(&mut self.held.last_table_delta);
        self.held.table_elements = self.held.table_elements.saturating_sub(delta);
        Ok(())
    }
    fn instances(&self) -> usize {
        1
    }
    fn tables(&self) -> usize {
        caxton_package::TABLES_MAX as usize
    }
    fn memories(&self) -> usize {
        1
    }
}

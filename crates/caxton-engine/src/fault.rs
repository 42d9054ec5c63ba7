//! From the runtime's errors to faults: which limit it was, what the guest did, and where.

use caxton_model::{ErrorCode, Fault, Frame, LimitName};
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

use crate::{
    config::STACK_BYTES,
    ctx::{Ctx, Stop, limit_fault},
    raw,
    wasi::Exit,
};

/// Characters of one function's name: a hostile name section has longer ones.
const NAME_CHARS_MAX: usize = 300;

/// The fault that an error is, with the guest's stack.
pub(crate) fn fault_of(error: &wasmtime::Error, ctx: &Ctx) -> Fault {
    let mut fault = without_stack(error, ctx);
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        fault.backtrace = backtrace.frames().iter().map(frame).collect();
    }
    fault
}

fn without_stack(error: &wasmtime::Error, ctx: &Ctx) -> Fault {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        // The allocator or AssemblyScript's runtime gave up over memory that it did not get.
        return match stop.0.code {
            ErrorCode::GuestAbort | ErrorCode::BadAllocator => {
                ctx.refused_fault().unwrap_or_else(|| (*stop.0).clone())
            }
            _ => (*stop.0).clone(),
        };
    }
    if let Some(exit) = error.downcast_ref::<Exit>() {
        // A command that exits with another code than 0 reports an error; others must not exit.
        let code = if ctx.is_command() {
            ErrorCode::GuestError
        } else {
            ErrorCode::GuestExit
        };
        return ctx
            .refused_fault()
            .unwrap_or_else(|| Fault::new(code, format!("{exit}; {}", code.remedy())));
    }
    let text = format!("{error:#}");
    let short = [raw::SLAB_FULL, raw::NO_ADDRESS_SPACE];
    if let Some(cause) = short.into_iter().find(|cause| text.contains(cause)) {
        return Fault::new(ErrorCode::NodeBudget, cause);
    }
    if error.is::<PoolConcurrencyLimitError>() {
        let text = format!(
            "too many guests at once: {error}; {}",
            ErrorCode::ConcurrencyLimit.remedy()
        );
        return Fault::new(ErrorCode::ConcurrencyLimit, text);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => limit_fault(
            LimitName::Stack,
            STACK_BYTES as u64,
            "and the guest needed more",
        ),
        Some(Trap::OutOfFuel) => {
            let source = if ctx.bounds.fuel_is_derived {
                "which follows from `cpu` since `fuel` is not set, and the guest burned all of it"
            } else {
                "as the manifest, `--limit`, the API or a ceiling sets it, and the guest burned all of it"
            };
            limit_fault(LimitName::Fuel, ctx.fuel_given, source)
        }
        Some(
            trap @ (Trap::UnreachableCodeReached
            | Trap::MemoryOutOfBounds
            | Trap::TableOutOfBounds
            | Trap::IndirectCallToNull
            | Trap::HeapMisaligned),
        ) => ctx.refused_fault().unwrap_or_else(|| trapped(*trap)),
        Some(trap) => trapped(*trap),
        // Instantiation fails so: the limiter said no to the initial size.
        None => ctx.refused_fault().unwrap_or_else(|| {
            Fault::new(
                ErrorCode::Trap,
                format!("the guest could not run: {error:#}"),
            )
        }),
    }
}

fn trapped(trap: Trap) -> Fault {
    Fault::new(
        ErrorCode::Trap,
        format!("the guest trapped: {trap}; {}", ErrorCode::Trap.remedy()),
    )
}

fn frame(frame: &wasmtime::FrameInfo) -> Frame {
    let function = match frame.func_name() {
        Some(name) => {
            let short: String = name.chars().take(NAME_CHARS_MAX).collect();
            format!("{:#}", rustc_demangle::demangle(&short))
        }
        None => format!("func[{}]", frame.func_index()),
    };
    Frame {
        function,
        source: None,
        module_offset: frame.module_offset().unwrap_or(0) as u64,
    }
}

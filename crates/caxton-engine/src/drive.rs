//! One guest's future under the clock: each poll is measured, and a panic stops here.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use caxton_model::{ErrorCode, Fault, LimitName};

use crate::{
    ctx::{Ctx, limit_fault},
    fault::fault_of,
    host_functions::wall_fault,
    meter::Meter,
    ticker::Touch,
};

/// How a guest's future ended.
pub(crate) enum Driven<T> {
    /// By itself.
    Done(wasmtime::Result<T>),
    /// It ran longer than `cpu`, and was dropped between two slices.
    CpuOver,
    /// It ran and waited longer than `wall`, and was dropped between two slices.
    WallOver,
    /// The host panicked inside it.
    Panicked(String),
}

/// Polls a guest's future to its end, on the caller's own run queue. The caller pins it: handed over,
/// it would stand in the caller's future twice.
///
/// Cancel: dropping it ends the guest; the store must then be dropped too.
pub(crate) async fn drive<T>(
    meter: Arc<Meter>,
    touch: Touch,
    cpu_nanos_max: u64,
    wall_nanos_max: u64,
    mut future: Pin<&mut impl Future<Output = wasmtime::Result<T>>>,
) -> Driven<T> {
    poll_fn(move |cx| {
        touch.running();
        meter.slice_begins();
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        meter.slice_ends();
        match polled {
            Ok(Poll::Ready(result)) => Poll::Ready(Driven::Done(result)),
            Ok(Poll::Pending) if meter.cpu() > cpu_nanos_max => Poll::Ready(Driven::CpuOver),
            Ok(Poll::Pending) if meter.cpu().saturating_add(meter.host_wait()) > wall_nanos_max => {
                Poll::Ready(Driven::WallOver)
            }
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Driven::Panicked(panic_text(panic.as_ref()))),
        }
    })
    .await
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}

/// The fault of a guest that ran too long.
pub(crate) fn cpu_fault(ctx: &Ctx) -> Fault {
    limit_fault(
        LimitName::Cpu,
        ctx.bounds.cpu_nanos / 1_000,
        "and the guest still runs",
    )
}

/// What a driven future came to, in the words of the contract.
pub(crate) fn settle<T>(driven: Driven<T>, ctx: &Ctx) -> Result<T, Fault> {
    match driven {
        Driven::Done(Ok(value)) => Ok(value),
        Driven::Done(Err(error)) => Err(fault_of(&error, ctx)),
        Driven::CpuOver => Err(cpu_fault(ctx)),
        Driven::WallOver => Err(wall_fault(
            ctx.bounds.wall_nanos,
            "and the guest still runs",
        )),
        Driven::Panicked(text) => {
            tracing::error!(panic = text, "the host panicked inside a guest's call");
            let text = format!(
                "the host failed inside the guest's call; {}",
                ErrorCode::Internal.remedy()
            );
            Err(Fault::new(ErrorCode::Internal, text))
        }
    }
}

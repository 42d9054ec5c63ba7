//! Core extensions: named actions with JSON in and out, a fresh instance for every call.

use caxton_model::{ByteSize, ErrorCode, Fault, LimitName, Limits};
use wasmtime::{Store, TypedFunc};

use crate::{
    HostCalls, Linked, Processed,
    ctx::{Bounds, Ctx, Stop, limit_fault},
    exports::{AllocatorFunctions, typed},
    guest_bytes,
    store::{self, run},
};

/// The buffer for a description; a larger one is asked for again. Unit: bytes.
const DESCRIPTION_BYTES: usize = 64 << 10;

#[derive(Clone, Copy)]
enum Wanted<'a> {
    Description,
    Action(&'a [u8]),
}

impl Linked {
    /// The extension's own description (JSON), at most `payload_bytes`.
    pub async fn describe_extension(&self, limits: &Limits, host: Box<dyn HostCalls>) -> Processed {
        self.extension(Wanted::Description, limits, host).await
    }
    /// Calls an action: `input` is JSON `{action, input}`; the result is what the guest responded.
    ///
    /// Errors: a non-zero return is the fault `guest-error`, with the response as its text.
    pub async fn call_extension(
        &self,
        input: &[u8],
        limits: &Limits,
        host: Box<dyn HostCalls>,
    ) -> Processed {
        let most = limits.get(LimitName::PayloadBytes);
        if input.len() as u64 > most {
            let asked = format!("the input has {}", ByteSize(input.len() as u64));
            let fault = limit_fault(LimitName::PayloadBytes, most, &asked);
            return Processed::refused(fault, host);
        }
        let _place = match self.inner.in_flight.enter(limits) {
            Ok(place) => place,
            Err(fault) => return Processed::refused(fault, host),
        };
        self.extension(Wanted::Action(input), limits, host).await
    }
    async fn extension(
        &self,
        wanted: Wanted<'_>,
        limits: &Limits,
        host: Box<dyn HostCalls>,
    ) -> Processed {
        let mut store = store::new_store(self, Bounds::of(limits), host);
        let result = self.answered(&mut store, wanted).await;
        Processed::of(&mut store, result)
    }
    async fn answered(&self, store: &mut Store<Ctx>, wanted: Wanted<'_>) -> Result<Vec<u8>, Fault> {
        store::begin(store, self)?;
        run!(store, async {
            let (instance, memory) = store::instantiate(store, self).await?;
            let memory = memory.ok_or_else(no_extension)?;
            let at = &self.inner.exports;
            let convention = self.inner.report.allocator.ok_or_else(no_extension)?;
            let mut allocator = AllocatorFunctions::of(convention, &instance, store, at)
                .ok_or_else(no_extension)?;
            if let Wanted::Action(input) = wanted {
                let call: TypedFunc<(i32, i32), i32> =
                    typed(&instance, store, at.extension_call.as_ref()).ok_or_else(no_extension)?;
                let ptr = guest_bytes::put(store, memory, &mut allocator, input).await?;
                let len = u32::try_from(input.len()).unwrap_or(u32::MAX).cast_signed();
                let code = call.call_async(&mut *store, (ptr, len)).await?;
                guest_bytes::free(store, &allocator, ptr, input.len()).await?;
                let response = store.data_mut().response.take().unwrap_or_default();
                return if code == 0 {
                    Ok(response)
                } else {
                    Err(refused(code, &response).into())
                };
            }
            let describe: TypedFunc<(i32, i32), i32> =
                typed(&instance, store, at.extension_describe.as_ref()).ok_or_else(no_extension)?;
            let most = store.data().bounds.payload_bytes;
            let mut len = DESCRIPTION_BYTES;
            loop {
                let ptr = guest_bytes::allocate(store, memory, &mut allocator, len).await?;
                let asked = u32::try_from(len).unwrap_or(u32::MAX).cast_signed();
                let written = describe.call_async(&mut *store, (ptr, asked)).await?;
                match usize::try_from(written) {
                    Ok(wanted) if wanted <= len => {
                        return guest_bytes::read(store, memory, ptr, written);
                    }
                    Ok(wanted) if wanted as u64 <= most && len == DESCRIPTION_BYTES => len = wanted,
                    _ => return Err(bad_length(written, len).into()),
                }
            }
        })
    }
}

fn no_extension() -> Stop {
    Stop::new(ErrorCode::UnsupportedModule, "this module is no extension")
}

fn bad_length(written: i32, len: usize) -> Stop {
    let text = format!(
        "extension_describe returned {written} for a buffer of {len} bytes; return the bytes written"
    );
    Stop::new(ErrorCode::BadReturn, text)
}

fn refused(code: i32, response: &[u8]) -> Stop {
    let said = String::from_utf8_lossy(response.get(..1_000).unwrap_or(response)).into_owned();
    Stop::new(
        ErrorCode::GuestError,
        format!("the action failed with code {code}: {said}"),
    )
}

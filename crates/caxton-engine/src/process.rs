//! Processors: bytes in, bytes out, a fresh instance for every call.

use bytes::Bytes;
use caxton_model::{ByteSize, ErrorCode, Fault, LimitName, Limits};
use caxton_package::{CStringFault, Form, FreedBy, ProcessorInfo, c_string};
use wasmtime::{Instance, Memory, Store, TypedFunc};

use crate::{
    Arguments, HostCalls, Linked, Usage,
    ctx::{Bounds, Ctx, Stop, limit_fault},
    exports::{AllocatorFunctions, typed},
    guest_bytes,
    store::{self, run},
    wasi::{Exit, WasiState},
};

/// How a processor's call went.
pub struct Processed {
    /// The output, or why there is none.
    pub result: Result<Vec<u8>, Fault>,
    /// What a WASI command had written to standard output when it faulted.
    pub partial_output: Vec<u8>,
    /// The code that a WASI command exited with by itself.
    pub exit_code: Option<i32>,
    /// The host's side, as it was handed in.
    pub host: Box<dyn HostCalls>,
    /// What the call used.
    pub usage: Usage,
}

impl Processed {
    /// A call that is over, with what its store still holds.
    pub(crate) fn of(store: &mut Store<Ctx>, result: Result<Vec<u8>, Fault>) -> Self {
        let (host, usage) = store::end(store);
        let wasi = store.data_mut().wasi.take().unwrap_or_default();
        Self {
            result,
            partial_output: wasi.stdout.unwrap_or_default(),
            exit_code: wasi.exit_code,
            host,
            usage,
        }
    }
    /// A call that never began.
    pub(crate) fn refused(fault: Fault, host: Box<dyn HostCalls>) -> Self {
        Self {
            result: Err(fault),
            partial_output: Vec::new(),
            exit_code: None,
            host,
            usage: Usage::default(),
        }
    }
}

/// What a description may hold. Unit: bytes.
const INFO_BYTES_MAX: usize = 64 << 10;

impl Linked {
    /// One call of a processor.
    ///
    /// Bounds: input and output at most `payload_bytes`, calls under way at most
    /// `concurrent_calls`. `content_type` is checked where the
    /// processor names what it takes. Cancel: as [`crate::Instance::call`].
    pub async fn process(
        &self,
        input: Bytes,
        content_type: Option<&str>,
        limits: &Limits,
        host: Box<dyn HostCalls>,
    ) -> Processed {
        let arguments = Arguments::default();
        self.process_with(input, arguments, content_type, limits, host)
            .await
    }
    /// One call of a processor, with arguments: form D alone sees them.
    pub async fn process_with(
        &self,
        input: Bytes,
        arguments: Arguments,
        content_type: Option<&str>,
        limits: &Limits,
        host: Box<dyn HostCalls>,
    ) -> Processed {
        let _place = match self.inner.in_flight.enter(limits) {
            Ok(place) => place,
            Err(fault) => return Processed::refused(fault, host),
        };
        let (info, host) = match self.describe_processor(limits, host).await {
            (Ok(info), host) => (info, host),
            (Err(fault), host) => return Processed::refused(fault, host),
        };
        if let Some(fault) = refuse_input(self.inner.form, &info, &input, content_type, limits) {
            return Processed::refused(fault, host);
        }
        let mut store = store::new_store(self, Bounds::of(limits), host);
        let result = self
            .processed(&mut store, input, arguments, info.output_freed_by)
            .await;
        Processed::of(&mut store, result)
    }
    /// What the processor says about itself: asked once, in an instance of its own.
    pub async fn describe_processor(
        &self,
        limits: &Limits,
        host: Box<dyn HostCalls>,
    ) -> (Result<ProcessorInfo, Fault>, Box<dyn HostCalls>) {
        if let Some(info) = self.inner.info.get() {
            return (Ok(info.clone()), host);
        }
        let at = &self.inner.exports;
        if at.get_module_info.is_none() && at.get_supported_formats.is_none() {
            return (
                Ok(self.inner.info.get_or_init(ProcessorInfo::default).clone()),
                host,
            );
        }
        let mut store = store::new_store(self, Bounds::of(limits), host);
        let asked = self.ask_info(&mut store).await;
        let (host, _) = store::end(&mut store);
        (
            asked.map(|info| self.inner.info.get_or_init(|| info).clone()),
            host,
        )
    }
    async fn ask_info(&self, store: &mut Store<Ctx>) -> Result<ProcessorInfo, Fault> {
        store::begin(store, self)?;
        run!(store, async {
            let (instance, memory) = store::instantiate(store, self).await?;
            let memory = memory.ok_or_else(no_processor)?;
            let at = &self.inner.exports;
            let info = text(store, &instance, memory, at.get_module_info.as_ref()).await?;
            let formats = at.get_supported_formats.as_ref();
            let formats = text(store, &instance, memory, formats).await?;
            let read = ProcessorInfo::read(info.as_deref(), formats.as_deref());
            let info = read.map_err(|reason| Stop::new(ErrorCode::BadReturn, reason))?;
            Ok(info)
        })
    }
    async fn processed(
        &self,
        store: &mut Store<Ctx>,
        input: Bytes,
        arguments: Arguments,
        freed_by: FreedBy,
    ) -> Result<Vec<u8>, Fault> {
        store::begin(store, self)?;
        let form = self.inner.form;
        if form == Form::WasiCommand {
            store.data_mut().wasi = Some(Box::new(WasiState::of_command(input, arguments)));
            return self.command(store).await;
        }
        run!(store, async {
            let (instance, memory) = store::instantiate(store, self).await?;
            let memory = memory.ok_or_else(no_processor)?;
            let convention = self.inner.report.allocator.ok_or_else(no_processor)?;
            let allocator =
                AllocatorFunctions::of(convention, &instance, store, &self.inner.exports);
            let allocator = allocator.ok_or_else(no_processor)?;
            let mut guest = Processor {
                store,
                instance,
                memory,
                allocator,
                linked: self,
            };
            match form {
                Form::ProcessorCString => guest.c_string(&input, freed_by).await,
                Form::ProcessorLength => guest.length(&input).await,
                _ => Err(no_processor().into()),
            }
        })
    }
    /// Form D: `_start`, which may end by returning or by exit code 0.
    async fn command(&self, store: &mut Store<Ctx>) -> Result<Vec<u8>, Fault> {
        run!(store, async {
            let ran: wasmtime::Result<()> = async {
                let (instance, _) = store::instantiate(store, self).await?;
                let start = self.inner.exports.start.as_ref();
                let start: TypedFunc<(), ()> =
                    typed(&instance, store, start).ok_or_else(no_processor)?;
                start.call_async(&mut *store, ()).await
            }
            .await;
            match ran {
                Err(error) if error.downcast_ref::<Exit>().is_some_and(|exit| exit.0 == 0) => {}
                other => other?,
            }
            let wasi = store.data_mut().wasi.as_mut();
            Ok(wasi.and_then(|wasi| wasi.stdout.take()).unwrap_or_default())
        })
    }
}

fn no_processor() -> Stop {
    Stop::new(ErrorCode::UnsupportedModule, "this module is no processor")
}

/// What can be refused before the guest runs.
fn refuse_input(
    form: Form,
    info: &ProcessorInfo,
    input: &[u8],
    content_type: Option<&str>,
    limits: &Limits,
) -> Option<Fault> {
    let most = limits.get(LimitName::PayloadBytes);
    if input.len() as u64 > most {
        let asked = format!("the input has {}", ByteSize(input.len() as u64));
        return Some(limit_fault(LimitName::PayloadBytes, most, &asked));
    }
    let essence = content_type.map(|ty| ty.split(';').next().unwrap_or_default().trim());
    if let Some(essence) = essence.filter(|_| !info.formats.is_empty())
        && !info
            .formats
            .iter()
            .any(|format| format.eq_ignore_ascii_case(essence))
    {
        let formats = info.formats.join(", ");
        let text = format!("the processor takes {formats}, not {essence}");
        return Some(Fault::new(ErrorCode::UnsupportedMediaType, text));
    }
    if form == Form::ProcessorCString && (input.contains(&0) || std::str::from_utf8(input).is_err())
    {
        let text = "this processor takes UTF-8 text without NUL bytes, and the input is none; encode it, or use a processor with pointer and length";
        return Some(Fault::new(ErrorCode::MalformedRequest, text));
    }
    None
}

/// A C string that an exported function returns.
async fn text(
    store: &mut Store<Ctx>,
    instance: &Instance,
    memory: Memory,
    index: Option<&wasmtime::ModuleExport>,
) -> wasmtime::Result<Option<Vec<u8>>> {
    let Some(function) = typed::<(), i32>(instance, store, index) else {
        return Ok(None);
    };
    let ptr = function.call_async(&mut *store, ()).await?;
    if ptr == 0 {
        return Ok(None);
    }
    Ok(Some(c_string_at(
        store,
        memory,
        ptr,
        INFO_BYTES_MAX as u64,
    )?))
}

/// Bytes up to the NUL.
fn c_string_at(
    store: &Store<Ctx>,
    memory: Memory,
    ptr: i32,
    bytes_max: u64,
) -> wasmtime::Result<Vec<u8>> {
    let at = ptr.cast_unsigned();
    let stop = match c_string(memory.data(store), at, bytes_max) {
        Ok(bytes) => return Ok(bytes.to_vec()),
        Err(CStringFault::Outside) => Stop::new(
            ErrorCode::BadPointer,
            format!("the guest returned {at:#x}, outside its memory"),
        ),
        Err(CStringFault::TooLong) => {
            let asked = "and the output has more";
            Stop::limit(LimitName::PayloadBytes, bytes_max, asked)
        }
        Err(CStringFault::Unterminated) => Stop::new(
            ErrorCode::BadReturn,
            "the guest returned a string without its terminating NUL",
        ),
    };
    Err(stop.into())
}

struct Processor<'a> {
    store: &'a mut Store<Ctx>,
    instance: Instance,
    memory: Memory,
    allocator: AllocatorFunctions,
    linked: &'a Linked,
}

fn gave_up() -> Stop {
    let text = format!(
        "the processor returned null; {}",
        ErrorCode::GuestError.remedy()
    );
    Stop::new(ErrorCode::GuestError, text)
}

impl Processor<'_> {
    /// Form B.
    async fn c_string(&mut self, input: &[u8], freed_by: FreedBy) -> wasmtime::Result<Vec<u8>> {
        let at = self.linked.inner.exports.process.as_ref();
        let process: TypedFunc<i32, i32> =
            typed(&self.instance, self.store, at).ok_or_else(no_processor)?;
        let len = input.len() + 1;
        let ptr = self.allocate(len).await?;
        guest_bytes::write(self.store, self.memory, ptr, input)?;
        let end = ptr.wrapping_add(u32::try_from(input.len()).unwrap_or(u32::MAX).cast_signed());
        guest_bytes::write(self.store, self.memory, end, &[0])?;
        let out = process.call_async(&mut *self.store, ptr).await?;
        if out == 0 {
            return Err(gave_up().into());
        }
        let most = self.store.data().bounds.payload_bytes;
        let output = c_string_at(self.store, self.memory, out, most)?;
        if freed_by == FreedBy::Host {
            self.free(out, output.len() + 1).await?;
        }
        self.free(ptr, len).await?;
        Ok(output)
    }
    /// Form C.
    async fn length(&mut self, input: &[u8]) -> wasmtime::Result<Vec<u8>> {
        let at = self.linked.inner.exports.process.as_ref();
        let process: TypedFunc<(i32, i32, i32), i32> =
            typed(&self.instance, self.store, at).ok_or_else(no_processor)?;
        let ptr = self.allocate(input.len()).await?;
        guest_bytes::write(self.store, self.memory, ptr, input)?;
        let cell = self.allocate(4).await?;
        guest_bytes::write(self.store, self.memory, cell, &[0; 4])?;
        let len = u32::try_from(input.len()).unwrap_or(u32::MAX).cast_signed();
        let out = process
            .call_async(&mut *self.store, (ptr, len, cell))
            .await?;
        if out == 0 {
            return Err(gave_up().into());
        }
        let written = guest_bytes::read(self.store, self.memory, cell, 4)?;
        let written = u32::from_le_bytes(written.try_into().unwrap_or_default());
        let most = self.store.data().bounds.payload_bytes;
        if u64::from(written) > most {
            let asked = format!("the output has {}", ByteSize(u64::from(written)));
            return Err(Stop::limit(LimitName::PayloadBytes, most, &asked).into());
        }
        let output = guest_bytes::read(self.store, self.memory, out, written.cast_signed())?;
        self.free(out, output.len()).await?;
        self.free(cell, 4).await?;
        self.free(ptr, input.len()).await?;
        Ok(output)
    }
    async fn allocate(&mut self, len: usize) -> wasmtime::Result<i32> {
        guest_bytes::allocate(self.store, self.memory, &mut self.allocator, len).await
    }
    async fn free(&mut self, ptr: i32, len: usize) -> wasmtime::Result<()> {
        guest_bytes::free(self.store, &self.allocator, ptr, len).await
    }
}

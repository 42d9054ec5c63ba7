//! Bytes into the guest and out of it: by its own allocator, in memory it owns.

use caxton_model::{ByteSize, ErrorCode};
use wasmtime::{Memory, Store};

use crate::{
    ctx::{Ctx, Stop},
    exports::{AllocatorFunctions, Free},
    guest_memory::span,
};

const WASM_PAGE: u64 = 65_536;
/// Alignment asked for where the allocator takes one.
const ALIGN: i32 = 8;

fn length(len: usize) -> wasmtime::Result<i32> {
    match u32::try_from(len) {
        Ok(len) => Ok(len.cast_signed()),
        Err(_) => Err(Stop::new(ErrorCode::PayloadTooLarge, "more than 4 GiB").into()),
    }
}

/// Asks the guest for room. Guest code runs: it counts as the turn's.
pub(crate) async fn allocate(
    store: &mut Store<Ctx>,
    memory: Memory,
    allocator: &mut AllocatorFunctions,
    len: usize,
) -> wasmtime::Result<i32> {
    let asked = length(len)?;
    let ptr = match allocator {
        AllocatorFunctions::Len(f, _) => f.call_async(&mut *store, asked).await?,
        AllocatorFunctions::LenAlign(f, _) => f.call_async(&mut *store, (asked, ALIGN)).await?,
        AllocatorFunctions::Realloc(f) => f.call_async(&mut *store, (0, 0, ALIGN, asked)).await?,
        AllocatorFunctions::AssemblyScript { new, pin, .. } => {
            let ptr = new.call_async(&mut *store, (asked, 1)).await?;
            pin.call_async(&mut *store, ptr).await?
        }
        AllocatorFunctions::Region { start, bytes } => {
            return region(store, memory, start, bytes, len as u64).await;
        }
    };
    if ptr == 0 && len > 0 {
        let text = format!(
            "the guest's allocator returned null for {}",
            ByteSize(len as u64)
        );
        return Err(Stop::new(ErrorCode::BadAllocator, text).into());
    }
    if span(ptr, asked).within(memory.data_size(&*store)).is_err() {
        let text = format!(
            "the guest's allocator returned {:#x} for {}, outside its memory; {}",
            ptr.cast_unsigned(),
            ByteSize(len as u64),
            ErrorCode::BadAllocator.remedy()
        );
        return Err(Stop::new(ErrorCode::BadAllocator, text).into());
    }
    Ok(ptr)
}

/// Pages that the host added at the memory's end; more of them when a message needs more.
async fn region(
    store: &mut Store<Ctx>,
    memory: Memory,
    start: &mut Option<u64>,
    bytes: &mut u64,
    len: u64,
) -> wasmtime::Result<i32> {
    if start.is_none() || len > *bytes {
        let pages = len.saturating_sub(*bytes).div_ceil(WASM_PAGE).max(1);
        let before = memory.grow_async(&mut *store, pages).await?;
        start.get_or_insert(before.saturating_mul(WASM_PAGE));
        *bytes = bytes.saturating_add(pages.saturating_mul(WASM_PAGE));
    }
    let start = u32::try_from(start.unwrap_or(0)).unwrap_or(u32::MAX);
    Ok(start.cast_signed())
}

/// Gives the room back, where the guest can take it.
pub(crate) async fn free(
    store: &mut Store<Ctx>,
    allocator: &AllocatorFunctions,
    ptr: i32,
    len: usize,
) -> wasmtime::Result<()> {
    let len = length(len)?;
    match allocator {
        AllocatorFunctions::Len(_, Some(free)) | AllocatorFunctions::LenAlign(_, Some(free)) => {
            match free {
                Free::PtrLen(f) => f.call_async(&mut *store, (ptr, len)).await,
                Free::PtrLenResult(f) => f.call_async(&mut *store, (ptr, len)).await.map(|_| ()),
                Free::Ptr(f) => f.call_async(&mut *store, ptr).await,
                Free::PtrLenAlign(f) => f.call_async(&mut *store, (ptr, len, ALIGN)).await,
            }
        }
        AllocatorFunctions::AssemblyScript { unpin, .. } => {
            unpin.call_async(&mut *store, ptr).await
        }
        _ => Ok(()),
    }
}

/// Copies bytes in.
pub(crate) fn write(
    store: &mut Store<Ctx>,
    memory: Memory,
    ptr: i32,
    bytes: &[u8],
) -> wasmtime::Result<()> {
    let target = span(ptr, length(bytes.len())?);
    target
        .of_mut(memory.data_mut(&mut *store))?
        .copy_from_slice(bytes);
    Ok(())
}

/// Allocates and copies.
pub(crate) async fn put(
    store: &mut Store<Ctx>,
    memory: Memory,
    allocator: &mut AllocatorFunctions,
    bytes: &[u8],
) -> wasmtime::Result<i32> {
    let ptr = allocate(store, memory, allocator, bytes.len()).await?;
    write(store, memory, ptr, bytes)?;
    Ok(ptr)
}

/// Copies bytes out.
pub(crate) fn read(
    store: &Store<Ctx>,
    memory: Memory,
    ptr: i32,
    len: i32,
) -> wasmtime::Result<Vec<u8>> {
    Ok(span(ptr, len).of(memory.data(store))?.to_vec())
}

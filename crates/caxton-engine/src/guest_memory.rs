//! Reading and writing a guest's memory by pointers that the guest made up.

use std::ops::Range;

use caxton_model::{ByteSize, ErrorCode};
use wasmtime::{Caller, Memory};

use crate::ctx::{Ctx, Stop};

/// Pointer and length as a guest gives them. Both are unsigned, whatever their type says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) ptr: i32,
    pub(crate) len: i32,
}

pub(crate) const fn span(ptr: i32, len: i32) -> Span {
    Span { ptr, len }
}

impl Span {
    /// The range, if it lies inside.
    pub(crate) fn within(self, size: usize) -> Result<Range<usize>, Stop> {
        let (ptr, len) = (self.ptr.cast_unsigned(), self.len.cast_unsigned());
        let start = ptr as usize;
        match start.checked_add(len as usize) {
            Some(end) if end <= size => Ok(start..end),
            _ => Err(Stop::new(
                ErrorCode::BadPointer,
                format!(
                    "the guest passed {len} bytes at {ptr:#x}, its memory has {}; {}",
                    ByteSize(size as u64),
                    ErrorCode::BadPointer.remedy()
                ),
            )),
        }
    }
    pub(crate) fn of(self, bytes: &[u8]) -> Result<&[u8], Stop> {
        let range = self.within(bytes.len())?;
        bytes.get(range).ok_or_else(outside)
    }
    pub(crate) fn of_mut(self, bytes: &mut [u8]) -> Result<&mut [u8], Stop> {
        let range = self.within(bytes.len())?;
        bytes.get_mut(range).ok_or_else(outside)
    }
}

fn outside() -> Stop {
    Stop::new(ErrorCode::BadPointer, ErrorCode::BadPointer.remedy())
}

/// The guest's memory. In a start function it is not yet noted, so it is looked up.
pub(crate) fn memory(caller: &mut Caller<'_, Ctx>) -> Result<Memory, Stop> {
    if let Some(memory) = caller.data().memory {
        return Ok(memory);
    }
    let memory = caller
        .get_export("memory")
        .and_then(wasmtime::Extern::into_memory);
    let memory =
        memory.ok_or_else(|| Stop::new(ErrorCode::BadPointer, "the guest exports no memory"))?;
    caller.data_mut().memory = Some(memory);
    Ok(memory)
}

/// The guest's memory and what stands beside it, both at once, so that nothing is copied.
pub(crate) fn view<'a>(
    caller: &'a mut Caller<'_, Ctx>,
) -> Result<(&'a mut [u8], &'a mut Ctx), Stop> {
    let memory = memory(caller)?;
    Ok(memory.data_and_store_mut(caller))
}

/// Copies as much as fits, and answers the whole length: the way all `load`-like functions answer.
pub(crate) fn copy_out(bytes: &mut [u8], into: Span, value: &[u8]) -> Result<i32, Stop> {
    let target = into.of_mut(bytes)?;
    let n = target.len().min(value.len());
    if let (Some(to), Some(from)) = (target.get_mut(..n), value.get(..n)) {
        to.copy_from_slice(from);
    }
    Ok(i32::try_from(value.len()).unwrap_or(i32::MAX))
}

/// A string in AssemblyScript's memory: UTF-16, its length in bytes in the word before it.
pub(crate) fn assembly_script_text(bytes: &[u8], ptr: i32, chars_max: usize) -> String {
    let ptr = ptr.cast_unsigned() as usize;
    let word = ptr.checked_sub(4).and_then(|start| bytes.get(start..ptr));
    let Some(Ok(word)) = word.map(<[u8; 4]>::try_from) else {
        return String::new();
    };
    let len = (u32::from_le_bytes(word) as usize).min(chars_max * 2);
    let Some(text) = ptr.checked_add(len).and_then(|end| bytes.get(ptr..end)) else {
        return String::new();
    };
    let units = text.chunks_exact(2).map(|pair| {
        pair.iter()
            .rev()
            .fold(0_u16, |unit, byte| (unit << 8) | u16::from(*byte))
    });
    char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

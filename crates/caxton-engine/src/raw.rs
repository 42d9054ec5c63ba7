//! The one file with `unsafe`: memory and stacks of agents out of two slabs, and loading of
//! compiled code that this node made itself.
//!
//! Contract, which every block below relies on:
//! - A slot is handed out to one owner at a time; it goes back only when that owner is dropped.
//! - Chunks are never unmapped while a slot of them is out (a slot holds its slab).
//! - Bytes of a slot that no owner has made part of its size were never written: they read as zero.
//! - Compiled code is loaded only after its MAC, under a key only this node has, was checked over
//!   the very bytes that are loaded, or straight from the compiler.
#![allow(
    unsafe_code,
    reason = "the one place for it; the contract stands above"
)]

use std::{
    cell::Cell,
    fs::File,
    ops::Range,
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use wasmtime::{LinearMemory, MemoryCreator, MemoryType, Module, StackCreator, StackMemory};

use crate::config::FIBER_BYTES;

/// Address space of one agent's memory. Unit: bytes. Larger memories move out of the slab.
pub(crate) const MEMORY_STRIDE: usize = 64 << 20;
/// Address space of one agent's stack, guard included. Unit: bytes.
const STACK_STRIDE: usize = 2 << 20;
/// Slots that are mapped at a time: 64 GiB of addresses for memories, one mapping.
const CHUNK_SLOTS: usize = 1024;
/// Unit: bytes.
pub(crate) const PAGE: usize = 4096;
/// What one page of a page table maps. Chunks begin at a multiple of it: a slot of this size has its
/// own, which goes with the slot's pages (Linux 6.14). Unit: bytes.
pub(crate) const TABLE_SPAN: usize = 2 << 20;
/// Linux 6.13: a guard page without a mapping of its own.
const MADV_GUARD_INSTALL: libc::c_int = 102;
const MADV_GUARD_REMOVE: libc::c_int = 103;
/// Whether this kernel has such pages, as far as is known.
static GUARD_BY_ADVICE: AtomicBool = AtomicBool::new(true);

/// Memories and stacks of live agents.
#[derive(Debug)]
pub(crate) struct Slabs {
    memories: Arc<Slab>,
    stacks: Arc<Slab>,
}

#[derive(Debug)]
struct Slab {
    stride: usize,
    slots_max: usize,
    state: Mutex<SlabState>,
    /// What the owners of its slots have made of them, wherever it lies. Unit: bytes.
    held_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct SlabState {
    chunks: Vec<Mapping>,
    slots: usize,
    free: Vec<usize>,
}

/// A private anonymous mapping.
#[derive(Debug)]
struct Mapping {
    base: usize,
    len: usize,
}

impl Mapping {
    fn new(len: usize) -> Option<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: the range was just mapped; the advice changes no contents.
        unsafe { libc::madvise(base, len, libc::MADV_NOHUGEPAGE) };
        Some(Self {
            base: base as usize,
            len,
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nobody has a slot of it (module contract).
        unsafe { libc::munmap(self.base as *mut libc::c_void, self.len) };
    }
}

/// One slot of a slab, given back when dropped.
struct Slot {
    slab: Arc<Slab>,
    base: usize,
}

impl Slab {
    fn new(stride: usize, slots_max: u32) -> Arc<Self> {
        let slots_max = usize::try_from(slots_max).unwrap_or(usize::MAX).max(1);
        Arc::new(Self {
            stride,
            slots_max,
            state: Mutex::default(),
            held_bytes: AtomicU64::new(0),
        })
    }
    /// A slot.
    ///
    /// Errors: [`SLAB_FULL`], [`NO_ADDRESS_SPACE`].
    fn take(self: &Arc<Self>) -> Result<Slot, &'static str> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.free.is_empty() {
            self.map_chunk(&mut state)?;
        }
        let base = state.free.pop().ok_or(SLAB_FULL)?;
        Ok(Slot {
            slab: self.clone(),
            base,
        })
    }
    /// Maps the first slots, if none are.
    fn reserve(&self) -> Result<(), &'static str> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.chunks.is_empty() {
            self.map_chunk(&mut state)?;
        }
        Ok(())
    }
    fn map_chunk(&self, state: &mut SlabState) -> Result<(), &'static str> {
        let count = CHUNK_SLOTS.min(self.slots_max.saturating_sub(state.slots));
        if count == 0 {
            return Err(SLAB_FULL);
        }
        let len = count.saturating_mul(self.stride).saturating_add(TABLE_SPAN);
        let chunk = Mapping::new(len).ok_or(NO_ADDRESS_SPACE)?;
        let first = chunk.base.next_multiple_of(TABLE_SPAN);
        state
            .free
            .extend((0..count).rev().map(|i| first + i * self.stride));
        state.slots += count;
        state.chunks.push(chunk);
        Ok(())
    }
    /// What of it is in memory. Unit: bytes. Cost: a system call for each chunk.
    fn resident_bytes(&self) -> u64 {
        let chunks: Vec<(usize, usize)> = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.chunks.iter().map(|c| (c.base, c.len)).collect()
        };
        let mut resident = 0;
        for (base, len) in chunks {
            let mut pages = vec![0_u8; len / PAGE];
            // SAFETY: chunks stay mapped as long as their slab, which `self` keeps; one byte is
            // written for each page.
            let asked =
                unsafe { libc::mincore(base as *mut libc::c_void, len, pages.as_mut_ptr()) };
            if asked == 0 {
                resident += pages.iter().filter(|page| **page & 1 == 1).count() * PAGE;
            }
        }
        resident as u64
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self
            .slab
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.free.push(self.base);
    }
}

/// Gives the pages of a range back; they read as zero afterwards.
fn forget_pages(base: usize, len: usize) {
    if len > 0 {
        // SAFETY: callers pass a range inside a slot that they own, page-aligned at its start.
        unsafe { libc::madvise(base as *mut libc::c_void, len, libc::MADV_DONTNEED) };
    }
}

impl Slabs {
    /// Address space for so many agents; nothing is mapped before the first one, or [`Self::reserve`].
    pub(crate) fn new(agents_max: u32) -> Arc<Self> {
        Arc::new(Self {
            memories: Slab::new(MEMORY_STRIDE, agents_max),
            stacks: Slab::new(STACK_STRIDE, agents_max),
        })
    }
    /// Maps the address space of the first agents now.
    ///
    /// Errors: [`NO_ADDRESS_SPACE`].
    pub(crate) fn reserve(&self) -> Result<(), &'static str> {
        self.memories.reserve()?;
        self.stacks.reserve()
    }
    /// Sum of all linear memories out of it, as large as their guests made them. Unit: bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memories.held_bytes.load(Relaxed)
    }
    /// What of the stacks is in memory. Unit: bytes. Cost: see [`Slab::resident_bytes`].
    pub(crate) fn stack_resident_bytes(&self) -> u64 {
        self.stacks.resident_bytes()
    }
    pub(crate) fn memories(&self) -> Arc<dyn MemoryCreator> {
        Arc::new(Memories(self.memories.clone()))
    }
    pub(crate) fn stacks(&self) -> Arc<dyn StackCreator> {
        Arc::new(Stacks {
            slab: self.stacks.clone(),
        })
    }
}

struct Memories(Arc<Slab>);

/// An agent's linear memory: a slot, or a mapping of its own once it outgrew one.
struct Memory {
    slot: Option<Slot>,
    own: Option<Mapping>,
    size: usize,
    slab: Arc<Slab>,
}

impl Memory {
    fn base(&self) -> usize {
        match (&self.own, &self.slot) {
            (Some(own), _) => own.base,
            (None, Some(slot)) => slot.base,
            (None, None) => 0,
        }
    }
    fn capacity(&self) -> usize {
        match (&self.own, &self.slot) {
            (Some(own), _) => own.len,
            (None, Some(slot)) => slot.slab.stride,
            (None, None) => 0,
        }
    }
    fn release_slot(&mut self) {
        if let Some(slot) = self.slot.take() {
            forget_pages(slot.base, self.size);
        }
    }
}

// SAFETY: `as_ptr` stays valid for `byte_capacity` bytes until the value is dropped or `grow_to`
// moves it (the compiled code reloads the base, since the engine lets memories move); bytes beyond
// `byte_size` read as zero; nobody else has the slot.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.size
    }
    fn byte_capacity(&self) -> usize {
        self.capacity()
    }
    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        if new_size > self.capacity() {
            // Half as much again, so that growing step by step copies little.
            let len = new_size.saturating_add(new_size / 2).next_multiple_of(PAGE);
            let own = Mapping::new(len)
                .ok_or_else(|| wasmtime::Error::msg("no address space for a larger memory"))?;
            // SAFETY: both ranges are mapped, at least `size` long, and distinct.
            unsafe {
                ptr::copy_nonoverlapping(self.base() as *const u8, own.base as *mut u8, self.size);
            };
            self.release_slot();
            self.own = Some(own);
        }
        let more = new_size.saturating_sub(self.size);
        self.slab.held_bytes.fetch_add(more as u64, Relaxed);
        self.size = new_size;
        Ok(())
    }
    fn as_ptr(&self) -> *mut u8 {
        self.base() as *mut u8
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.slab.held_bytes.fetch_sub(self.size as u64, Relaxed);
        self.release_slot();
    }
}

// SAFETY: each memory has a slot or a mapping to itself, zeroed, page-aligned.
unsafe impl MemoryCreator for Memories {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        _maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        // The compiled code must check every access against the memory's size.
        if reserved != Some(0) || guard != 0 {
            return Err(format!(
                "unexpected reservation {reserved:?} or guard {guard}"
            ));
        }
        let slot = self.0.take()?;
        let mut memory = Memory {
            slot: Some(slot),
            own: None,
            size: 0,
            slab: Arc::clone(&self.0),
        };
        memory.grow_to(minimum).map_err(|error| error.to_string())?;
        Ok(Box::new(memory))
    }
}

/// What a full slab answers; the engine tells it from other failures by this text.
pub(crate) const SLAB_FULL: &str =
    "as many agents are live as this node takes; remove some, or raise `budgets.agents`";
/// The same where the system refuses the mapping.
pub(crate) const NO_ADDRESS_SPACE: &str = "the system gives this process no address space for the \
     memories and stacks of agents, of which it takes 64 GiB at a time; start the node without a \
     limit of virtual memory (`ulimit -v unlimited`)";

/// Makes an agent's memory all zero and gives its pages back, and with them its page table (Linux
/// 6.14).
///
/// Contract: `memory` is the whole of a memory out of the slab, at most [`TABLE_SPAN`] long, and
/// its slot is longer: what follows in that span is nobody's.
pub(crate) fn empty(memory: &mut [u8]) {
    forget_pages(memory.as_mut_ptr() as usize, TABLE_SPAN);
}

/// The bytes of a memory.
#[cfg(test)]
pub(crate) fn bytes_of(memory: &mut dyn LinearMemory) -> &mut [u8] {
    // SAFETY: the memory has so many bytes at that place, and is borrowed as long as they are.
    unsafe { std::slice::from_raw_parts_mut(memory.as_ptr(), memory.byte_size()) }
}

struct Stacks {
    slab: Arc<Slab>,
}

thread_local! {
    /// The bottom of the stack that was last handed out on this thread; 0: none since it was taken.
    static NEW_STACK: Cell<usize> = const { Cell::new(0) };
}

/// What a stack keeps when it is trimmed: an ordinary turn touches less. Unit: bytes.
const STACK_KEPT_BYTES: usize = 32 << 10;

/// The bottom of the stack that was handed out on this thread since the last time; 0: none.
pub(crate) fn take_new_stack() -> usize {
    NEW_STACK.replace(0)
}

/// Gives back the pages of a stack that went deep.
///
/// Contract: `bottom` is from [`take_new_stack`], the stack's store is alive, and no call of it
/// runs: what stands on the stack is dead. Cost: a system call, two if it went deep.
pub(crate) fn trim_stack(bottom: usize) {
    let deep = FIBER_BYTES - STACK_KEPT_BYTES;
    let page = bottom + deep - PAGE;
    let mut resident = 0_u8;
    // SAFETY: one page of a stack that is mapped (contract); the answer is one byte.
    let asked = unsafe { libc::mincore(page as *mut libc::c_void, PAGE, &raw mut resident) };
    if asked == 0 && resident & 1 == 0 {
        return;
    }
    forget_pages(bottom, deep);
}

/// Gives back all pages of an idle stack and its guard, with which its page table can go, too.
/// Answers whether the guard is gone: then [`guard_again`] comes before the store's next call.
///
/// Contract: as [`trim_stack`]. Cost: two system calls.
pub(crate) fn park_stack(bottom: usize) -> bool {
    let guard = (bottom - PAGE) as *mut libc::c_void;
    // SAFETY: the page below a stack that is mapped (contract); nothing runs on it until the guard
    // is there again.
    let is_gone = GUARD_BY_ADVICE.load(Relaxed)
        && unsafe { libc::madvise(guard, PAGE, MADV_GUARD_REMOVE) } == 0;
    if is_gone {
        forget_pages(bottom + FIBER_BYTES - STACK_STRIDE, STACK_STRIDE);
    } else {
        forget_pages(bottom, FIBER_BYTES);
    }
    is_gone
}

/// Puts the guard below a parked stack; answers whether it is there.
///
/// Contract: as [`trim_stack`].
pub(crate) fn guard_again(bottom: usize) -> bool {
    let guard = (bottom - PAGE) as *mut libc::c_void;
    // SAFETY: as in `park_stack`.
    unsafe { libc::madvise(guard, PAGE, MADV_GUARD_INSTALL) == 0 }
}

/// How much of a stack is in memory. Unit: bytes. Cost: a system call; contract as [`trim_stack`].
pub(crate) fn stack_resident_bytes(bottom: usize) -> u64 {
    let mut pages = [0_u8; FIBER_BYTES / PAGE];
    // SAFETY: the whole stack is mapped (contract); one byte is written for each of its pages.
    let asked =
        unsafe { libc::mincore(bottom as *mut libc::c_void, FIBER_BYTES, pages.as_mut_ptr()) };
    let resident = if asked == 0 {
        pages.iter().filter(|page| **page & 1 == 1).count()
    } else {
        0
    };
    (resident * PAGE) as u64
}

/// A fiber's stack: the top of a slot, a guard page below.
struct Stack {
    slot: Slot,
}

impl Stack {
    fn top_address(&self) -> usize {
        self.slot.base + STACK_STRIDE
    }
    fn bottom_address(&self) -> usize {
        self.top_address() - FIBER_BYTES
    }
}

// SAFETY: the range is mapped, page-aligned, owned by this value alone, zeroed when handed out,
// and has a page below it that faults.
unsafe impl StackMemory for Stack {
    fn top(&self) -> *mut u8 {
        self.top_address() as *mut u8
    }
    fn range(&self) -> Range<usize> {
        self.bottom_address()..self.top_address()
    }
    fn guard_range(&self) -> Range<*mut u8> {
        (self.bottom_address() - PAGE) as *mut u8..self.bottom_address() as *mut u8
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        forget_pages(self.bottom_address(), FIBER_BYTES);
    }
}

// SAFETY: as for `Stack`; a stack without its guard page is not handed out.
unsafe impl StackCreator for Stacks {
    fn new_stack(&self, size: usize, _zeroed: bool) -> wasmtime::Result<Box<dyn StackMemory>> {
        if size > FIBER_BYTES {
            return Err(wasmtime::Error::msg("unexpected stack size"));
        }
        let slot = self.slab.take().map_err(wasmtime::Error::msg)?;
        let stack = Stack { slot };
        NEW_STACK.set(stack.bottom_address());
        let guard = (stack.bottom_address() - PAGE) as *mut libc::c_void;
        if GUARD_BY_ADVICE.load(Relaxed) {
            // SAFETY: a page of the slot that nothing uses.
            if unsafe { libc::madvise(guard, PAGE, MADV_GUARD_INSTALL) } == 0 {
                return Ok(Box::new(stack));
            }
            GUARD_BY_ADVICE.store(false, Relaxed);
        }
        // SAFETY: as above.
        if unsafe { libc::mprotect(guard, PAGE, libc::PROT_NONE) } != 0 {
            return Err(wasmtime::Error::msg(
                "no guard page for a stack: vm.max_map_count reached",
            ));
        }
        Ok(Box::new(stack))
    }
}

/// Loads compiled code that was checked or just made.
///
/// Contract: `artefact` is what this build's compiler wrote: either it comes straight from it, or
/// its MAC was checked over these bytes.
pub(crate) fn load_checked(
    engine: &wasmtime::Engine,
    artefact: &[u8],
) -> Result<Module, wasmtime::Error> {
    // SAFETY: the function's contract; version and settings are compared by the callee.
    unsafe { Module::deserialize(engine, artefact) }
}

/// Maps a file of compiled code that was checked or just made; the file stays open.
///
/// Contract: `file` holds what this build's compiler wrote: its MAC was just checked, or this process
/// has just written it. Nobody writes to it any more.
pub(crate) fn map_checked(
    engine: &wasmtime::Engine,
    file: File,
) -> Result<Module, wasmtime::Error> {
    // SAFETY: the function's contract; version and settings are compared by the callee.
    unsafe { Module::deserialize_open_file(engine, file) }
}

/// Lets this process never again make memory executable: for nodes that interpret.
///
/// Errors: a kernel without it (Linux before 6.3). Can't be taken back.
pub fn forbid_executable_memory() -> std::io::Result<()> {
    const PR_SET_MDWE: libc::c_int = 65;
    const PR_MDWE_REFUSE_EXEC_GAIN: libc::c_ulong = 1;
    let zero: libc::c_ulong = 0;
    // SAFETY: sets a flag of the process; no memory is touched.
    let set = unsafe { libc::prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, zero, zero, zero) };
    if set == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the system can read that byte for us.
    fn is_readable(address: usize) -> bool {
        let mut ends = [0; 2];
        // SAFETY: two descriptors into a place for two; the system checks the address itself.
        unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            let written = libc::write(ends[1], address as *const libc::c_void, 1);
            libc::close(ends[0]);
            libc::close(ends[1]);
            written == 1
        }
    }

    #[test]
    fn a_parked_stack_is_empty_and_has_its_guard_again_before_it_is_used() {
        let slabs = Slabs::new(4);
        let stacks = slabs.stacks();
        let stack = stacks.new_stack(FIBER_BYTES, true).unwrap();
        let bottom = take_new_stack();
        assert_eq!((bottom + FIBER_BYTES) % TABLE_SPAN, 0, "a table of its own");
        assert!(!is_readable(bottom - PAGE) && is_readable(bottom));
        for _ in 0..2 {
            // SAFETY: the stack is ours, and nothing runs on it.
            unsafe { ((bottom + FIBER_BYTES - 8) as *mut u64).write(7) };
            assert!(stack_resident_bytes(bottom) >= PAGE as u64);
            let is_gone = park_stack(bottom);
            assert_eq!(stack_resident_bytes(bottom), 0);
            assert_eq!(is_readable(bottom - PAGE), is_gone);
            assert!(!is_gone || guard_again(bottom));
            assert!(!is_readable(bottom - PAGE) && is_readable(bottom));
        }
        park_stack(bottom);
        drop(stack);
        let again = stacks.new_stack(FIBER_BYTES, true).unwrap();
        let bottom = take_new_stack();
        assert!(!is_readable(bottom - PAGE), "handed out with its guard");
        drop(again);
    }
}

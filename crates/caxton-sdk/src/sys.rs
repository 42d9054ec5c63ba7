//! The edge to the host: imports, and memory that the host reads and writes.
//!
//! The only file of the SDK with `unsafe`. Its contract: every pointer that goes out is that of a
//! slice that lives through the call; every pointer that comes in is one the host got from
//! [`alloc`] (or the caller of an export natively) and is valid for the length that comes with it.
#![allow(
    unsafe_code,
    reason = "imports, exports and the allocator; see the contract above"
)]

use std::alloc::Layout;

#[cfg(target_arch = "wasm32")]
mod imports {
    #[link(wasm_import_module = "caxton")]
    unsafe extern "C" {
        pub(super) fn send_message(at: *const u8, length: usize) -> i32;
        pub(super) fn send_local_message(
            id: *const u8,
            id_length: usize,
            at: *const u8,
            length: usize,
        ) -> i32;
        pub(super) fn broadcast_message(
            filter: *const u8,
            filter_length: usize,
            at: *const u8,
            length: usize,
        ) -> i32;
        pub(super) fn event_emit(
            topic: *const u8,
            topic_length: usize,
            at: *const u8,
            length: usize,
        ) -> i32;
        pub(super) fn subscribe_messages(filter: *const u8, length: usize) -> i32;
        pub(super) fn unsubscribe_messages(id: i32) -> i32;
        pub(super) fn store_data(
            key: *const u8,
            key_length: usize,
            at: *const u8,
            length: usize,
        ) -> i32;
        pub(super) fn load_data(
            key: *const u8,
            key_length: usize,
            into: *mut u8,
            length: usize,
        ) -> i32;
        pub(super) fn delete_data(key: *const u8, key_length: usize) -> i32;
        pub(super) fn config_get(
            key: *const u8,
            key_length: usize,
            into: *mut u8,
            length: usize,
        ) -> i32;
        pub(super) fn data_get(
            row: *const u8,
            row_length: usize,
            into: *mut u8,
            length: usize,
        ) -> i32;
        pub(super) fn data_put(
            row: *const u8,
            row_length: usize,
            at: *const u8,
            length: usize,
        ) -> i32;
        pub(super) fn data_delete(row: *const u8, row_length: usize) -> i32;
        pub(super) fn data_list(
            query: *const u8,
            query_length: usize,
            into: *mut u8,
            length: usize,
        ) -> i32;
        pub(super) fn set_timer(delay_micros: i64) -> i32;
        pub(super) fn cancel_timer(id: i32) -> i32;
        pub(super) fn current_timestamp() -> i64;
        pub(super) fn random_u32() -> u32;
        pub(super) fn sleep_micros(micros: i64);
        pub(super) fn console_log(at: *const u8, length: usize);
        pub(super) fn console_error(at: *const u8, length: usize);
        pub(super) fn log_record(level: i32, at: *const u8, length: usize);
        pub(super) fn metric(kind: i32, name: *const u8, length: usize, value: f64) -> i32;
        pub(super) fn register_capabilities(at: *const u8, length: usize) -> i32;
        pub(super) fn http_request(at: *const u8, length: usize) -> i32;
        pub(super) fn read_response(into: *mut u8, length: usize) -> i32;
        pub(super) fn vault_get(
            name: *const u8,
            name_length: usize,
            into: *mut u8,
            length: usize,
        ) -> i32;
        pub(super) fn vault_put(
            name: *const u8,
            name_length: usize,
            at: *const u8,
            length: usize,
        ) -> i32;
        pub(super) fn respond(at: *const u8, length: usize) -> i32;
    }
}

/// One safe function per import; natively the host in memory answers.
macro_rules! calls {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)? = $import:ident($($pass:expr),*);)*) => {
        $(
            #[cfg(target_arch = "wasm32")]
            pub(crate) fn $name($($arg: $type),*) $(-> $result)? {
                // SAFETY: the slices live through the call, and their own lengths go with them.
                unsafe { imports::$import($($pass),*) }
            }
            #[cfg(not(target_arch = "wasm32"))]
            pub(crate) fn $name($($arg: $type),*) $(-> $result)? {
                crate::testing::host_mut(|host| host.$name($($arg),*))
            }
        )*
    };
}

calls! {
    send(json: &[u8]) -> i32 = send_message(json.as_ptr(), json.len());
    send_local(id: &[u8], json: &[u8]) -> i32 =
        send_local_message(id.as_ptr(), id.len(), json.as_ptr(), json.len());
    broadcast(filter: &[u8], json: &[u8]) -> i32 =
        broadcast_message(filter.as_ptr(), filter.len(), json.as_ptr(), json.len());
    emit(topic: &[u8], json: &[u8]) -> i32 =
        event_emit(topic.as_ptr(), topic.len(), json.as_ptr(), json.len());
    subscribe(filter: &[u8]) -> i32 = subscribe_messages(filter.as_ptr(), filter.len());
    unsubscribe(id: i32) -> i32 = unsubscribe_messages(id);
    store(key: &[u8], value: &[u8]) -> i32 =
        store_data(key.as_ptr(), key.len(), value.as_ptr(), value.len());
    load(key: &[u8], into: &mut [u8]) -> i32 =
        load_data(key.as_ptr(), key.len(), into.as_mut_ptr(), into.len());
    delete(key: &[u8]) -> i32 = delete_data(key.as_ptr(), key.len());
    config_get(key: &[u8], into: &mut [u8]) -> i32 =
        config_get(key.as_ptr(), key.len(), into.as_mut_ptr(), into.len());
    data_get(row: &[u8], into: &mut [u8]) -> i32 =
        data_get(row.as_ptr(), row.len(), into.as_mut_ptr(), into.len());
    data_put(row: &[u8], value: &[u8]) -> i32 =
        data_put(row.as_ptr(), row.len(), value.as_ptr(), value.len());
    data_delete(row: &[u8]) -> i32 = data_delete(row.as_ptr(), row.len());
    data_list(query: &[u8], into: &mut [u8]) -> i32 =
        data_list(query.as_ptr(), query.len(), into.as_mut_ptr(), into.len());
    set_timer(delay_micros: i64) -> i32 = set_timer(delay_micros);
    cancel_timer(id: i32) -> i32 = cancel_timer(id);
    now() -> i64 = current_timestamp();
    random() -> u32 = random_u32();
    sleep(micros: i64) = sleep_micros(micros);
    log(line: &[u8]) = console_log(line.as_ptr(), line.len());
    error(line: &[u8]) = console_error(line.as_ptr(), line.len());
    log_record(level: i32, json: &[u8]) = log_record(level, json.as_ptr(), json.len());
    metric(kind: i32, name: &[u8], value: f64) -> i32 =
        metric(kind, name.as_ptr(), name.len(), value);
    register(json: &[u8]) -> i32 = register_capabilities(json.as_ptr(), json.len());
    http_request(json: &[u8]) -> i32 = http_request(json.as_ptr(), json.len());
    read_response(into: &mut [u8]) -> i32 = read_response(into.as_mut_ptr(), into.len());
    vault_get(name: &[u8], into: &mut [u8]) -> i32 =
        vault_get(name.as_ptr(), name.len(), into.as_mut_ptr(), into.len());
    vault_put(name: &[u8], value: &[u8]) -> i32 =
        vault_put(name.as_ptr(), name.len(), value.as_ptr(), value.len());
    respond(json: &[u8]) -> i32 = respond(json.as_ptr(), json.len());
}

/// Memory for the host to write into; null if there is none.
pub(crate) fn alloc(length: usize) -> *mut u8 {
    match Layout::array::<u8>(length.max(1)) {
        // SAFETY: the layout's size is at least 1.
        Ok(layout) => unsafe { std::alloc::alloc(layout) },
        Err(_) => std::ptr::null_mut(),
    }
}

/// Takes memory back that [`alloc`] or [`leak`] gave out.
pub(crate) fn free(at: *mut u8, length: usize) {
    if let (false, Ok(layout)) = (at.is_null(), Layout::array::<u8>(length.max(1))) {
        // SAFETY: by the contract it is a region of ours with just this length.
        unsafe { std::alloc::dealloc(at, layout) }
    }
}

/// Gives bytes away as a region that [`free`] takes back with the same length; null if there is
/// no memory for them.
pub(crate) fn leak(bytes: &[u8]) -> *mut u8 {
    let at = alloc(bytes.len());
    write_out(at, bytes.len(), bytes);
    at
}

/// Reads what an export was given.
pub(crate) fn with_input<R>(at: *const u8, length: usize, read: impl FnOnce(&[u8]) -> R) -> R {
    if at.is_null() || length == 0 {
        return read(&[]);
    }
    // SAFETY: by the contract the region is valid for `length`, and nobody writes to it meanwhile.
    read(unsafe { std::slice::from_raw_parts(at, length) })
}

/// Reads a C string that an export was given; `None` for null.
pub(crate) fn with_c_string<R>(at: *const u8, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
    if at.is_null() {
        return None;
    }
    // SAFETY: by the contract it points to bytes that end in a NUL.
    let text = unsafe { std::ffi::CStr::from_ptr(at.cast()) };
    Some(read(text.to_bytes()))
}

/// Copies as much as fits to where the host will read it; answers the whole length.
pub(crate) fn write_out(at: *mut u8, room: usize, bytes: &[u8]) -> i32 {
    if !at.is_null() {
        // SAFETY: by the contract `room` bytes are valid there, and they are not ours.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len().min(room)) };
    }
    i32::try_from(bytes.len()).unwrap_or(i32::MAX)
}

/// Counts what passes through the system's allocator.
#[cfg(feature = "alloc-stats")]
struct Counting;

#[cfg(feature = "alloc-stats")]
#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is the system allocator's, unchanged; the books do not allocate.
#[cfg(feature = "alloc-stats")]
unsafe impl std::alloc::GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let at = unsafe { std::alloc::System.alloc(layout) };
        if !at.is_null() {
            crate::alloc::took(layout.size());
        }
        at
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        crate::alloc::gave_back(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { std::alloc::System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let new = unsafe { std::alloc::System.realloc(at, layout, new_size) };
        if !new.is_null() {
            crate::alloc::gave_back(layout.size());
            crate::alloc::took(new_size);
        }
        new
    }
}

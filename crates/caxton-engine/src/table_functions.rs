//! The host's functions of shared tables, as guests call them.

use caxton_model::{HostCode, ROW_REQUEST_BYTES_MAX, ROW_VALUE_BYTES_MAX};

use crate::{
    guest_memory::{copy_out, span, view},
    host_functions::{Answer, Guest, code},
};

/// The arguments of a function of shared tables are bounded here; the host reads them.
const fn row_fits(request: &[u8]) -> bool {
    request.len() <= ROW_REQUEST_BYTES_MAX
}

pub(crate) fn data_get(
    c: &mut Guest<'_>,
    row_ptr: i32,
    row_len: i32,
    ptr: i32,
    len: i32,
) -> Answer {
    let (bytes, ctx) = view(c)?;
    let into = span(ptr, len);
    into.within(bytes.len())?;
    let row = span(row_ptr, row_len).of(bytes)?;
    if !row_fits(row) {
        return Ok(HostCode::TooLarge.as_i32());
    }
    match ctx.host.data_get(row) {
        Ok(Some(value)) => copy_out(bytes, into, &value),
        Ok(None) => Ok(HostCode::NotFound.as_i32()),
        Err(code) => Ok(code.as_i32()),
    }
}

pub(crate) fn data_put(
    c: &mut Guest<'_>,
    row_ptr: i32,
    row_len: i32,
    ptr: i32,
    len: i32,
) -> Answer {
    let (bytes, ctx) = view(c)?;
    let (row, value) = (span(row_ptr, row_len).of(bytes)?, span(ptr, len).of(bytes)?);
    if !row_fits(row) || value.len() > ROW_VALUE_BYTES_MAX {
        return Ok(HostCode::TooLarge.as_i32());
    }
    Ok(code(ctx.host.data_put(row, value)))
}

pub(crate) fn data_delete(c: &mut Guest<'_>, ptr: i32, len: i32) -> Answer {
    let (bytes, ctx) = view(c)?;
    let row = span(ptr, len).of(bytes)?;
    if !row_fits(row) {
        return Ok(HostCode::TooLarge.as_i32());
    }
    Ok(code(ctx.host.data_delete(row)))
}

pub(crate) fn data_list(
    c: &mut Guest<'_>,
    query_ptr: i32,
    query_len: i32,
    ptr: i32,
    len: i32,
) -> Answer {
    let (bytes, ctx) = view(c)?;
    let into = span(ptr, len);
    into.within(bytes.len())?;
    let query = span(query_ptr, query_len).of(bytes)?;
    if !row_fits(query) {
        return Ok(HostCode::TooLarge.as_i32());
    }
    match ctx.host.data_list(query) {
        Ok(page) => copy_out(bytes, into, &page),
        Err(code) => Ok(code.as_i32()),
    }
}

//! `poll_oneoff` of WASI preview 1: waits for clocks; the standard streams are always ready.

use std::time::Duration;

use crate::{
    clock::WasiClock,
    ctx::{Ctx, Stop},
    guest_memory::{span, view},
    host_functions::{self, Guest},
    wasi::{LIST_MAX, get, is_standard, plus, put},
    wasi_errno::{BADF, INVAL, SUCCESS},
    wasi_granted,
};

/// One subscription of a poll: 48 bytes in, 32 bytes out.
enum Wanted {
    Clock { left: Duration },
    Stream { fd: i32 },
}

/// Reads one subscription; `None`: it names an unknown clock or is of an unknown kind.
fn subscription(bytes: &[u8], ctx: &mut Ctx, at: i32) -> Result<Option<(u64, u8, Wanted)>, Stop> {
    let userdata = u64::from_le_bytes(get(bytes, at)?);
    let [tag] = get(bytes, plus(at, 8))?;
    let wanted = match tag {
        0 => {
            let Some(clock) = WasiClock::of(i32::from_le_bytes(get(bytes, plus(at, 16))?)) else {
                return Ok(None);
            };
            let timeout = u64::from_le_bytes(get(bytes, plus(at, 24))?);
            let absolute = u16::from_le_bytes(get(bytes, plus(at, 40))?) & 1 == 1;
            let nanos = if absolute {
                timeout.saturating_sub(ctx.clock_nanos(clock))
            } else {
                timeout
            };
            Wanted::Clock {
                left: Duration::from_nanos(nanos),
            }
        }
        1 | 2 => Wanted::Stream {
            fd: i32::from_le_bytes(get(bytes, plus(at, 16))?),
        },
        _ => return Ok(None),
    };
    Ok(Some((userdata, tag, wanted)))
}

pub(crate) async fn poll_oneoff(
    c: &mut Guest<'_>,
    list: i32,
    events: i32,
    count: i32,
    out: i32,
) -> Result<i32, Stop> {
    if !(1..=LIST_MAX).contains(&count) {
        return Ok(INVAL);
    }
    let (bytes, ctx) = view(c)?;
    span(events, count.saturating_mul(32)).within(bytes.len())?;
    span(out, 4).within(bytes.len())?;
    let mut wanted = Vec::new();
    for i in 0..count {
        match subscription(bytes, ctx, plus(list, i.wrapping_mul(48)))? {
            Some(one) => wanted.push(one),
            None => return Ok(INVAL),
        }
    }
    let streams = wanted
        .iter()
        .any(|(_, _, one)| matches!(one, Wanted::Stream { .. }));
    let shortest = wanted
        .iter()
        .filter_map(|(_, _, one)| match one {
            Wanted::Clock { left } => Some(*left),
            Wanted::Stream { .. } => None,
        })
        .min();
    // Streams are always ready, so only clocks alone are waited for.
    let waited = if streams {
        Duration::ZERO
    } else {
        shortest.unwrap_or_default()
    };
    if waited > Duration::ZERO {
        host_functions::sleep(ctx, waited).await?;
    }
    let (bytes, ctx) = view(c)?;
    let mut ready = 0_i32;
    for (userdata, tag, one) in wanted {
        let errno: u16 = match one {
            Wanted::Clock { left } if left > waited => continue,
            Wanted::Clock { .. } => 0,
            Wanted::Stream { fd } if is_standard(fd) || wasi_granted::is_file(ctx, fd) => 0,
            Wanted::Stream { .. } => BADF.unsigned_abs() as u16,
        };
        let mut event = [0_u8; 32];
        event[..8].copy_from_slice(&userdata.to_le_bytes());
        event[8..10].copy_from_slice(&errno.to_le_bytes());
        event[10] = tag;
        put(bytes, plus(events, ready.wrapping_mul(32)), &event)?;
        ready = ready.saturating_add(1);
    }
    put(bytes, out, &ready.to_le_bytes())?;
    Ok(SUCCESS)
}

//! Takes as much memory as it is told to: under a limit, the turn ends with a memory fault.

use caxton_sdk::*;
use serde::Serialize;

#[derive(Serialize)]
struct Taken {
    allocated: usize,
    checksum: u64,
}

#[agent]
fn start() {
    register_handler("allocate_large_buffer", allocate_large_buffer);
}

fn allocate_large_buffer(message: &FipaMessage) -> Result<(), String> {
    let size = message.content.get("size").and_then(|size| size.as_u64());
    let size = size.and_then(|size| usize::try_from(size).ok()).ok_or("`size` is missing")?;
    // Every byte is written and read again, so that neither compiler nor system leaves it out.
    let buffer = std::hint::black_box(vec![1_u8; size]);
    let checksum = buffer.iter().map(|byte| u64::from(*byte)).sum();
    send_inform_response(message, &Taken { allocated: size, checksum });
    Ok(())
}

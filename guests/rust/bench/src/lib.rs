//! What the measurements ask of an agent: to keep a text of its own, and to compute.

use caxton_sdk::*;

mod kernels;

const KEPT: State<String> = State::new("kept");

#[agent]
fn start() {
    register_handler("keep", keep);
    register_handler("recall", recall);
    register_handler("compute", compute);
}

fn keep(message: &FipaMessage) -> Result<(), String> {
    let text = message.content["data"].as_str().ok_or("`data` is missing")?;
    KEPT.set(&text.to_owned()).map_err(|refusal| refusal.to_string())?;
    recall(message)
}

fn recall(message: &FipaMessage) -> Result<(), String> {
    let kept = KEPT.get().map_err(|refusal| refusal.to_string())?;
    send_inform_response(message, &kept);
    Ok(())
}

fn compute(message: &FipaMessage) -> Result<(), String> {
    let kernel = message.content["kernel"].as_str().ok_or("`kernel` is missing")?;
    let size = message.content["size"].as_u64().and_then(|size| u32::try_from(size).ok());
    let result = kernels::run(kernel, size.ok_or("`size` is missing")?);
    let result = result.ok_or("there is no such kernel")?;
    // As text: a number of 64 bits is not safe in everybody's JSON.
    send_inform_response(message, &format!("{result:016x}"));
    Ok(())
}

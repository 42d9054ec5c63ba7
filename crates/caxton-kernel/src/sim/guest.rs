//! Guests that do what chance says.

use caxton_model::{ErrorCode, Fault, Micros, Timestamp};

use super::Rng;
use crate::{TurnCtx, TurnInput};

const ACTS: [&str; 8] = [
    "request",
    "inform",
    "query-ref",
    "cfp",
    "propose",
    "refuse",
    "failure",
    "subscribe",
];

/// A message with a number, in one of a few conversations.
pub(super) fn message(rng: &mut Rng, to: &str, number: u64, now: Timestamp) -> String {
    let act = if to == "df" {
        rng.pick(&["request", "query-ref", "subscribe", "cancel"])
    } else {
        rng.pick(&ACTS)
    };
    let act = act.copied().unwrap_or("inform");
    let content = if to == "df" {
        let action = rng.pick(&["register", "deregister", "modify", "search"]);
        let service = rng.pick(&["sing", "dance"]).copied().unwrap_or("sing");
        serde_json::json!({
            "n": number,
            "action": action,
            "description": { "services": [{ "name": service }] },
        })
    } else {
        serde_json::json!({ "n": number })
    };
    let mut fields = serde_json::json!({
        "performative": act,
        "receiver": to,
        "content": content,
        "conversation_id": format!("talk-{}", rng.below(20)),
    });
    if let Some(object) = fields.as_object_mut()
        && rng.percent(30)
    {
        let due = now.after(Micros::secs(rng.below(60) as u64));
        object.insert("reply_with".to_owned(), format!("r-{to}-{number}").into());
        object.insert("reply_by".to_owned(), due.0.into());
    }
    fields.to_string()
}

/// A guest that does what chance says.
pub(super) fn guest(
    ctx: &mut TurnCtx,
    input: &TurnInput,
    plan: &[String],
    rng: &mut Rng,
    now: Timestamp,
    wild: bool,
) -> Result<i32, Fault> {
    if wild {
        for json in plan {
            let _ = ctx.send_message(now, json.as_bytes());
        }
        let _ = rng.percent(20)
            && ctx
                .set_timer(now, Micros::secs(rng.below(9) as u64))
                .is_ok();
        let _ = rng.percent(5) && ctx.cancel_timer(1 + i32::from(rng.percent(50))).is_ok();
        if rng.percent(8) {
            let sing =
                br#"{"services": [{"name": "sing"}], "performatives": ["request", "inform"]}"#;
            let _ = ctx.register_capabilities(if rng.percent(50) { sing } else { b"{}" });
        }
        if rng.percent(5) {
            let json = br#"{"performative": "inform", "content": "to all"}"#;
            let _ = ctx.broadcast(now, b"{}", json);
        }
        let _ = rng.percent(3) && ctx.subscribe(br#"{"performative": "inform"}"#).is_ok();
    }
    if let TurnInput::Message(mail) = input
        && mail.message.performative.asks()
        && rng.percent(60)
    {
        let reply = serde_json::json!({
            "performative": "inform",
            "receiver": &**mail.message.answer_to(),
            "in_reply_to": mail.message.reply_with.as_deref(),
            "content": "an answer",
        });
        let _ = ctx.send_message(now, reply.to_string().as_bytes());
    }
    match rng.below(100) {
        0..10 if wild => Err(Fault::new(ErrorCode::Trap, "chance said so")),
        10..14 if wild => Ok(1),
        _ => Ok(0),
    }
}

//! Messages of clients outside, and conversations.

use std::{sync::Arc, time::Duration};

use caxton_api::{ConversationView, MailEntry, Page, SendResult, whole_number};
use caxton_kernel::{NodeEvent, Post};
use caxton_model::{
    Durability, ErrorCode, Fields, Message, MessageKey, Pending, RawJson, Receiver,
};
use http::{HeaderValue, StatusCode, header};
use tokio::time::Instant;

use crate::{
    app::closed,
    call::Call,
    edge::key_of,
    names,
    paging::page_behind,
    refuse::{Answered, Failure, done, json},
    views,
    work::Work,
};

/// Bytes of a client's own id for a message.
const MESSAGE_ID_BYTES_MAX: usize = 256;

/// After how long a node that is shutting down may be there again. Unit: seconds.
const RESTART_SECS: u64 = 1;

struct Options {
    message_id: Option<String>,
    wait: Option<Duration>,
}

/// Takes what is not the message's own out of its unknown fields.
fn take_options(call: &Call, fields: &mut Fields) -> Result<Options, Failure> {
    let mut take = |name: &str| -> Option<RawJson> {
        let at = fields
            .extra
            .iter()
            .position(|(field, _)| &**field == name)?;
        Some(fields.extra.remove(at).1)
    };
    let wrong = |name: &str, expected: &str| {
        Failure::new(
            ErrorCode::MalformedMessage,
            format!("field `{name}`: expected {expected}"),
        )
    };
    let mut message_id = match take("message_id") {
        None => None,
        Some(raw) => serde_json::from_str::<Option<String>>(raw.as_str())
            .map_err(|_| wrong("message_id", "a text"))?,
    };
    if message_id.is_none() {
        message_id = key_of(&call.headers)?;
    }
    if message_id
        .as_ref()
        .is_some_and(|id| id.is_empty() || id.len() > MESSAGE_ID_BYTES_MAX)
    {
        return Err(wrong(
            "message_id",
            &format!("a text of 1 to {MESSAGE_ID_BYTES_MAX} bytes"),
        ));
    }
    let wait_ms = match take("wait_ms") {
        None => None,
        Some(raw) => whole_number(&mut serde_json::Deserializer::from_str(raw.as_str()))
            .map_err(|_| wrong("wait_ms", "a whole number of milliseconds"))?,
    };
    Ok(Options {
        message_id,
        wait: wait_ms.map(|ms| checked_wait(call, ms)).transpose()?,
    })
}

fn checked_wait(call: &Call, ms: u64) -> Result<Duration, Failure> {
    let (wait, max) = (Duration::from_millis(ms), call.app.limits.wait_max);
    if wait > max {
        return Err(Failure::malformed(format!(
            "`wait_ms` is at most {}, got {ms}",
            max.as_millis()
        )));
    }
    Ok(wait)
}

/// Names of agents as the caller means them.
fn qualify(call: &Call, fields: &mut Fields) {
    let own = |name: &Arc<str>| -> Arc<str> {
        call.caller.work.visit(1);
        if caxton_model::is_reserved_name(name) || name.contains('@') {
            return Arc::clone(name);
        }
        names::qualified(&call.caller, name).into()
    };
    match &mut fields.receiver {
        Receiver::One(one) => *one = own(one),
        Receiver::List(list) => list.iter_mut().for_each(|name| *name = own(name)),
        Receiver::Capability(_) => {}
    }
    if let Some(name) = &mut fields.reply_to {
        *name = own(name);
    }
}

pub(super) async fn send(call: Call) -> Answered {
    let bytes_max = call.app.limits.json_bytes_max as u64;
    let mut fields = Fields::parse(&call.body, bytes_max)
        .map_err(|error| Failure::new(error.code(), error.to_string()))?;
    let options = take_options(&call, &mut fields)?;
    let sender = match &*fields.sender {
        "" => call.caller.client(),
        _ => Arc::clone(&fields.sender),
    };
    let client = names::client(&call.caller, &sender)?.shared();
    fields.sender = Arc::clone(&client);
    qualify(&call, &mut fields);
    if !fields
        .extra
        .iter()
        .any(|(name, _)| &**name == "traceparent")
    {
        fields.extra.push((
            "traceparent".into(),
            views::raw_text(&call.trace.traceparent()),
        ));
    }
    let post = Post {
        client,
        namespace: call.caller.namespace.clone(),
        message_id: options.message_id.map(Into::into),
        fields,
    };
    let posted = match options.wait {
        None => call.app.node.post(post, None).await?,
        Some(wait) => {
            let mut closing = call.app.closing.clone();
            let ended = closed(&mut closing);
            call.app.node.post_until(post, wait, ended).await?
        }
    };
    let message = &posted.message;
    let text = |field: &Option<Arc<str>>| field.as_ref().map(ToString::to_string);
    let result = SendResult {
        id: posted.key.to_string(),
        acknowledged: match posted.durable {
            true => Durability::Durable,
            false => Durability::Memory,
        },
        deliveries: posted.deliveries,
        duplicate: posted.duplicate,
        conversation_id: text(&message.conversation_id),
        reply_with: text(&message.reply_with),
        reply: posted.reply.map(|mail| mail.message),
    };
    if result.reply.is_some() {
        return json(StatusCode::OK, &result);
    }
    let mut response = json(StatusCode::ACCEPTED, &result)?;
    if options.wait.is_some() && *call.app.closing.borrow() {
        // The wait was cut short: the reply comes to the mailbox of a node that has started again.
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RESTART_SECS));
    }
    Ok(response)
}

/// What of a mailbox is asked for.
struct Wanted<'a> {
    work: &'a Work,
    conversation_id: Option<&'a str>,
    in_reply_to: Option<&'a str>,
    cursor: Option<MessageKey>,
    limit: usize,
}

impl Wanted<'_> {
    fn fits(&self, message: &Message) -> bool {
        self.conversation_id
            .is_none_or(|id| message.conversation_id.as_deref() == Some(id))
            && self
                .in_reply_to
                .is_none_or(|id| message.in_reply_to.as_deref() == Some(id))
    }
    fn of(&self, mail: &[Pending]) -> Page<MailEntry> {
        self.work.visit(mail.len());
        let fit = mail.iter().filter(|mail| self.fits(&mail.message));
        let fit: Vec<&Pending> = fit.collect();
        page_behind(
            &fit,
            self.cursor,
            self.limit,
            |mail| mail.key,
            |mail| views::mail(mail),
        )
    }
}

pub(super) async fn list(call: Call) -> Answered {
    let query = &call.query;
    let wait = query.parsed::<u64>("wait_ms", "a whole number of milliseconds")?;
    let wait = wait
        .map(|ms| checked_wait(&call, ms))
        .transpose()?
        .unwrap_or_default();
    let wanted = Wanted {
        work: &call.caller.work,
        conversation_id: query.get("conversation_id"),
        in_reply_to: query.get("in_reply_to"),
        cursor: query.parsed("cursor", "the `next_cursor` of the page before")?,
        limit: query.limit()?,
    };
    let Some(receiver) = query.get("receiver") else {
        let Some(id) = wanted.conversation_id else {
            return Err(Failure::malformed("give `receiver` or `conversation_id`"));
        };
        let lines = call.app.node.conversation(id).await?;
        let mail: Vec<Pending> = lines
            .into_iter()
            .filter_map(|line| {
                let message = line.message?;
                let sees = wanted.fits(&message)
                    && names::sees_message(&call.app.node, &call.caller, &message, &line.to);
                sees.then_some(Pending {
                    key: line.key,
                    at: line.at,
                    attempts: 0,
                    message,
                })
            })
            .collect();
        return json(StatusCode::OK, &wanted.of(&mail));
    };
    if let Some(listing) = names::known(&call.app.node, &call.caller, receiver) {
        if !names::sees_party(&call.app.node, &call.caller, listing.spec.name.as_str()) {
            let name = &listing.spec.name;
            let detail = format!("`{name}` is an agent; to read its mail needs the scope `read`");
            return Err(Failure::new(ErrorCode::Forbidden, detail));
        }
        let mail = call.app.node.mailbox(&listing.spec.id.to_string()).await?;
        return json(StatusCode::OK, &wanted.of(&mail));
    }
    let client = names::client(&call.caller, receiver)?.shared();
    let page = replies(&call, &client, &wanted, wait).await?;
    json(StatusCode::OK, &page)
}

/// A client's replies; where there are none, those that come in time.
async fn replies(
    call: &Call,
    client: &Arc<str>,
    wanted: &Wanted<'_>,
    wait: Duration,
) -> Result<Page<MailEntry>, Failure> {
    let node = &call.app.node;
    let until = Instant::now() + wait;
    // Watched before the mailbox is read, so that nothing can come unseen in between.
    let mut events = node.watch_events();
    loop {
        let page = wanted.of(&node.replies(client).await?);
        if !page.items.is_empty() || wait.is_zero() {
            return Ok(page);
        }
        let come = async {
            loop {
                match events.recv().await {
                    Ok(numbered) => match &numbered.event {
                        NodeEvent::Sent { message, .. } if wanted.fits(message) => return,
                        _ => {}
                    },
                    // Too much happened to know: look again.
                    Err(_) => return,
                }
            }
        };
        let mut closing = call.app.closing.clone();
        tokio::select! {
            come = tokio::time::timeout_at(until, come) => {
                if come.is_err() {
                    return Ok(wanted.of(&node.replies(client).await?));
                }
            }
            () = closed(&mut closing) => return Ok(page),
        }
    }
}

pub(super) fn drop_read(call: &Call) -> Answered {
    let (Some(receiver), Some(ids)) = (call.query.get("receiver"), call.query.get("id")) else {
        return Err(Failure::malformed(
            "give `receiver` and `id`, one id or several with commas between",
        ));
    };
    let client = names::client(&call.caller, receiver)?;
    let keys: Vec<MessageKey> = ids
        .split(',')
        .map(|id| {
            id.trim()
                .parse()
                .map_err(|error: String| Failure::malformed(error))
        })
        .collect::<Result<_, _>>()?;
    call.caller.work.visit(keys.len());
    call.app.node.drop_replies(client.as_str(), keys)?;
    Ok(done())
}

pub(super) async fn conversation(call: Call) -> Answered {
    let id = call.parameter("id")?;
    let lines = call.app.node.conversation(id).await?;
    let lines: Vec<_> = lines
        .iter()
        .filter(|line| match &line.message {
            Some(message) => names::sees_message(&call.app.node, &call.caller, message, &line.to),
            None => names::sees_party(&call.app.node, &call.caller, &line.sender),
        })
        .map(views::line)
        .collect();
    if lines.is_empty() {
        let shown: String = id.chars().take(100).collect();
        let mut failure =
            Failure::not_found(format!("nothing is known of a conversation `{shown}`"));
        "a conversation is kept until it has been idle for 30 minutes"
            .clone_into(&mut failure.problem.remedy);
        return Err(failure);
    }
    json(
        StatusCode::OK,
        &ConversationView {
            id: id.to_owned(),
            lines,
        },
    )
}

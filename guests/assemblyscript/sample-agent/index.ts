// The sample agent: processes texts and counts what it did, in state that outlives it.
import {
  Message, currentTimestamp, errorLine, get, loadText, logLine, quote, storeText, unquote, writeOut,
} from "../../../sdk/assemblyscript/caxton";

const CAPABILITIES =
  '{"version":"1.0.0","performatives":[],"protocols":["fipa-request"],"ontologies":[],' +
  '"resource_requirements":{"min_memory_mb":1,"preferred_memory_mb":2,"cpu_intensive":false,' +
  '"network_access":false,"persistence_needed":true},' +
  '"services":[{"name":"data_processing",' +
  '"description":"Makes a text upper case, lower case or reversed",' +
  '"input_schema":{"type":"object","required":["action"]},' +
  '"output_schema":{"type":"object","required":["result"]},' +
  '"estimated_latency_ms":1}]}';

export function agent_init(): i32 {
  logLine("Agent initializing...");
  return 0;
}

export function agent_shutdown(): void {
  logLine("Agent shutting down...");
}

export function get_capabilities(into: usize, room: i32): i32 {
  return writeOut(CAPABILITIES, into, room);
}

export function handle_message(at: usize, length: i32): i32 {
  const message = Message.read(at, length);
  if (message == null) {
    errorLine("Failed to parse message");
    return 1;
  }
  const wrong = message.wrong();
  if (wrong.length > 0) {
    message.failure(wrong);
    return 1;
  }
  if (message.performative == "inform" || message.isFinal()) {
    logLine("Received " + message.performative);
    return 0;
  }
  if (message.performative == "request") {
    const action = unquote(get(message.content, "action"));
    if (action == "process_data") return processData(message);
    if (action == "get_status") return getStatus(message);
  }
  message.notUnderstood();
  return 1;
}

function handled(): i64 {
  const digits = loadText("handled");
  return digits == null ? 0 : I64.parseInt(digits);
}

// Takes {"data": {"operation", "text"}} and {"data": TEXT, "operation"}.
function processData(message: Message): i32 {
  const data = get(message.content, "data");
  const isObject = data != null && data.startsWith("{");
  let inner = get(data, "text");
  if (inner == null) inner = get(data, "data");
  const text = unquote(isObject ? inner : data);
  const operation = unquote(get(isObject ? data : message.content, "operation"));
  if (text == null || operation == null) {
    message.failure("Invalid request format");
    return 1;
  }
  storeText("handled", (handled() + 1).toString());
  message.inform(
    '{"result":' + quote(apply(operation, text)) + ',"timestamp":' + currentTimestamp().toString() + "}"
  );
  return 0;
}

function getStatus(message: Message): i32 {
  message.inform('{"status":"ok","handled":' + handled().toString() + "}");
  return 0;
}

// The letters A to Z only, so that every language's sample answers the same.
function apply(operation: string, text: string): string {
  if (operation == "uppercase") return shifted(text, 0x61, -32);
  if (operation == "lowercase") return shifted(text, 0x41, 32);
  if (operation == "reverse") return reversed(text);
  return "Unknown operation: " + operation;
}

function shifted(text: string, first: i32, by: i32): string {
  const codes = new Array<i32>(text.length);
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    codes[i] = c >= first && c < first + 26 ? c + by : c;
  }
  return String.fromCharCodes(codes);
}

// By characters: a pair of surrogates stays in its order.
function reversed(text: string): string {
  const codes = new Array<i32>(text.length);
  let end = text.length;
  for (let i = 0; i < text.length; ) {
    const c = text.charCodeAt(i);
    const size = c >= 0xd800 && c < 0xdc00 && i + 1 < text.length ? 2 : 1;
    end -= size;
    for (let k = 0; k < size; k++) codes[end + k] = text.charCodeAt(i + k);
    i += size;
  }
  return String.fromCharCodes(codes);
}

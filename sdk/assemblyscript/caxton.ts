// caxton.ts - write Caxton agents, processors and extensions in AssemblyScript. One file.
//
//   import { Message, logLine } from "./caxton";
//   export function handle_message(at: usize, length: i32): i32 {
//     const message = Message.read(at, length);
//     if (message == null) return 1;
//     return message.inform('"done"');
//   }
//
// Build: asc agent.ts -O3 --exportRuntime -o agent.wasm

// ---- What the host offers. An import that is not called is not in the module. ----

@external("caxton", "send_message")
declare function importSend(at: usize, length: i32): i32;
@external("caxton", "broadcast_message")
declare function importBroadcast(filter: usize, filterLength: i32, at: usize, length: i32): i32;
@external("caxton", "event_emit")
declare function importEmit(topic: usize, topicLength: i32, at: usize, length: i32): i32;
@external("caxton", "subscribe_messages")
declare function importSubscribe(filter: usize, length: i32): i32;
@external("caxton", "store_data")
declare function importStore(key: usize, keyLength: i32, at: usize, length: i32): i32;
@external("caxton", "load_data")
declare function importLoad(key: usize, keyLength: i32, into: usize, length: i32): i32;
@external("caxton", "vault_get")
declare function importVaultGet(name: usize, nameLength: i32, into: usize, length: i32): i32;
@external("caxton", "vault_put")
declare function importVaultPut(name: usize, nameLength: i32, at: usize, length: i32): i32;
@external("caxton", "delete_data")
declare function importDelete(key: usize, keyLength: i32): i32;
@external("caxton", "console_log")
declare function importLog(at: usize, length: i32): void;
@external("caxton", "console_error")
declare function importError(at: usize, length: i32): void;
@external("caxton", "register_capabilities")
declare function importRegister(at: usize, length: i32): i32;
@external("caxton", "respond")
declare function importRespond(at: usize, length: i32): void;

// Shared tables, behind the permissions data:read and data:write. A row is the JSON
// {"table":"tasks","key":"k1"} in UTF-8, a query {"table":"tasks","prefix":"k","after":"k1"}.
@external("caxton", "data_get")
export declare function dataGet(row: usize, rowLength: i32, into: usize, length: i32): i32;
@external("caxton", "data_put")
export declare function dataPut(row: usize, rowLength: i32, at: usize, length: i32): i32;
@external("caxton", "data_delete")
export declare function dataDelete(row: usize, rowLength: i32): i32;
@external("caxton", "data_list")
export declare function dataList(query: usize, queryLength: i32, into: usize, length: i32): i32;

/** A timer's id above 0; `handle_timer` must be exported. Unit: microseconds. */
@external("caxton", "set_timer")
export declare function setTimer(delayMicros: i64): i32;
@external("caxton", "cancel_timer")
export declare function cancelTimer(id: i32): i32;
/** Unit: microseconds since 1970. */
@external("caxton", "current_timestamp")
export declare function currentTimestamp(): i64;
@external("caxton", "random_u32")
export declare function randomU32(): u32;
@external("caxton", "sleep_micros")
export declare function sleepMicros(micros: i64): void;

/** Answers of host functions below 0. */
export const NOT_FOUND: i32 = -1;
export const MALFORMED: i32 = -2;
export const DENIED: i32 = -3;
export const TOO_LARGE: i32 = -4;
export const RATE_LIMITED: i32 = -5;
export const QUEUE_FULL: i32 = -6;
export const QUOTA_REACHED: i32 = -7;
export const UNAVAILABLE: i32 = -8;

// ---- Text across the edge ----

function utf8(text: string): ArrayBuffer {
  return String.UTF8.encode(text);
}

/** The text that the host put at an address. */
export function textAt(at: usize, length: i32): string {
  return String.UTF8.decodeUnsafe(at, length);
}

/** Copies as much as fits to where the host will read it; answers the whole length. */
export function writeOut(text: string, into: usize, room: i32): i32 {
  const bytes = utf8(text);
  memory.copy(into, changetype<usize>(bytes), min(bytes.byteLength, room));
  return bytes.byteLength;
}

/** A line for the log. */
export function logLine(line: string): void {
  const bytes = utf8(line);
  importLog(changetype<usize>(bytes), bytes.byteLength);
}

/** A line for the log, as an error. */
export function errorLine(line: string): void {
  const bytes = utf8(line);
  importError(changetype<usize>(bytes), bytes.byteLength);
}

/** Sends a message's JSON: 0, or a code below 0. */
export function send(json: string): i32 {
  const bytes = utf8(json);
  return importSend(changetype<usize>(bytes), bytes.byteLength);
}

/** Sends to all that fit a filter: how many it reached, or a code below 0. */
export function broadcast(filterJson: string, json: string): i32 {
  const filter = utf8(filterJson), bytes = utf8(json);
  return importBroadcast(changetype<usize>(filter), filter.byteLength, changetype<usize>(bytes), bytes.byteLength);
}

/** Emits an event, JSON, to all that subscribed to its topic: how many, or a code below 0. */
export function emit(topic: string, json: string): i32 {
  const name = utf8(topic), bytes = utf8(json);
  return importEmit(changetype<usize>(name), name.byteLength, changetype<usize>(bytes), bytes.byteLength);
}

/** Subscribes to broadcasts, or by `topic` to events: an id, or a code below 0. */
export function subscribe(filterJson: string): i32 {
  const bytes = utf8(filterJson);
  return importSubscribe(changetype<usize>(bytes), bytes.byteLength);
}

/** Says what this agent offers; replaces what it said before. */
export function registerCapabilities(json: string): i32 {
  const bytes = utf8(json);
  return importRegister(changetype<usize>(bytes), bytes.byteLength);
}

/** An extension's answer to its call. */
export function respond(json: string): void {
  const bytes = utf8(json);
  importRespond(changetype<usize>(bytes), bytes.byteLength);
}

// ---- State ----

/** Stores a text: 0, or a code below 0. */
export function storeText(key: string, value: string): i32 {
  const name = utf8(key), bytes = utf8(value);
  return importStore(changetype<usize>(name), name.byteLength, changetype<usize>(bytes), bytes.byteLength);
}

/** The stored text; null if there is none. */
export function loadText(key: string): string | null {
  const name = utf8(key);
  const length = importLoad(changetype<usize>(name), name.byteLength, 0, 0);
  if (length < 0) return null;
  const bytes = new ArrayBuffer(length);
  importLoad(changetype<usize>(name), name.byteLength, changetype<usize>(bytes), length);
  return String.UTF8.decode(bytes);
}

/** The value of a secret of the vault; null if it can't be had. Needs `vault:read`. */
export function vaultGet(secret: string): string | null {
  const name = utf8(secret);
  const length = importVaultGet(changetype<usize>(name), name.byteLength, 0, 0);
  if (length < 0) return null;
  const bytes = new ArrayBuffer(length);
  importVaultGet(changetype<usize>(name), name.byteLength, changetype<usize>(bytes), length);
  return String.UTF8.decode(bytes);
}

/** Sets a secret of 8 bytes to 64 KiB, which stays set if the turn faults. Needs `vault:write`. */
export function vaultPut(secret: string, value: string): i32 {
  const name = utf8(secret), bytes = utf8(value);
  return importVaultPut(changetype<usize>(name), name.byteLength, changetype<usize>(bytes), bytes.byteLength);
}

/** Deletes a key: 0, or a code below 0. */
export function removeKey(key: string): i32 {
  const name = utf8(key);
  return importDelete(changetype<usize>(name), name.byteLength);
}

// ---- JSON, without a tree: values are found in the text ----

/** A text as a JSON string, quotes and escapes included. */
export function quote(text: string): string {
  let out = '"', from = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0x20 && c != 0x22 && c != 0x5c) continue;
    out += text.substring(from, i);
    from = i + 1;
    if (c == 0x22) out += '\\"';
    else if (c == 0x5c) out += "\\\\";
    else if (c == 0x0a) out += "\\n";
    else if (c == 0x0d) out += "\\r";
    else if (c == 0x09) out += "\\t";
    else if (c == 0x08) out += "\\b";
    else if (c == 0x0c) out += "\\f";
    else out += "\\u00" + (c < 16 ? "0" : "") + c.toString(16);
  }
  return out + text.substring(from) + '"';
}

const KEYS_MAX = 100, KEY_MAX = 256, ITEMS_MAX = 1000, STRING_MAX = 10000, DEPTH_MAX = 64;
/** The largest message an agent takes. Unit: bytes. */
export const DATA_MAX: i32 = 1048576;

/** Steps over JSON and finds what is wrong with it. */
class Scanner {
  at: i32 = 0;
  error: string = "";
  constructor(public text: string, public limited: bool) {}

  space(): void {
    while (this.at < this.text.length) {
      const c = this.text.charCodeAt(this.at);
      if (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09) return;
      this.at++;
    }
  }

  take(c: i32): bool {
    this.space();
    if (this.at >= this.text.length || this.text.charCodeAt(this.at) != c) return false;
    this.at++;
    return true;
  }

  wrong(error: string): bool {
    if (this.error.length == 0) this.error = error;
    return false;
  }

  string(max: i32, tooLong: string): bool {
    if (!this.take(0x22)) return this.wrong("not JSON");
    let bytes = 0; // of the text itself, in UTF-8: what the limits count
    while (this.at < this.text.length) {
      let c = this.text.charCodeAt(this.at++);
      if (c == 0x22) return bytes <= max || !this.limited ? true : this.wrong(tooLong);
      if (c < 0x20) break;
      if (c == 0x5c) {
        if (this.at >= this.text.length) break;
        c = this.text.charCodeAt(this.at++);
        if (c == 0x75) {
          if (this.at + 4 > this.text.length) break;
          c = <i32>parseInt(this.text.substring(this.at, this.at + 4), 16);
          this.at += 4;
        }
      }
      bytes += c < 0x80 ? 1 : c < 0x800 || (c >= 0xd800 && c < 0xe000) ? 2 : 3;
    }
    return this.wrong("not JSON");
  }

  value(depth: i32): bool {
    this.space();
    if (this.at >= this.text.length) return this.wrong("not JSON");
    if (depth > DEPTH_MAX) return this.wrong("Nested too deep");
    const c = this.text.charCodeAt(this.at);
    if (c == 0x22) return this.string(STRING_MAX, "String too long");
    if (c == 0x7b || c == 0x5b) return this.list(c == 0x7b, depth);
    const from = this.at;
    while (this.at < this.text.length) {
      const d = this.text.charCodeAt(this.at);
      const isPart = (d >= 0x30 && d <= 0x39) || (d >= 0x61 && d <= 0x7a) || d == 0x45 || d == 0x2d || d == 0x2b || d == 0x2e;
      if (!isPart) break;
      this.at++;
    }
    return this.at > from ? true : this.wrong("not JSON");
  }

  list(isObject: bool, depth: i32): bool {
    const close = isObject ? 0x7d : 0x5d;
    let count = 0;
    this.at++;
    if (this.take(close)) return true;
    do {
      count++;
      if (this.limited && count > (isObject ? KEYS_MAX : ITEMS_MAX)) {
        return this.wrong(isObject ? "Object has too many keys" : "Array too large");
      }
      if (isObject && !this.string(KEY_MAX, "Key too long")) return false;
      if (isObject && !this.take(0x3a)) return this.wrong("not JSON");
      if (!this.value(depth + 1)) return false;
    } while (this.take(0x2c));
    return this.take(close) ? true : this.wrong("not JSON");
  }
}

/** Empty if a text is JSON within the limits, else what is wrong. */
export function check(json: string): string {
  const scanner = new Scanner(json, true);
  if (scanner.value(1)) scanner.space();
  if (scanner.error.length == 0 && scanner.at != json.length) return "not JSON";
  return scanner.error;
}

/** The value under a key of an object, as JSON; null if there is none. */
export function get(object: string | null, key: string): string | null {
  if (object == null) return null;
  const scanner = new Scanner(object, false);
  let found: string | null = null;
  if (!scanner.take(0x7b)) return null;
  do {
    scanner.space();
    const name = scanner.at + 1;
    if (!scanner.string(0, "")) break;
    const thisKey = object.substring(name, scanner.at - 1);
    if (!scanner.take(0x3a)) break;
    scanner.space();
    const value = scanner.at;
    if (!scanner.value(1)) break;
    if (thisKey == key) found = object.substring(value, scanner.at);
  } while (scanner.take(0x2c));
  return found;
}

/** A JSON string's text, without quotes and escapes; null if it is no string. */
export function unquote(json: string | null): string | null {
  if (json == null || json.length < 2 || json.charCodeAt(0) != 0x22) return null;
  let out = "", from = 1;
  for (let i = 1; i < json.length - 1; i++) {
    if (json.charCodeAt(i) != 0x5c) continue;
    out += json.substring(from, i);
    const c = json.charCodeAt(++i);
    if (c == 0x6e) out += "\n";
    else if (c == 0x74) out += "\t";
    else if (c == 0x72) out += "\r";
    else if (c == 0x62) out += "\b";
    else if (c == 0x66) out += "\f";
    else if (c == 0x75) {
      out += String.fromCharCode(<i32>parseInt(json.substring(i + 1, i + 5), 16));
      i += 4;
    } else out += String.fromCharCode(c);
    from = i + 1;
  }
  return out + json.substring(from, json.length - 1);
}

// ---- Messages ----

/** A message that came. Fields are JSON as it came; null where there is none. */
export class Message {
  /** In bytes, as it came. */
  length: i32 = 0;
  /** Lower case with `-`, as the host writes it. */
  performative: string = "";
  content: string | null = null;
  sender: string | null = null;
  replyTo: string | null = null;
  replyWith: string | null = null;
  conversationId: string | null = null;
  protocol: string | null = null;
  constructor(public json: string) {}

  /** Reads a message, in one walk; null if it is none. */
  static read(at: usize, length: i32): Message | null {
    const message = new Message(textAt(at, length));
    message.length = length;
    const json = message.json, scanner = new Scanner(json, false);
    let performative: string | null = null;
    if (!scanner.take(0x7b)) return null;
    do {
      scanner.space();
      const nameAt = scanner.at + 1;
      if (!scanner.string(0, "")) return null;
      const name = json.substring(nameAt, scanner.at - 1);
      if (!scanner.take(0x3a)) return null;
      scanner.space();
      const valueAt = scanner.at;
      if (!scanner.value(1)) return null;
      const value = json.substring(valueAt, scanner.at);
      if (name == "content") message.content = value;
      else if (value == "null") continue;
      else if (name == "performative") performative = unquote(value);
      else if (name == "sender") message.sender = value;
      else if (name == "reply_to") message.replyTo = value;
      else if (name == "reply_with") message.replyWith = value;
      else if (name == "conversation_id") message.conversationId = value;
      else if (name == "protocol") message.protocol = value;
    } while (scanner.take(0x2c));
    if (!scanner.take(0x7d) || performative == null) return null;
    scanner.space();
    if (scanner.at != json.length) return null;
    message.performative = performative;
    return message;
  }

  /** What is wrong with the content; empty if nothing is. */
  wrong(): string {
    if (this.length > DATA_MAX) return "Data too large";
    const content = this.content;
    return content == null ? "" : check(content);
  }

  /** Whether it is itself an answer that must not be answered again. */
  isFinal(): bool {
    return this.performative == "failure" || this.performative == "not-understood";
  }

  private field(name: string, value: string | null): string {
    return value == null ? "" : ',"' + name + '":' + value;
  }

  /** Answers with content as JSON: 0, or a code below 0. */
  reply(performative: string, content: string): i32 {
    const to = this.replyTo == null ? this.sender : this.replyTo;
    return send(
      '{"performative":"' + performative + '","receiver":' + (to == null ? '""' : to) +
      ',"content":' + content + this.field("conversation_id", this.conversationId) +
      this.field("in_reply_to", this.replyWith) + this.field("protocol", this.protocol) + "}"
    );
  }

  /** Answers `inform` with `{"result": …}`. */
  inform(result: string): i32 {
    return this.reply("inform", '{"result":' + result + "}");
  }

  /** Answers `failure` with `{"error": …}`. A failure is not answered. */
  failure(error: string): i32 {
    return this.isFinal() ? 0 : this.reply("failure", '{"error":' + quote(error) + "}");
  }

  /** Answers `not-understood`. One that is itself such an answer is not answered. */
  notUnderstood(): i32 {
    return this.isFinal() ? 0 : this.reply("not-understood", '{"error":"Message not understood"}');
  }
}

// ---- C strings, for processors of that form ----

/** Memory of a C string or a buffer; the host gives it back with `deallocate`. */
export function allocateBytes(size: i32): usize {
  return heap.alloc(size);
}

export function deallocateBytes(at: usize): void {
  heap.free(at);
}

/** The text of a C string. */
export function cStringAt(at: usize): string {
  let end = at;
  while (load<u8>(end) != 0) end++;
  return textAt(at, <i32>(end - at));
}

/** A text as a C string in memory of its own. */
export function newCString(text: string): usize {
  const bytes = String.UTF8.encode(text, true);
  const at = heap.alloc(bytes.byteLength);
  memory.copy(at, changetype<usize>(bytes), bytes.byteLength);
  return at;
}

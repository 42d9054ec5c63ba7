// host.mjs - a host in memory, to test a built guest with node: no dependencies.
//
//   const guest = load("build/agent.wasm");
//   guest.deliver({ performative: "request", sender: "you", content: {} });
//   guest.takeSent();
import { readFileSync } from "node:fs";

export function load(file) {
  const host = { sent: [], logged: [], state: new Map(), timers: 0, now: 1700000000000000n, response: null };
  let exports;
  const memory = () => new Uint8Array(exports.memory.buffer);
  const text = (at, length) => new TextDecoder().decode(memory().slice(at >>> 0, (at >>> 0) + (length >>> 0)));
  const caxton = {
    send_message: (at, length) => (host.sent.push(JSON.parse(text(at, length))), 0),
    broadcast_message: (filter, filterLength, at, length) => (host.sent.push(JSON.parse(text(at, length))), 1),
    subscribe_messages: () => 1,
    store_data: (key, keyLength, at, length) => (host.state.set(text(key, keyLength), text(at, length)), 0),
    load_data: (key, keyLength, into, room) => {
      const value = host.state.get(text(key, keyLength));
      if (value === undefined) return -1;
      const bytes = new TextEncoder().encode(value);
      memory().set(bytes.subarray(0, room >>> 0), into >>> 0);
      return bytes.length;
    },
    delete_data: (key, keyLength) => (host.state.delete(text(key, keyLength)) ? 0 : -1),
    // Nothing is granted here.
    event_emit: () => -3,
    vault_get: () => -3,
    vault_put: () => -3,
    set_timer: () => ++host.timers,
    cancel_timer: () => 0,
    current_timestamp: () => host.now,
    random_u32: () => 4,
    sleep_micros: (micros) => { host.now += micros; },
    console_log: (at, length) => { host.logged.push(text(at, length)); },
    console_error: (at, length) => { host.logged.push(text(at, length)); },
    register_capabilities: () => 0,
    respond: (at, length) => { host.response = JSON.parse(text(at, length)); },
  };
  const env = {
    abort: (message, source, line, column) => { throw new Error(`abort at ${line}:${column}`); },
    seed: () => 1,
  };
  exports = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), { caxton, env }).exports;

  const withBytes = (bytes, call) => {
    const at = exports.__pin(exports.__new(bytes.length, 1));
    memory().set(bytes, at);
    const result = call(at, bytes.length);
    exports.__unpin(at);
    return result;
  };
  return {
    exports,
    host,
    /** Gives the agent a message; answers its number for the host. */
    deliver: (message) => withBytes(new TextEncoder().encode(JSON.stringify(message)), exports.handle_message),
    /** Takes what was sent since the last time. */
    takeSent: () => host.sent.splice(0),
    /** Runs a C-string processor. */
    process: (input) => {
      const bytes = new TextEncoder().encode(input + "\0");
      const at = exports.allocate(bytes.length);
      memory().set(bytes, at);
      const out = exports.process(at);
      exports.deallocate(at, bytes.length);
      if (out === 0) return null;
      const end = memory().indexOf(0, out);
      const result = text(out, end - out);
      exports.deallocate(out, end - out + 1);
      return result;
    },
  };
}

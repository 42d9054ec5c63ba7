// An extension with one action: `upper` takes {"text": …} and gives {"text": …} in capitals.
import { check, get, quote, respond, textAt, unquote, writeOut } from "../../../sdk/assemblyscript/caxton";

const DESCRIPTION =
  '{"name":"upper","version":"1.0.0","actions":[{"name":"upper","description":"A text in capitals",' +
  '"input_schema":{"type":"object","required":["text"],"properties":{"text":{"type":"string"}}},' +
  '"output_schema":{"type":"object","required":["text"],"properties":{"text":{"type":"string"}}}}]}';

export function extension_describe(into: usize, room: i32): i32 {
  return writeOut(DESCRIPTION, into, room);
}

function fail(error: string): i32 {
  respond('{"error":' + quote(error) + "}");
  return 1;
}

export function extension_call(at: usize, length: i32): i32 {
  const call = textAt(at, length);
  const action = unquote(get(call, "action"));
  if (check(call).length > 0 || action == null) return fail("not a call");
  if (action != "upper") return fail("no such action");
  const text = unquote(get(get(call, "input"), "text"));
  if (text == null) return fail("`text` is missing");
  const codes = new Array<i32>(text.length);
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    codes[i] = c >= 0x61 && c <= 0x7a ? c - 32 : c;
  }
  respond('{"text":' + quote(String.fromCharCodes(codes)) + "}");
  return 0;
}

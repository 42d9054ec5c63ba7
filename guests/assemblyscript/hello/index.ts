// The hello processor: a text in, the text and "-wasm" out; C strings.
import { allocateBytes, cStringAt, deallocateBytes, newCString } from "../../../sdk/assemblyscript/caxton";

const INFO = '{"name":"hello","version":"1.0.0","output_freed_by":"host","dependencies":[]}';

export function process(input: usize): usize {
  if (input == 0) return 0;
  return newCString(cStringAt(input) + "-wasm");
}

export function allocate(size: i32): usize {
  return allocateBytes(size);
}

export function deallocate(at: usize, size: i32): void {
  deallocateBytes(at);
}

let info: usize = 0;

export function get_module_info(): usize {
  if (info == 0) info = newCString(INFO);
  return info;
}

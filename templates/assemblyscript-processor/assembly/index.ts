// Counts the words of a text.
import { allocateBytes, cStringAt, deallocateBytes, newCString } from "./caxton";

const INFO = '{"name":"{{name}}","version":"0.1.0","output_freed_by":"host","dependencies":[]}';
let info: usize = 0;

export function process(input: usize): usize {
  if (input == 0) return 0;
  return newCString(countWords(cStringAt(input)).toString());
}

function countWords(text: string): i32 {
  let words = 0, inWord = false;
  for (let i = 0; i < text.length; i++) {
    const isSpace = text.charCodeAt(i) <= 0x20;
    if (!isSpace && !inWord) words++;
    inWord = !isSpace;
  }
  return words;
}

export function allocate(size: i32): usize {
  return allocateBytes(size);
}

export function deallocate(at: usize, size: i32): void {
  deallocateBytes(at);
}

export function get_module_info(): usize {
  if (info == 0) info = newCString(INFO);
  return info;
}

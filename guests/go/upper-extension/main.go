// An extension with one action: `upper` takes {"text": …} and gives {"text": …} in capitals.
package main

import (
	"caxton"
	"unsafe"
)

const description = `{"name":"upper","version":"1.0.0","actions":[{"name":"upper","description":"A text in capitals",` +
	`"input_schema":{"type":"object","required":["text"],"properties":{"text":{"type":"string"}}},` +
	`"output_schema":{"type":"object","required":["text"],"properties":{"text":{"type":"string"}}}}]}`

func main() {}

//go:wasmexport extension_describe
func describe(into unsafe.Pointer, room uint32) int32 {
	return caxton.WriteOut(description, into, room)
}

func fail(wrong string) int32 {
	caxton.Respond(`{"error":` + caxton.Quote(wrong) + "}")
	return 1
}

//go:wasmexport extension_call
func call(at unsafe.Pointer, length uint32) int32 {
	json := caxton.TextAt(at, length)
	action, isCall := caxton.Unquote(caxton.Get(json, "action"))
	if caxton.Check(json) != "" || !isCall {
		return fail("not a call")
	}
	if action != "upper" {
		return fail("no such action")
	}
	text, isText := caxton.Unquote(caxton.Get(caxton.Get(json, "input"), "text"))
	if !isText {
		return fail("`text` is missing")
	}
	bytes := []byte(text)
	for i, c := range bytes {
		if c >= 'a' && c <= 'z' {
			bytes[i] = c - 32
		}
	}
	caxton.Respond(`{"text":` + caxton.Quote(string(bytes)) + "}")
	return 0
}

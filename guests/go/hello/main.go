// The hello processor: a text in, the text and "-wasm" out; C strings.
package main

import (
	"caxton"
	"unsafe"
)

var info = []byte(`{"name":"hello","version":"1.0.0","output_freed_by":"host","dependencies":[]}` + "\x00")

func main() {}

//go:wasmexport process
func process(input unsafe.Pointer) unsafe.Pointer {
	if input == nil {
		return nil
	}
	return caxton.Hold([]byte(caxton.CStringAt(input) + "-wasm\x00"))
}

//go:wasmexport allocate
func allocate(size uint32) unsafe.Pointer { return caxton.Alloc(size) }

//go:wasmexport deallocate
func deallocate(at unsafe.Pointer, size uint32) { caxton.Free(at, size) }

//go:wasmexport get_module_info
func getModuleInfo() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(info)) }

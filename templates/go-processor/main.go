// Counts the words of a text: C strings.
package main

import (
	"caxton"
	"strconv"
	"unsafe"
)

var info = []byte(`{"name":"{{name}}","version":"0.1.0","output_freed_by":"host","dependencies":[]}` + "\x00")

func main() {}

//go:wasmexport process
func process(input unsafe.Pointer) unsafe.Pointer {
	if input == nil {
		return nil
	}
	return caxton.Hold([]byte(countWords(caxton.CStringAt(input)) + "\x00"))
}

func countWords(text string) string {
	words, inWord := 0, false
	for i := 0; i < len(text); i++ {
		isSpace := text[i] <= ' '
		if !isSpace && !inWord {
			words++
		}
		inWord = !isSpace
	}
	return strconv.Itoa(words)
}

//go:wasmexport allocate
func allocate(size uint32) unsafe.Pointer { return caxton.Alloc(size) }

//go:wasmexport deallocate
func deallocate(at unsafe.Pointer, size uint32) { caxton.Free(at, size) }

//go:wasmexport get_module_info
func getModuleInfo() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(info)) }

// Package caxton writes Caxton agents, processors and extensions in Go.
//
//	//go:wasmexport handle_message
//	func handleMessage(at unsafe.Pointer, length uint32) int32 {
//		message, ok := caxton.Read(at, length)
//		if !ok {
//			return 1
//		}
//		return message.Inform(`"done"`)
//	}
//
// Build: GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags='-s -w' -o agent.wasm .
//
// It uses neither fmt nor encoding/json, which would double the module.
package caxton

import "unsafe"

// Answers of host functions below 0.
const (
	NotFound     int32 = -1
	Malformed    int32 = -2
	Denied       int32 = -3
	TooLarge     int32 = -4
	RateLimited  int32 = -5
	QueueFull    int32 = -6
	QuotaReached int32 = -7
	Unavailable  int32 = -8
)

// held are the regions the host has, so that the collector leaves them alone.
var held = map[unsafe.Pointer][]byte{}

// Alloc gives the host memory to write into.
//
//go:wasmexport caxton_alloc
func Alloc(length uint32) unsafe.Pointer {
	region := make([]byte, max(length, 1))
	at := unsafe.Pointer(unsafe.SliceData(region))
	held[at] = region
	return at
}

// Free takes memory back that Alloc or Hold gave out.
//
//go:wasmexport caxton_free
func Free(at unsafe.Pointer, length uint32) {
	delete(held, at)
}

// Hold keeps bytes where they are until the host frees them, and says where that is.
func Hold(bytes []byte) unsafe.Pointer {
	at := unsafe.Pointer(unsafe.SliceData(bytes))
	held[at] = bytes
	return at
}

// TextAt copies the text that the host put at an address.
func TextAt(at unsafe.Pointer, length uint32) string {
	return string(unsafe.Slice((*byte)(at), length))
}

// CStringAt copies the text of a C string.
func CStringAt(at unsafe.Pointer) string {
	length := 0
	for *(*byte)(unsafe.Add(at, length)) != 0 {
		length++
	}
	return TextAt(at, uint32(length))
}

// WriteOut copies as much as fits to where the host will read it; it returns the whole length.
func WriteOut(text string, into unsafe.Pointer, room uint32) int32 {
	copy(unsafe.Slice((*byte)(into), room), text)
	return int32(len(text))
}

func start(text string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(text)) }
func size(text string) uint32          { return uint32(len(text)) }

// Log writes a line to the log.
func Log(line string) { importLog(start(line), size(line)) }

// LogError writes a line to the log, as an error.
func LogError(line string) { importError(start(line), size(line)) }

// Send sends a message's JSON: 0, or a code below 0.
func Send(json string) int32 { return importSend(start(json), size(json)) }

// Broadcast sends to all that fit a filter: how many it reached, or a code below 0.
func Broadcast(filter, json string) int32 {
	return importBroadcast(start(filter), size(filter), start(json), size(json))
}

// Emit emits an event, JSON, to all that subscribed to its topic: how many, or a code below 0.
func Emit(topic, json string) int32 {
	return importEmit(start(topic), size(topic), start(json), size(json))
}

// Subscribe subscribes to broadcasts, or by `topic` to events: an id, or a code below 0.
func Subscribe(filter string) int32 { return importSubscribe(start(filter), size(filter)) }

// RegisterCapabilities says what this agent offers; it replaces what it said before.
func RegisterCapabilities(json string) int32 { return importRegister(start(json), size(json)) }

// Respond is an extension's answer to its call.
func Respond(json string) { importRespond(start(json), size(json)) }

// Now is the time in microseconds since 1970.
func Now() int64 { return importNow() }

// SetTimer sets a timer; handle_timer must be exported. Unit: microseconds.
func SetTimer(delayMicros int64) int32 { return importSetTimer(delayMicros) }

// CancelTimer takes a timer back.
func CancelTimer(id int32) int32 { return importCancelTimer(id) }

// Store stores a text: 0, or a code below 0.
func Store(key, value string) int32 {
	return importStore(start(key), size(key), start(value), size(value))
}

// Load is the stored text, and whether there is one.
func Load(key string) (string, bool) {
	length := importLoad(start(key), size(key), nil, 0)
	if length < 0 {
		return "", false
	}
	bytes := make([]byte, length)
	importLoad(start(key), size(key), unsafe.Pointer(unsafe.SliceData(bytes)), uint32(length))
	return string(bytes), true
}

// VaultGet is the value of a secret of the vault, and whether it can be had; needs vault:read.
func VaultGet(name string) (string, bool) {
	length := importVaultGet(start(name), size(name), nil, 0)
	if length < 0 {
		return "", false
	}
	bytes := make([]byte, length)
	importVaultGet(start(name), size(name), unsafe.Pointer(unsafe.SliceData(bytes)), uint32(length))
	return string(bytes), true
}

// VaultPut sets a secret of 8 bytes to 64 KiB, which stays set if the turn faults; needs vault:write.
func VaultPut(name, value string) int32 {
	return importVaultPut(start(name), size(name), start(value), size(value))
}

// Delete deletes a key: 0, or a code below 0.
func Delete(key string) int32 { return importDelete(start(key), size(key)) }

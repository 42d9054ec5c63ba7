//go:build !wasip1

package caxton

import "unsafe"

// A host in memory, so that a guest's code runs under `go test`. Time stands still until Advance.

type nativeHost struct {
	now      int64
	sent     []string
	logged   []string
	state    map[string]string
	timers   map[int32]int64
	lastID   int32
	response string
}

var native = newNativeHost()

func newNativeHost() *nativeHost {
	return &nativeHost{now: 1_700_000_000_000_000, state: map[string]string{}, timers: map[int32]int64{}}
}

// Reset begins anew: no state, no timers, nothing sent.
func Reset() { native = newNativeHost() }

// Deliver gives a message to an export such as handle_message, as the host does.
func Deliver(handle func(unsafe.Pointer, uint32) int32, json string) int32 {
	return handle(start(json), size(json))
}

// TakeSent takes what was sent since the last time.
func TakeSent() []string {
	sent := native.sent
	native.sent = nil
	return sent
}

// TakeLog takes the log since the last time.
func TakeLog() []string {
	logged := native.logged
	native.logged = nil
	return logged
}

// TakeResponse takes what an extension responded last.
func TakeResponse() string {
	response := native.response
	native.response = ""
	return response
}

// Advance lets time pass and fires the timers that fall due, earliest first.
func Advance(micros int64, handle func(id int32) int32) {
	native.now += micros
	for {
		first := int32(0)
		for id, at := range native.timers {
			if at <= native.now && (first == 0 || at < native.timers[first] || at == native.timers[first] && id < first) {
				first = id
			}
		}
		if first == 0 {
			return
		}
		delete(native.timers, first)
		handle(first)
	}
}

func importSend(at unsafe.Pointer, length uint32) int32 {
	native.sent = append(native.sent, TextAt(at, length))
	return 0
}

func importBroadcast(filter unsafe.Pointer, filterLength uint32, at unsafe.Pointer, length uint32) int32 {
	native.sent = append(native.sent, TextAt(at, length))
	return 1
}

func importSubscribe(filter unsafe.Pointer, length uint32) int32 { return 1 }

func importStore(key unsafe.Pointer, keyLength uint32, at unsafe.Pointer, length uint32) int32 {
	native.state[TextAt(key, keyLength)] = TextAt(at, length)
	return 0
}

func importLoad(key unsafe.Pointer, keyLength uint32, into unsafe.Pointer, length uint32) int32 {
	value, ok := native.state[TextAt(key, keyLength)]
	if !ok {
		return NotFound
	}
	return WriteOut(value, into, length)
}

// Nothing is granted here.
func importEmit(topic unsafe.Pointer, topicLength uint32, at unsafe.Pointer, length uint32) int32 {
	return Denied
}

func importVaultGet(name unsafe.Pointer, nameLength uint32, into unsafe.Pointer, length uint32) int32 {
	return Denied
}

func importVaultPut(name unsafe.Pointer, nameLength uint32, at unsafe.Pointer, length uint32) int32 {
	return Denied
}

func importDelete(key unsafe.Pointer, keyLength uint32) int32 {
	if _, ok := native.state[TextAt(key, keyLength)]; !ok {
		return NotFound
	}
	delete(native.state, TextAt(key, keyLength))
	return 0
}

func importSetTimer(delayMicros int64) int32 {
	native.lastID++
	native.timers[native.lastID] = native.now + delayMicros
	return native.lastID
}

func importCancelTimer(id int32) int32 {
	if _, ok := native.timers[id]; !ok {
		return NotFound
	}
	delete(native.timers, id)
	return 0
}

func importNow() int64 { return native.now }

func importLog(at unsafe.Pointer, length uint32) {
	native.logged = append(native.logged, TextAt(at, length))
}

func importError(at unsafe.Pointer, length uint32) { importLog(at, length) }

func importRegister(at unsafe.Pointer, length uint32) int32 { return 0 }

func importRespond(at unsafe.Pointer, length uint32) { native.response = TextAt(at, length) }

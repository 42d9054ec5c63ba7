//go:build wasip1

package caxton

import "unsafe"

//go:wasmimport caxton send_message
func importSend(at unsafe.Pointer, length uint32) int32

//go:wasmimport caxton broadcast_message
func importBroadcast(filter unsafe.Pointer, filterLength uint32, at unsafe.Pointer, length uint32) int32

//go:wasmimport caxton event_emit
func importEmit(topic unsafe.Pointer, topicLength uint32, at unsafe.Pointer, length uint32) int32

//go:wasmimport caxton subscribe_messages
func importSubscribe(filter unsafe.Pointer, length uint32) int32

//go:wasmimport caxton store_data
func importStore(key unsafe.Pointer, keyLength uint32, at unsafe.Pointer, length uint32) int32

//go:wasmimport caxton load_data
func importLoad(key unsafe.Pointer, keyLength uint32, into unsafe.Pointer, length uint32) int32

//go:wasmimport caxton vault_get
func importVaultGet(name unsafe.Pointer, nameLength uint32, into unsafe.Pointer, length uint32) int32

//go:wasmimport caxton vault_put
func importVaultPut(name unsafe.Pointer, nameLength uint32, at unsafe.Pointer, length uint32) int32

//go:wasmimport caxton delete_data
func importDelete(key unsafe.Pointer, keyLength uint32) int32

// Shared tables, behind the permissions data:read and data:write. A row is the JSON
// {"table":"tasks","key":"k1"}, a query {"table":"tasks","prefix":"k","after":"k1"}.

//go:wasmimport caxton data_get
func DataGet(row unsafe.Pointer, rowLength uint32, into unsafe.Pointer, length uint32) int32

//go:wasmimport caxton data_put
func DataPut(row unsafe.Pointer, rowLength uint32, at unsafe.Pointer, length uint32) int32

//go:wasmimport caxton data_delete
func DataDelete(row unsafe.Pointer, rowLength uint32) int32

//go:wasmimport caxton data_list
func DataList(query unsafe.Pointer, queryLength uint32, into unsafe.Pointer, length uint32) int32

//go:wasmimport caxton set_timer
func importSetTimer(delayMicros int64) int32

//go:wasmimport caxton cancel_timer
func importCancelTimer(id int32) int32

//go:wasmimport caxton current_timestamp
func importNow() int64

//go:wasmimport caxton console_log
func importLog(at unsafe.Pointer, length uint32)

//go:wasmimport caxton console_error
func importError(at unsafe.Pointer, length uint32)

//go:wasmimport caxton register_capabilities
func importRegister(at unsafe.Pointer, length uint32) int32

//go:wasmimport caxton respond
func importRespond(at unsafe.Pointer, length uint32)

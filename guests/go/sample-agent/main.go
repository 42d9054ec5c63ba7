// The sample agent: processes texts and counts what it did, in state that outlives it.
package main

import (
	"caxton"
	"strconv"
	"unsafe"
)

const capabilities = `{"version":"1.0.0","performatives":[],"protocols":["fipa-request"],"ontologies":[],` +
	`"resource_requirements":{"min_memory_mb":1,"preferred_memory_mb":2,"cpu_intensive":false,` +
	`"network_access":false,"persistence_needed":true},` +
	`"services":[{"name":"data_processing",` +
	`"description":"Makes a text upper case, lower case or reversed",` +
	`"input_schema":{"type":"object","required":["action"]},` +
	`"output_schema":{"type":"object","required":["result"]},` +
	`"estimated_latency_ms":1}]}`

func main() {}

//go:wasmexport agent_init
func agentInit() int32 {
	caxton.Log("Agent initializing...")
	return 0
}

//go:wasmexport agent_shutdown
func agentShutdown() {
	caxton.Log("Agent shutting down...")
}

//go:wasmexport get_capabilities
func getCapabilities(into unsafe.Pointer, room uint32) int32 {
	return caxton.WriteOut(capabilities, into, room)
}

//go:wasmexport handle_message
func handleMessage(at unsafe.Pointer, length uint32) int32 {
	message, ok := caxton.Read(at, length)
	if !ok {
		caxton.LogError("Failed to parse message")
		return 1
	}
	if wrong := message.Wrong(); wrong != "" {
		message.Failure(wrong)
		return 1
	}
	if message.Performative == "inform" || message.IsFinal() {
		caxton.Log("Received " + message.Performative)
		return 0
	}
	if message.Performative == "request" {
		switch action, _ := caxton.Unquote(caxton.Get(message.Content, "action")); action {
		case "process_data":
			return processData(message)
		case "get_status":
			return getStatus(message)
		}
	}
	message.NotUnderstood()
	return 1
}

func handled() int64 {
	digits, _ := caxton.Load("handled")
	count, _ := strconv.ParseInt(digits, 10, 64)
	return count
}

// processData takes {"data": {"operation", "text"}} and {"data": TEXT, "operation"}.
func processData(message *caxton.Message) int32 {
	data := caxton.Get(message.Content, "data")
	text, operation := data, caxton.Get(message.Content, "operation")
	if len(data) > 0 && data[0] == '{' {
		operation = caxton.Get(data, "operation")
		if text = caxton.Get(data, "text"); text == "" {
			text = caxton.Get(data, "data")
		}
	}
	text, isText := caxton.Unquote(text)
	operation, isOperation := caxton.Unquote(operation)
	if !isText || !isOperation {
		message.Failure("Invalid request format")
		return 1
	}
	caxton.Store("handled", strconv.FormatInt(handled()+1, 10))
	result := caxton.Quote(apply(operation, text))
	message.Inform(`{"result":` + result + `,"timestamp":` + strconv.FormatInt(caxton.Now(), 10) + "}")
	return 0
}

func getStatus(message *caxton.Message) int32 {
	message.Inform(`{"status":"ok","handled":` + strconv.FormatInt(handled(), 10) + "}")
	return 0
}

// apply changes the letters A to Z only, so that every language's sample answers the same.
func apply(operation, text string) string {
	switch operation {
	case "uppercase":
		return shifted(text, 'a', 256-32)
	case "lowercase":
		return shifted(text, 'A', 32)
	case "reverse":
		runes := []rune(text)
		for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
			runes[i], runes[j] = runes[j], runes[i]
		}
		return string(runes)
	}
	return "Unknown operation: " + operation
}

// shifted adds to each of the 26 letters from the first one on.
func shifted(text string, first, by byte) string {
	bytes := []byte(text)
	for i, c := range bytes {
		if c >= first && c < first+26 {
			bytes[i] = c + by
		}
	}
	return string(bytes)
}

// Greets whoever asks, and counts the greetings in state that outlives the agent.
package main

import (
	"caxton"
	"strconv"
	"unsafe"
)

func main() {}

//go:wasmexport handle_message
func handleMessage(at unsafe.Pointer, length uint32) int32 {
	message, ok := caxton.Read(at, length)
	if !ok {
		return 1
	}
	if wrong := message.Wrong(); wrong != "" {
		message.Failure(wrong)
		return 1
	}
	action, _ := caxton.Unquote(caxton.Get(message.Content, "action"))
	if message.Performative == "request" && action == "greet" {
		return greet(message)
	}
	message.NotUnderstood()
	return 1
}

func greet(message *caxton.Message) int32 {
	name, ok := caxton.Unquote(caxton.Get(message.Content, "name"))
	if !ok {
		message.Failure("`name` is missing")
		return 1
	}
	greeted, _ := caxton.Load("greeted")
	count, _ := strconv.Atoi(greeted)
	digits := strconv.Itoa(count + 1)
	caxton.Store("greeted", digits)
	return message.Inform(`{"greeting":` + caxton.Quote("Hello "+name) + `,"count":` + digits + "}")
}

package caxton

import "unsafe"

// Message is a message that came.
type Message struct {
	// JSON is the whole message.
	JSON string
	// Performative is lower case, with `-`, as the host writes it.
	Performative string
	// Content is JSON; empty if there is none.
	Content string
}

// Read reads a message; false if it is none.
func Read(at unsafe.Pointer, length uint32) (*Message, bool) {
	return Parse(TextAt(at, length))
}

// Parse reads a message from its JSON; false if it is none.
func Parse(json string) (*Message, bool) {
	s := scanner{text: json}
	if !s.value(0) {
		return nil, false
	}
	s.space()
	performative, ok := Unquote(Get(json, "performative"))
	if !ok || s.at != len(json) {
		return nil, false
	}
	return &Message{JSON: json, Performative: performative, Content: Get(json, "content")}, true
}

// Wrong is what is wrong with the content; empty if nothing is.
func (m *Message) Wrong() string {
	if len(m.JSON) > DataMax {
		return "Data too large"
	}
	if m.Content == "" {
		return ""
	}
	return Check(m.Content)
}

// IsFinal is whether it is itself an answer that must not be answered again.
func (m *Message) IsFinal() bool {
	return m.Performative == "failure" || m.Performative == "not-understood"
}

func (m *Message) copied(from, to string) string {
	value := Get(m.JSON, from)
	if value == "" || value == "null" {
		return ""
	}
	return `,"` + to + `":` + value
}

// Reply answers with content as JSON: 0, or a code below 0.
func (m *Message) Reply(performative, content string) int32 {
	to := Get(m.JSON, "reply_to")
	if to == "" || to == "null" {
		to = Get(m.JSON, "sender")
	}
	if to == "" {
		to = `""`
	}
	return Send(`{"performative":"` + performative + `","receiver":` + to + `,"content":` + content +
		m.copied("conversation_id", "conversation_id") + m.copied("reply_with", "in_reply_to") +
		m.copied("protocol", "protocol") + "}")
}

// Inform answers `inform` with `{"result": …}`.
func (m *Message) Inform(result string) int32 {
	return m.Reply("inform", `{"result":`+result+"}")
}

// Failure answers `failure` with `{"error": …}`. A failure is not answered.
func (m *Message) Failure(wrong string) int32 {
	if m.IsFinal() {
		return 0
	}
	return m.Reply("failure", `{"error":`+Quote(wrong)+"}")
}

// NotUnderstood answers `not-understood`. One that is itself such an answer is not answered.
func (m *Message) NotUnderstood() int32 {
	if m.IsFinal() {
		return 0
	}
	return m.Reply("not-understood", `{"error":"Message not understood"}`)
}

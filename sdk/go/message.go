package caxton

import "unsafe"

// Message is a message that came. Fields but Performative are JSON as it came; empty where there
// is none, or null.
type Message struct {
	// JSON is the whole message.
	JSON string
	// Performative is lower case, with `-`, as the host writes it.
	Performative string
	// Content is what it says.
	Content string

	Sender, ReplyTo, ReplyWith, ConversationID, Protocol string
}

// Read reads a message; false if it is none.
func Read(at unsafe.Pointer, length uint32) (*Message, bool) {
	return Parse(TextAt(at, length))
}

// Parse reads a message from its JSON, in one walk; false if it is none.
func Parse(json string) (*Message, bool) {
	m := &Message{JSON: json}
	s := scanner{text: json}
	if !s.take('{') {
		return nil, false
	}
	for {
		s.space()
		nameAt := s.at + 1
		if !s.str(0, "") {
			return nil, false
		}
		name := json[nameAt : s.at-1]
		if !s.take(':') {
			return nil, false
		}
		s.space()
		valueAt := s.at
		if !s.value(1) {
			return nil, false
		}
		m.set(name, json[valueAt:s.at])
		if !s.take(',') {
			break
		}
	}
	if !s.take('}') {
		return nil, false
	}
	s.space()
	performative, ok := Unquote(m.Performative)
	m.Performative = performative
	return m, ok && s.at == len(json)
}

func (m *Message) set(name, value string) {
	if name == "content" {
		m.Content = value
		return
	}
	if value == "null" {
		return
	}
	switch name {
	case "performative":
		m.Performative = value
	case "sender":
		m.Sender = value
	case "reply_to":
		m.ReplyTo = value
	case "reply_with":
		m.ReplyWith = value
	case "conversation_id":
		m.ConversationID = value
	case "protocol":
		m.Protocol = value
	}
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

func field(name, value string) string {
	if value == "" {
		return ""
	}
	return `,"` + name + `":` + value
}

// Reply answers with content as JSON: 0, or a code below 0.
func (m *Message) Reply(performative, content string) int32 {
	to := m.ReplyTo
	if to == "" {
		to = m.Sender
	}
	if to == "" {
		to = `""`
	}
	return Send(`{"performative":"` + performative + `","receiver":` + to + `,"content":` + content +
		field("conversation_id", m.ConversationID) + field("in_reply_to", m.ReplyWith) +
		field("protocol", m.Protocol) + "}")
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

package caxton

import (
	"strings"
	"testing"
)

func TestContentLimitsHaveTheirWords(t *testing.T) {
	for json, want := range map[string]string{
		`{"a":[1,"b"]}`:                                   "",
		`"` + strings.Repeat("x", 10000) + `"`:            "",
		`"` + strings.Repeat("x", 10001) + `"`:            "String too long",
		"[" + strings.Repeat("1,", 1000) + "1]":           "Array too large",
		`{"` + strings.Repeat("k", 257) + `":1}`:          "Key too long",
		strings.Repeat("[", 65) + strings.Repeat("]", 65): "Nested too deep",
		"{":        "not JSON",
		`{"a":1}x`: "not JSON",
	} {
		if got := Check(json); got != want {
			t.Errorf("%.40s: got %q, want %q", json, got, want)
		}
	}
}

func TestTextsGoThroughJSONUnchanged(t *testing.T) {
	for _, text := range []string{"", "plain", "q\"b\\n\n\t\r\b\f\x01", "ünï 😀"} {
		if got, ok := Unquote(Quote(text)); !ok || got != text {
			t.Errorf("%q came back as %q", text, got)
		}
	}
	if got, _ := Unquote(`"\ud83d\ude00\u00e9"`); got != "😀é" {
		t.Errorf("escapes: %q", got)
	}
}

func TestAReplyGoesToWhoeverWaits(t *testing.T) {
	Reset()
	m, ok := Parse(`{"performative":"request","sender":"a","reply_to":"b","reply_with":"1","conversation_id":"c","content":{"x":{"y":[2]}}}`)
	if !ok || Get(Get(m.Content, "x"), "y") != "[2]" {
		t.Fatal("not read")
	}
	m.Inform("7")
	want := `{"performative":"inform","receiver":"b","content":{"result":7},"conversation_id":"c","in_reply_to":"1"}`
	if sent := TakeSent(); len(sent) != 1 || sent[0] != want {
		t.Errorf("sent %v", sent)
	}
	final, _ := Parse(`{"performative":"failure","sender":"a"}`)
	final.NotUnderstood()
	if len(TakeSent()) != 0 {
		t.Error("a failure was answered")
	}
}

package main

import (
	"caxton"
	"strings"
	"testing"
)

func ask(t *testing.T, content string) (int32, string) {
	code := caxton.Deliver(handleMessage, `{"performative":"request","sender":"you","reply_with":"1","content":`+content+"}")
	sent := caxton.TakeSent()
	if len(sent) != 1 {
		t.Fatalf("%d answers", len(sent))
	}
	return code, sent[0]
}

func TestItGreetsAndCounts(t *testing.T) {
	caxton.Reset()
	want := `{"performative":"inform","receiver":"you","content":{"result":{"greeting":"Hello Ada","count":1}},"in_reply_to":"1"}`
	if code, sent := ask(t, `{"action":"greet","name":"Ada"}`); code != 0 || sent != want {
		t.Errorf("%d %s", code, sent)
	}
	if _, sent := ask(t, `{"action":"greet","name":"Bob"}`); !strings.Contains(sent, `"count":2`) {
		t.Error(sent)
	}
}

func TestItSaysWhatIsMissing(t *testing.T) {
	caxton.Reset()
	if code, sent := ask(t, `{"action":"greet"}`); code != 1 || !strings.Contains(sent, "failure") {
		t.Errorf("%d %s", code, sent)
	}
	if code, sent := ask(t, `{"action":"dance"}`); code != 1 || !strings.Contains(sent, "not-understood") {
		t.Errorf("%d %s", code, sent)
	}
}

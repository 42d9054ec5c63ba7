package main

import "testing"

func TestItCountsWords(t *testing.T) {
	for text, want := range map[string]string{"one two  three\n": "3", "": "0"} {
		if got := countWords(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

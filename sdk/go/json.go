package caxton

// What content may be, so that no sender can make an agent choke on it. Unit: bytes, or pieces.
const (
	DataMax   = 1048576
	keysMax   = 100
	keyMax    = 256
	itemsMax  = 1000
	stringMax = 10000
	depthMax  = 64
)

// Quote writes a text as a JSON string, quotes and escapes included.
func Quote(text string) string {
	const hex = "0123456789abcdef"
	out := make([]byte, 0, len(text)+2)
	out = append(out, '"')
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\r':
			out = append(out, '\\', 'r')
		case c == '\t':
			out = append(out, '\\', 't')
		case c == '\b':
			out = append(out, '\\', 'b')
		case c == '\f':
			out = append(out, '\\', 'f')
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return string(append(out, '"'))
}

// scanner steps over JSON, without a tree, and finds what is wrong with it.
type scanner struct {
	text    string
	at      int
	wrong   string
	limited bool
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\n', '\r', '\t':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) take(c byte) bool {
	s.space()
	if s.at >= len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) fail(wrong string) bool {
	if s.wrong == "" {
		s.wrong = wrong
	}
	return false
}

func (s *scanner) str(most int, tooLong string) bool {
	if !s.take('"') {
		return s.fail("not JSON")
	}
	bytes := 0 // of the text itself: what the limits count
	for s.at < len(s.text) {
		c := s.text[s.at]
		s.at++
		if c == '"' {
			if bytes > most && s.limited {
				return s.fail(tooLong)
			}
			return true
		}
		if c < 0x20 {
			break
		}
		bytes++
		if c != '\\' {
			continue
		}
		if s.at >= len(s.text) {
			break
		}
		c = s.text[s.at]
		s.at++
		if c != 'u' {
			continue
		}
		if s.at+4 > len(s.text) {
			break
		}
		code := hex4(s.text[s.at:])
		s.at += 4
		switch {
		case code < 0x80:
		case code < 0x800 || code >= 0xd800 && code < 0xe000:
			bytes++
		default:
			bytes += 2
		}
	}
	return s.fail("not JSON")
}

func (s *scanner) value(depth int) bool {
	s.space()
	if s.at >= len(s.text) {
		return s.fail("not JSON")
	}
	if depth > depthMax {
		return s.fail("Nested too deep")
	}
	switch s.text[s.at] {
	case '"':
		return s.str(stringMax, "String too long")
	case '{':
		return s.list('}', keysMax, "Object has too many keys", depth)
	case '[':
		return s.list(']', itemsMax, "Array too large", depth)
	}
	from := s.at
	for s.at < len(s.text) {
		c := s.text[s.at]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == 'E' || c == '-' || c == '+' || c == '.') {
			break
		}
		s.at++
	}
	return s.at > from || s.fail("not JSON")
}

func (s *scanner) list(end byte, most int, tooMany string, depth int) bool {
	s.at++
	if s.take(end) {
		return true
	}
	for count := 1; ; count++ {
		if count > most && s.limited {
			return s.fail(tooMany)
		}
		if end == '}' {
			if !s.str(keyMax, "Key too long") {
				return false
			}
			if !s.take(':') {
				return s.fail("not JSON")
			}
		}
		if !s.value(depth + 1) {
			return false
		}
		if !s.take(',') {
			break
		}
	}
	return s.take(end) || s.fail("not JSON")
}

// Check is empty if a text is JSON within the limits, else what is wrong.
func Check(json string) string {
	s := scanner{text: json, limited: true}
	if s.value(1) {
		s.space()
	}
	if s.wrong == "" && s.at != len(json) {
		return "not JSON"
	}
	return s.wrong
}

// Get is the value under a key of an object, as JSON; empty if there is none.
func Get(object, key string) string {
	s := scanner{text: object}
	found := ""
	if !s.take('{') {
		return ""
	}
	for {
		s.space()
		name := s.at + 1
		if !s.str(0, "") {
			break
		}
		thisKey := object[name : s.at-1]
		if !s.take(':') {
			break
		}
		s.space()
		from := s.at
		if !s.value(1) {
			break
		}
		if thisKey == key {
			found = object[from:s.at]
		}
		if !s.take(',') {
			break
		}
	}
	return found
}

func hex4(text string) rune {
	code := rune(0)
	for i := 0; i < 4; i++ {
		c := rune(text[i])
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c | 32 - 'a' + 10
		}
		code = code<<4 + c
	}
	return code
}

// Unquote is a JSON string's text, without quotes and escapes, and whether it is a string.
func Unquote(json string) (string, bool) {
	if len(json) < 2 || json[0] != '"' {
		return "", false
	}
	out := make([]byte, 0, len(json))
	for i := 1; i < len(json)-1; i++ {
		c := json[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		i++
		switch c = json[i]; c {
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case 'r':
			out = append(out, '\r')
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'u':
			if i+4 >= len(json) {
				return "", false
			}
			code := hex4(json[i+1:])
			i += 4
			if code >= 0xd800 && code < 0xdc00 && i+6 < len(json) && json[i+1] == '\\' && json[i+2] == 'u' {
				code = 0x10000 + (code-0xd800)<<10 + hex4(json[i+3:]) - 0xdc00
				i += 6
			}
			out = append(out, string(code)...)
		default:
			out = append(out, c)
		}
	}
	return string(out), true
}

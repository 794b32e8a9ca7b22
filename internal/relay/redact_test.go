package relay

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// percent, inJSON and escapedAll spell a text with escapes only.
func percent(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

func inJSON(text string) string {
	var b strings.Builder
	for i, c := range []byte(text) {
		fmt.Fprintf(&b, []string{`\u%04x`, `\u%04X`}[i%2], c)
	}
	return b.String()
}

func escapedAll(text string) string { return inJSON(percent(inJSON(text))) }

// spells reports whether whoever undoes the escapes of JSON and of URLs, up to three
// times, reads the token in text.
func spells(text, token string) bool {
	for range maxLayers {
		if strings.Contains(text, token) {
			return true
		}
		text = unescape(text)
	}
	return strings.Contains(text, token)
}

func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		var c byte
		var n int
		switch rest := text[i:]; {
		case len(rest) >= 6 && rest[:2] == `\u` && isHex(rest[2:6]):
			var r rune
			fmt.Sscanf(rest[2:6], "%x", &r)
			b.WriteRune(r)
			i += 5
			continue
		case len(rest) >= 3 && rest[0] == '%' && isHex(rest[1:3]):
			fmt.Sscanf(rest[1:3], "%x", &c)
			n = 2
		case len(rest) >= 2 && rest[0] == '\\' && rest[1] != 'u':
			c, n = rest[1], 1
		default:
			c = rest[0]
		}
		b.WriteByte(c)
		i += n
	}
	return b.String()
}

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdefABCDEF") == "" }

// An app that is given the token in other letters has it as well: what reads JSON or
// URLs undoes escapes. So it is with answers that are too long to be looked at as a
// whole, wherever they are cut into pieces.
func TestG2AnswersDoNotSpellTheToken(t *testing.T) {
	spellings := map[string]string{
		"one letter in JSON":    strings.Replace(testToken, "A", `\u0041`, 1),
		"the first in JSON":     strings.Replace(testToken, "8", `\u0038`, 1),
		"the last in JSON":      testToken[:len(testToken)-1] + `\u007a`,
		"all in JSON":           inJSON(testToken),
		"one percent":           strings.ReplaceAll(testToken, "_", "%5F"),
		"all percent":           percent(testToken),
		"percent twice":         strings.ReplaceAll(percent(testToken), "%", "%25"),
		"percent in JSON":       strings.ReplaceAll(testToken, "_", `\u00255f`),
		"JSON in percent":       strings.ReplaceAll(testToken, "_", `\u00%35%46`),
		"all percent in JSON":   inJSON(percent(testToken)),
		"JSON in JSON":          strings.ReplaceAll(inJSON(testToken), `\`, `\\`),
		"JSON in JSON, escaped": strings.ReplaceAll(inJSON(testToken), `\`, `\u005C`),
		"three times":           escapedAll(testToken),
		"a backslash":           strings.ReplaceAll(testToken, "-", `\-`),
		"mixed":                 `\u0038` + "%30" + `\_` + testToken[3:10] + `\u005cu0030` + testToken[11:],
	}
	for name, spelled := range spellings {
		if spells(testToken[1:], testToken) || !spells(spelled, testToken) && name != "JSON in percent" {
			t.Fatalf("%s: it does not spell the token", name)
		}
		got, _, _, err := open(t, http.Header{"Link": {"</?t=" + spelled + ">"}, "X-Other": {"100%"}}, strings.NewReader(""), 200)
		if err != nil || len(got.Header) != 1 {
			t.Errorf("%s in a header: %v, %v", name, got.Header, err)
		}
		for before, wrap := range map[string][2]string{
			"short JSON":      {`{"x":"`, `"}`},
			"binary":          {"\x00%\\%4", "\\%"},
			"long JSON":       {`{"x":"` + strings.Repeat(`\u4f60%`, maxPeeked/7), `","errcode":0}`},
			"at a border":     {"\x00" + strings.Repeat("x", redactorSize-2-len(spelled)/2), strings.Repeat(`%\`, redactorSize)},
			"behind its like": {"\x00" + testToken[:20] + spelled[:len(spelled)-1], testToken[:5]},
			"at the end":      {"\x00" + `\u`, ""},
		} {
			body, want := wrap[0]+spelled+wrap[1], wrap[0]+strings.Repeat("*", len(spelled))+wrap[1]
			for _, reader := range []io.Reader{strings.NewReader(body), &inPieces{[]byte(body), 7 + len(body)>>8}, iotest.DataErrReader(strings.NewReader(body))} {
				_, text, _, err := open(t, http.Header{}, reader, 200)
				if err != nil || text != want {
					i := 0
					for i < min(len(text), len(want)) && text[i] == want[i] {
						i++
					}
					t.Errorf("%s, %s: %v; from %d on it is %.80q", name, before, err, i, text[i:])
				}
			}
		}
	}
}

// What is escaped and no token stays as it is, to the byte.
func TestG2EscapesOfOtherTextStay(t *testing.T) {
	for _, part := range []string{
		`100%`, `\u4f60\u00zz%zz\\`, testToken[1:] + `%`, inJSON(testToken[1:]), escapedAll(testToken[:len(testToken)-1]), percent("x" + testToken[:20]),
		strings.ReplaceAll(testToken, "A", `\u0141`), strings.ReplaceAll(testToken, "A", `\u4141`), strings.Repeat(`\`, 100) + testToken[1:],
	} {
		for _, body := range []string{`{"x":"` + part + `"}`, "\x00" + part, strings.Repeat("x", 2*maxPeeked) + part, strings.Repeat(part, 1+2*maxPeeked/len(part))} {
			if _, text, _, err := open(t, http.Header{}, &inPieces{[]byte(body), 1000}, 200); err != nil || text != body {
				t.Errorf("%.60s became %.60s, %v", body, text, err)
			}
		}
	}
}

// A token that is longer than what is held back does not stop the answer, nor pass.
func TestG2VeryLongSpellingsEnd(t *testing.T) {
	token := strings.Repeat("0123456789abcdef", 32)
	for name, spelled := range map[string]string{"escaped thrice": escapedAll(token), "plain": strings.Repeat(token, redactorSize/len(token))} {
		if name == "plain" {
			token = spelled + "x"
			spelled = token
		}
		r := &redactor{from: strings.NewReader("\x00" + spelled + "end"), token: []byte(token)}
		text, err := io.ReadAll(r)
		if err != nil || len(text) != len(spelled)+4 || !strings.HasSuffix(string(text), "end") || spells(string(text), token) {
			t.Errorf("%s: %v, %d bytes", name, err, len(text))
		}
	}
}

func BenchmarkRedact(b *testing.B) {
	binary := make([]byte, 1<<20)
	state := uint32(1)
	for i := range binary {
		state = state*1664525 + 1013904223
		binary[i] = byte(state >> 24)
	}
	for name, body := range map[string]string{
		"picture": string(binary),
		"JSON":    strings.Repeat(`{"name":"some name","age":42},`, 1<<20/30),
		"Chinese": strings.Repeat(`{"name":"\u4f60\u597d"},`, 1<<20/24),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				_, _ = io.Copy(io.Discard, &redactor{from: strings.NewReader(body), token: []byte(testToken)})
			}
		})
	}
}

// A backslash that is escaped itself stands before a percent sign that escapes the u.
func TestG2PercentBehindAnEscapedBackslash(t *testing.T) {
	for _, sent := range []string{`%5C%750061bcdef`, `%5C\u0025750061bcdef`, `{"u":"%5C\u00257500%361bcdef"}`} {
		text := []byte(sent)
		if redact(text, []byte("abcdef"), true); string(text) == sent {
			t.Errorf("%s passes", text)
		}
	}
}

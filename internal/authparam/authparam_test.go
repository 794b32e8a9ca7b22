package authparam

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

func TestCut(t *testing.T) {
	for value, want := range map[string]struct {
		params string
		ok     bool
	}{
		`WeChat-Code code="a"`: {` code="a"`, true},
		` wechat-CODE code=a `: {" code=a", true},
		"WeChat-Code":          {"", true},
		"WeChat-Code,code=a":   {",code=a", true},
		"WeChat-Code\tcode=a":  {"\tcode=a", true},
		"WeChat-Codes code=a":  {"s code=a", false},
		"WeChat-Cod":           {"", false},
		"Bearer WeChat-Code":   {"", false},
		"":                     {"", false},
	} {
		if params, ok := Cut(value, "WeChat-Code"); ok != want.ok || ok && params != want.params {
			t.Errorf("%q: %q %v, want %q %v", value, params, ok, want.params, want.ok)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]map[string]string{
		` code="a"`:                            {"code": "a"},
		` code=a`:                              {"code": "a"},
		`   CODE = "a" ,nonce=b,` + "\tx=\"\"": {"code": "a", "nonce": "b", "x": ""},
		` code="a, b=\"c\\"`:                   {"code": `a, b="c\`},
		` code="é	"`:                           {"code": "é\t"},
	} {
		if got, err := Parse(text); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v %v, want %v", text, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", " ", `code="a"`, "\tcode=a", ",code=a", " code", " code=", ` code="a`, ` code="a\`, ` code="a\"`, ` code="a"b`, ` code="a" nonce="b"`,
		` code="a",`, ` ,code="a"`, ` code="a",,nonce="b"`, ` code="a"; nonce="b"`, ` code="a", code="a"`, ` code="a", Code="b"`, ` ="a"`,
		` code==a`, ` code='a b'`, ` code=a/b`, ` YWJj==`, ` code=é`, " code=\"a\nb\"", " code=\"a\\\x00\"", " code=\"\x7f\"", ` "code"=a`,
	} {
		if got, err := Parse(text); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
}

// Whatever is read can be written and read again, and is one thing only.
func FuzzParse(f *testing.F) {
	f.Add(` code="a", nonce=b`)
	f.Add(` code="a\"\\", x = y`)
	f.Fuzz(func(t *testing.T, text string) {
		params, err := Parse(text)
		if err != nil {
			return
		}
		var again []string
		for name, value := range params {
			again = append(again, name+`="`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)+`"`)
		}
		if got, err := Parse(" " + strings.Join(again, ", ")); err != nil || !maps.Equal(got, params) {
			t.Errorf("%q: %v, then %v %v", text, params, got, err)
		}
	})
}

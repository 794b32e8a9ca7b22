package strictjson

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"
)

func TestObject(t *testing.T) {
	for text, want := range map[string]error{
		`{}`: nil, ` {"a":1} ` + "\n": nil, `{"a":{"b":[1,2,{"a":null}]}}`: nil, `{"a":1,"A":2}`: nil, `{"a":{"x":1},"b":{"x":1}}`: nil,
		``: ErrSyntax, `null`: ErrNotObject, `[]`: ErrNotObject, `"a"`: ErrNotObject, `1`: ErrNotObject,
		`{"a":1,"a":2}`: ErrDuplicateKey, `{"a":1,"\u0061":2}`: ErrDuplicateKey, `{"o":{"a":1,"a":1}}`: ErrDuplicateKey, `{"o":[{"a":1,"a":1}]}`: ErrDuplicateKey,
		`{"a":1}{}`: ErrSyntax, `{"a":1}x`: ErrSyntax, `{"a":1`: ErrSyntax, `{"a"}`: ErrSyntax, `{a:1}`: ErrSyntax, `{"a":1,}`: ErrSyntax, `{"a":01}`: ErrSyntax,
		"{\"a\":\"\xff\"}": ErrSyntax, "{\"a\":\"\n\"}": ErrSyntax, `<html>`: ErrSyntax,
		`{"a":{"b":{"c":{"d":1}}}}`: nil, `{"a":{"b":{"c":{"d":{}}}}}`: ErrTooDeep, `{"a":[[[[]]]]}`: ErrTooDeep,
	} {
		if _, err := Object([]byte(text), 4); !errors.Is(err, want) {
			t.Errorf("Object(%q): %v, want %v", text, err, want)
		}
	}
}

func TestValues(t *testing.T) {
	for raw, want := range map[string]bool{`"a"`: true, `""`: true, `1`: false, `null`: false, ``: false, `["a"]`: false} {
		if _, ok := String(json.RawMessage(raw)); ok != want {
			t.Errorf("String(%s): %v", raw, ok)
		}
	}
	for raw, want := range map[string]bool{
		`1`: true, `-1`: true, `0`: true, `1.0`: false, `1e3`: false, `"1"`: false, `null`: false, ``: false, `+1`: false,
		`9223372036854775808`: false, `true`: false,
	} {
		if _, ok := Int(json.RawMessage(raw)); ok != want {
			t.Errorf("Int(%s): %v", raw, ok)
		}
	}
}

// FuzzObject compares it with the reader that stands on encoding/json: both take the
// same texts, refuse the others alike, and read the same members.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{"a":1}`, `{"a":{"b":[]}}`, `{"a":1,"a":2}`, `{"\u0061":1}`, `{} x`, `{"a":[{"b":1,"b":2}],"a":1}`, `{"\\":"\"","b":[ 1 , "]" ]}`,
		`{"a":{"b":{"c":{"d":[]}}}}`, `{"\ud800":1,"\ud801":2}`, "{ \"a\" :\t-1.5e+3 ,\r\n\"b\":null}", `{"a":[[],[{}],{"x":[true,false]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := Object(data, 4)
		plain, want := objectByTokens(data, 4)
		if !errors.Is(err, want) && json.Valid(data) {
			t.Fatalf("%q: %v; by encoding/json: %v", data, err, want)
		}
		if (err == nil) != (want == nil) {
			t.Fatalf("%q: %v; by encoding/json: %v", data, err, want)
		}
		same := func(a, b json.RawMessage) bool { return string(a) == string(b) }
		if err == nil && !maps.EqualFunc(members, plain, same) {
			t.Fatalf("%q: %q; by encoding/json: %q", data, members, plain)
		}
	})
}

// BenchmarkObject reads what WeChat answers to a login of a browser.
func BenchmarkObject(b *testing.B) {
	text := []byte(`{"access_token":"90_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","expires_in":7200,` +
		`"refresh_token":"90_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","openid":"oAAAAAAAAAAAAAAAAAAAAAAAAAAA",` +
		`"scope":"snsapi_base","unionid":"uAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`)
	for name, object := range map[string]func([]byte, int) (map[string]json.RawMessage, error){"Object": Object, "by encoding json": objectByTokens} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := object(text, 16); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package strictjson

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
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

// What is accepted means the same to encoding/json, each member once.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"a":{"b":[]}}`, `{"a":1,"a":2}`, `{"\u0061":1}`, `{} x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := Object(data, 4)
		if err != nil {
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(data, &plain); err != nil {
			t.Fatalf("accepted what is no JSON: %q", data)
		}
		if !slices.Equal(slices.Sorted(maps.Keys(members)), slices.Sorted(maps.Keys(plain))) {
			t.Fatalf("members differ: %q", data)
		}
	})
}

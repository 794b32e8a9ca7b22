package strictjson

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestFlatReadsStringsAndWholeNumbers(t *testing.T) {
	want := []Member{{"a", "x", true}, {"b", "0", false}, {"ü", "17", false}, {"", "", true}}
	for _, text := range []string{
		`{"a":"x","b":0,"ü":17,"":""}`,
		" { \"a\" : \"x\" ,\n\"b\":0\t,\"ü\":17 , \"\":\"\"\r} \n",
	} {
		got, ok := Flat(text, make([]Member, 0, 4))
		if !ok || !slices.Equal(got, want) {
			t.Errorf("%s: %+v, %v", text, got, ok)
		}
		if _, ok := Flat(text, make([]Member, 0, 3)); ok {
			t.Errorf("%s: one member more than there is room for", text)
		}
	}
	if got, ok := Flat("{}", nil); !ok || len(got) != 0 {
		t.Errorf("an empty object: %+v, %v", got, ok)
	}
}

func TestFlatRefuses(t *testing.T) {
	for _, text := range []string{
		``, `{`, `}`, `null`, `[]`, `""`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{"a" 1}`, `{a:1}`, `{'a':1}`,
		`{"a":1}{}`, `{"a":1}x`, `{}}`, `{"a":1,"a":1}`, `{"a":"1","b":2,"a":3}`, `{"a":{}}`, `{"a":[]}`, `{"a":null}`, `{"a":true}`,
		`{"a":-1}`, `{"a":01}`, `{"a":1.0}`, `{"a":1e3}`, `{"a":+1}`, `{"a":"\u0041"}`, `{"\u0061":1}`, `{"a":"\""}`,
		"{\"a\":\"\n\"}", "{\"a\":\"\x00\"}", "{\"a\":\"\xff\"}", "{\"a\":\"x}", "\ufeff{}", "{\u00a0}", "{\v}",
	} {
		if got, ok := Flat(text, make([]Member, 0, 8)); ok {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// FuzzFlatReadsAsObject compares it with the reader that stands on encoding/json:
// what both take they read alike, and what Flat alone refuses is what it says that
// it refuses.
func FuzzFlatReadsAsObject(f *testing.F) {
	for _, text := range []string{
		`{"iss":"caddy-wechat","iat":1795435200}`, ` { "a" : 0 } `, `{"a":1,"a":2}`, `{"a":"\u0041"}`, `{"a":-1}`, `{"a":[1]}`, `{"é":"é"}`, `{}`, `{"a":1}x`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		flat, ok := Flat(text, make([]Member, 0, 8))
		members, err := Object([]byte(text), 1)
		if !ok {
			if err == nil && len(members) <= 8 && !strings.Contains(text, `\`) && !slices.ContainsFunc(values(members), otherThanFlat) {
				t.Fatalf("%q is refused", text)
			}
			return
		}
		if err != nil || len(members) != len(flat) {
			t.Fatalf("%q is read: %+v; by encoding/json: %v, %v", text, flat, members, err)
		}
		for _, m := range flat {
			raw, present := members[m.Name]
			value, isString := String(raw)
			if !present || isString != m.IsString || isString && value != m.Value || !isString && string(raw) != m.Value {
				t.Fatalf("%q: %+v is %s to encoding/json", text, m, raw)
			}
		}
	})
}

func values(members map[string]json.RawMessage) []string {
	var all []string
	for _, raw := range members {
		all = append(all, string(raw))
	}
	return all
}

func otherThanFlat(raw string) bool {
	return raw[0] != '"' && strings.Trim(raw, "0123456789") != ""
}

package key

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

var (
	secretA = []byte("\x01\x22\x53\x84\xa5\xc6\xe7\x08\x19\x2a\x3b\x4c\x5d\x6e\x7f\x80\x91\xa2\xb3\xc4\xd5\xe6\xf7\x18\x29\x3a\x4b\x5c\x6d\x7e\x8f\x90")
	secretB = bytes.Repeat([]byte("\xf0\x0d\xca\xfe\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23\x45\x67\x89"), 2)
)

func mustKey(t testing.TB, secret []byte) Key {
	t.Helper()
	key, err := New(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustRing(t testing.TB, secrets ...[]byte) *Set {
	t.Helper()
	var keys []Key
	for _, secret := range secrets {
		keys = append(keys, mustKey(t, secret))
	}
	ring, err := NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestWeakKeysAreRefused(t *testing.T) {
	for name, secret := range map[string][]byte{
		"empty": nil, "31 bytes": secretA[:31], "zeros": make([]byte, 32),
		"a word": []byte(strings.Repeat("password", 4)),
	} {
		if _, err := New(secret); !errors.Is(err, ErrWeak) {
			t.Errorf("J13 %s: %v", name, err)
		}
	}
	if _, err := Parse("not base64!"); !errors.Is(err, ErrWeak) {
		t.Error("not base64 is accepted")
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		key, err := Parse(encoding.EncodeToString(secretA))
		if err != nil || key.ID() != mustKey(t, secretA).ID() {
			t.Errorf("a base64 of the key gives %v, %v", key, err)
		}
	}
	if _, err := NewSet(); !errors.Is(err, ErrNone) {
		t.Error("an empty ring is accepted")
	}
	if _, err := NewSet(mustKey(t, secretA), mustKey(t, secretA)); !errors.Is(err, ErrDuplicate) {
		t.Error("a key twice is accepted")
	}
}

func TestKeysPrintWithoutTheirBytes(t *testing.T) {
	key := mustKey(t, secretA)
	if text := key.String() + key.GoString(); strings.Contains(text, string(secretA)) || !strings.Contains(text, key.ID()) {
		t.Errorf("printed: %q", text)
	}
	if bytes.Equal(key.Derive("a"), key.Derive("b")) || bytes.Equal(key.Derive("a"), secretA) {
		t.Error("derived keys are not their own")
	}
}

func TestUserHashIsKeyedAndUnambiguous(t *testing.T) {
	ring := mustRing(t, secretA)
	if ring.UserHash("wxa", "bopenid") == ring.UserHash("wxab", "openid") {
		t.Error("two users share a hash")
	}
	if ring.UserHash("wx", "o") == mustRing(t, secretB).UserHash("wx", "o") {
		t.Error("the hash does not depend on the key")
	}
	if got := ring.UserHash("wx1234567890abcdef", "oAAAAAAAAAAAAAAAAAAAAAAAAAAA"); len(got) != 16 ||
		strings.Contains(got, "oAAAAAAAAAAAAAAAAAAAAAAAAAAA") {
		t.Errorf("hash %q", got)
	}
}

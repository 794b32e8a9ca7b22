package ticket

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/key"
)

func newKey(t testing.TB, seed byte) key.Key {
	t.Helper()
	secret := make([]byte, key.Length)
	for i := range secret {
		secret[i] = seed + byte(i)
	}
	key, err := key.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRing(t testing.TB, keys ...key.Key) *key.Set {
	t.Helper()
	ring, err := key.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// Somebody who has a text of one kind presents it as another kind, at another
// host of the same gateway, or under another cookie's name (B18). Every pair is
// tried; only a text in its own place opens.
func TestB18SealedTextsOpenInTheirOwnPlaceOnly(t *testing.T) {
	ring := newRing(t, newKey(t, 1))
	type use struct {
		Purpose
		Place
	}
	var uses []use
	for _, purpose := range []Purpose{State, WebView, Signature, Scan} {
		for _, host := range []string{"example.com", "example.com:8443", "other.example.com", ""} {
			for _, name := range []string{"__Host-wechat_session_state_01234567", "wechat_session_state_01234567", ""} {
				uses = append(uses, use{purpose, Place{host, name}})
			}
		}
	}
	for _, made := range uses {
		text, err := Seal(ring, made.Purpose, made.Place, []byte("data"))
		if err != nil {
			t.Fatal(err)
		}
		for _, tried := range uses {
			data, err := Open(ring, tried.Purpose, tried.Place, text)
			switch {
			case made == tried && (err != nil || string(data) != "data"):
				t.Errorf("%v does not open in its own place: %v", made, err)
			case made != tried && !errors.Is(err, ErrOpen):
				t.Errorf("%v opens as %v: %q, %v", made, tried, data, err)
			}
		}
	}
}

func TestB18DroppedKeyOpensNothing(t *testing.T) {
	old, current := newKey(t, 1), newKey(t, 2)
	place := Place{"example.com", "cookie"}
	before := newRing(t, old)
	text, err := Seal(before, State, place, []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	if data, err := Open(newRing(t, current, old), State, place, text); err != nil || string(data) != "data" {
		t.Errorf("a key that verifies does not open: %v", err)
	}
	if _, err := Open(newRing(t, current), State, place, text); !errors.Is(err, ErrOpen) {
		t.Errorf("a dropped key opens: %v", err)
	}
}

func TestSealedTextsShowNothingAndCannotBeChanged(t *testing.T) {
	ring := newRing(t, newKey(t, 1))
	place := Place{"example.com", "cookie"}
	data := []byte("openid-of-somebody")
	text, err := Seal(ring, WebView, place, data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Seal(ring, WebView, place, data)
	if err != nil {
		t.Fatal(err)
	}
	if text == again {
		t.Error("the same data is sealed the same twice")
	}
	if raw, err := encoding.DecodeString(text); err != nil || bytes.Contains(raw, data[:6]) {
		t.Errorf("the text shows its data: %v", err)
	}
	for i := range len(text) {
		for _, c := range "A-\n=" {
			changed := text[:i] + string(c) + text[i+1:]
			if changed == text {
				continue
			}
			if _, err := Open(ring, WebView, place, changed); !errors.Is(err, ErrOpen) {
				t.Fatalf("byte %d can be changed to %q", i, c)
			}
		}
	}
	for _, changed := range []string{"", text[1:], text + "A", text + "\n", "\r\n" + text, strings.Repeat("A", MaxText+1)} {
		if _, err := Open(ring, WebView, place, changed); !errors.Is(err, ErrOpen) {
			t.Errorf("%.60q opens", changed)
		}
	}
}

// Whatever opens is what Seal was given, in the one spelling that Seal writes.
func FuzzOpen(f *testing.F) {
	ring := newRing(f, newKey(f, 1))
	place := Place{"example.com", "cookie"}
	text, err := Seal(ring, State, place, []byte("data"))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{text, "", text[:20], strings.ToUpper(text), text + "=", strings.Repeat("A", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, tried string) {
		data, err := Open(ring, State, place, tried)
		if err == nil {
			raw, err := encoding.DecodeString(tried)
			if string(data) != "data" || err != nil || encoding.EncodeToString(raw) != tried {
				t.Errorf("%q opens: %q", tried, data)
			}
		}
		if err != nil && !errors.Is(err, ErrOpen) {
			t.Errorf("another error than ErrOpen: %v", err)
		}
	})
}

// Clients of a site that takes any host choose what is remembered of it.
func TestBoxesAreBounded(t *testing.T) {
	ring := newRing(t, newKey(t, 1))
	first, err := Seal(ring, State, Place{Host: "first.example"}, []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 * maxBoxes {
		if _, err := Seal(ring, State, Place{Host: strconv.Itoa(n)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Seal(ring, State, Place{Host: strings.Repeat("a", 1<<16)}, nil); err != nil {
		t.Fatal(err)
	}
	for of := range boxes.young {
		if len(of.host) > maxHost {
			t.Errorf("a host of %d bytes is kept", len(of.host))
		}
	}
	if young, old := len(boxes.young), len(boxes.old); young > maxBoxes || old > maxBoxes {
		t.Errorf("%d and %d boxes are kept", young, old)
	}
	if data, err := Open(ring, State, Place{Host: "first.example"}, first); err != nil || string(data) != "data" {
		t.Errorf("%q, %v", data, err)
	}
}

// In a request for http://host/path the host is a part of the whole line.
func TestBoxesKeepHostsAlone(t *testing.T) {
	const hosts, longest = 64, 1 << 20
	ring := newRing(t, newKey(t, 1))
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := inUse()
	for range 2 { // derived, and then found among the old ones
		for n := range hosts {
			line := fmt.Sprintf("%03d.example/%s", n, strings.Repeat("a", longest))
			if _, err := Seal(ring, State, Place{Host: line[:len("000.example")]}, nil); err != nil {
				t.Fatal(err)
			}
		}
		boxes.old, boxes.young = boxes.young, nil
	}
	if kept := int64(inUse()) - int64(before); kept > hosts*longest/4 {
		t.Errorf("%d KiB are kept for %d hosts", kept>>10, hosts)
	}
}

func BenchmarkSealOpen(b *testing.B) {
	ring := newRing(b, newKey(b, 1))
	place := Place{"example.com", "cookie"}
	data := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		text, err := Seal(ring, State, place, data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Open(ring, State, place, text); err != nil {
			b.Fatal(err)
		}
	}
}

package seal

import (
	"bytes"
	"errors"
	"testing"
)

func TestOnlyTheSameKeyAndContextOpen(t *testing.T) {
	box, err := New(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	other, err := New(bytes.Repeat([]byte{2}, 32))
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("session_key")
	sealed := box.Seal(text, "here")
	if bytes.Contains(sealed, text) || bytes.Equal(sealed, box.Seal(text, "here")) {
		t.Error("sealed data shows its text, or that it is the same")
	}
	if got, err := box.Open(sealed, "here"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("got %q, %v", got, err)
	}
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 1
		if _, err := box.Open(damaged, "here"); !errors.Is(err, ErrOpen) {
			t.Fatalf("byte %d can be changed", i)
		}
	}
	if _, err := box.Open(sealed, "there"); !errors.Is(err, ErrOpen) {
		t.Error("it opens in another place")
	}
	if _, err := other.Open(sealed, "here"); !errors.Is(err, ErrOpen) {
		t.Error("it opens with another key")
	}
	if _, err := New([]byte("short")); err == nil {
		t.Error("a short key is accepted")
	}
}

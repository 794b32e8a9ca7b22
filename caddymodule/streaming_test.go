package caddymodule_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
)

// Big bodies pass in both directions as they come, without being held.
func TestBigBodiesAreStreamed(t *testing.T) {
	const size = 64 << 20
	g := newGateway(t)
	token := g.login(userA)
	received := make(chan struct{})
	g.app.stream(func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 1)
		if _, err := io.ReadFull(r.Body, first); err != nil {
			t.Error(err)
		}
		close(received) // before the client has sent the rest
		hash := sha256.New()
		hash.Write(first)
		n, err := io.Copy(hash, r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Upload", fmt.Sprintf("%d %x", n+1, hash.Sum(nil)))
		if _, err := io.CopyN(w, rand.NewChaCha8([32]byte{2}), size); err != nil {
			t.Error(err)
		}
	})
	hash := sha256.New()
	body := io.TeeReader(&pausing{Reader: io.LimitReader(rand.NewChaCha8([32]byte{1}), size), after: received}, hash)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url("/upload"), io.NopCloser(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := testClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n != size {
		t.Errorf("downloaded %d bytes, %v", n, err)
	}
	if got, want := resp.Header.Get("X-Upload"), strconv.Itoa(size)+fmt.Sprintf(" %x", hash.Sum(nil)); got != want {
		t.Errorf("uploaded %s, want %s", got, want)
	}
}

// pausing sends its first bytes and no more until they were received.
type pausing struct {
	io.Reader
	after <-chan struct{}
	reads int
}

func (p *pausing) Read(b []byte) (int, error) {
	p.reads++
	switch p.reads {
	case 1:
		return p.Reader.Read(b[:1])
	case 2:
		<-p.after
	}
	return p.Reader.Read(b)
}

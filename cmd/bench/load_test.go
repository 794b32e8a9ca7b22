package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func wellFormed(t *testing.T, text string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
}

func serverClient(t *testing.T, conns int, handler http.HandlerFunc) *client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := dial(t.Context(), server.Listener.Addr().String(), conns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func TestLoadSendsEveryRequestOnceOverKeptConnections(t *testing.T) {
	var seen, connections atomic.Int64
	peers := make(chan string, 1000)
	c := serverClient(t, 4, func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		peers <- r.RemoteAddr
		if r.Header.Get("Authorization") != "Bearer abc" || r.Header.Get("X-Extra-1") == "" {
			t.Errorf("headers %v", r.Header)
		}
		_, _ = w.Write(answer)
	})
	got, err := c.run(t.Context(), inTurn(gets("/", []string{"abc"}, 2)), limit{requests: 100, body: answer})
	if err != nil || got.requests != 100 || seen.Load() != 100 || len(got.latencies) != 100 {
		t.Errorf("%d requests, %d seen, %v", got.requests, seen.Load(), err)
	}
	close(peers)
	known := make(map[string]bool)
	for peer := range peers {
		if !known[peer] {
			known[peer] = true
			connections.Add(1)
		}
	}
	if connections.Load() > 4 {
		t.Errorf("%d connections, want at most 4", connections.Load())
	}
}

func TestLoadRefusesWhatIsNotExpected(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    error
	}{
		"status": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, errStatus},
		"body":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("something else")) }, errBody},
		"chunks": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(answer)
			_ = http.NewResponseController(w).Flush()
		}, errAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			c := serverClient(t, 2, test.handler)
			if _, err := c.run(t.Context(), inTurn(gets("/", []string{""}, 0)), limit{requests: 10, body: answer}); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serverClient(t, 2, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := c.run(ctx, inTurn(gets("/", []string{""}, 0)), limit{requests: 10}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFreshRequestsRunOut(t *testing.T) {
	next := once(make([]call, 2))
	for i, want := range []bool{true, true, false, false} {
		if _, ok := next(); ok != want {
			t.Errorf("call %d: %v, want %v", i, ok, want)
		}
	}
}

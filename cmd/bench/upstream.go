package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const answerSize = 200

var answer = []byte(strings.Repeat("0123456789", answerSize/10))

// A busy stream has an event as often as answers of language models have words.
const busyRate = 100

// oneEvent is as long as a word with its JSON around it.
const oneEvent = "data: {\"id\":\"0123456789\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\n"

// upstream answers 200 bytes, at /check who the request says to be of, and elsewhere
// with a WebSocket or events.
func upstream() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(answer)
	})
	check := func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "openid=%s extra=%s", r.Header.Get("X-Openid"), r.Header.Get("X-Extra-19")) //nolint:gosec // plain text for this program
	}
	mux.HandleFunc("/check", check)
	mux.HandleFunc("/ws", webSocket)
	mux.HandleFunc("/events", eventStream(0))
	mux.HandleFunc("/busy-events", eventStream(time.Second/busyRate))
	mux.HandleFunc("/public/check", check)
	return mux
}

// webSocket is the handler of the upstream that takes every WebSocket and then waits.
func webSocket(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "no WebSocket", http.StatusBadRequest)
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	_, _ = io.Copy(io.Discard, buffered)
}

// eventStream is the handler of the upstream that sends one event and then waits, or
// sends for ever.
func eventStream(every time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
		flusher := http.NewResponseController(w)
		var again <-chan time.Time
		if every > 0 {
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			again = ticker.C
		}
		for {
			if _, err := io.WriteString(w, oneEvent); err != nil {
				return
			}
			if err := flusher.Flush(); err != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-again:
			}
		}
	}
}

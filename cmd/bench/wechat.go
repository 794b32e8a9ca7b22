package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// appID is that of the app that everybody logs in to.
const appID = "wx0123456789abcdef"

// again ends another code of the same user.
const again = "-again"

// fakeWeChat knows every code: each is another user, the same every time, so
// that it needs no memory of its own. It counts what connects.
type fakeWeChat struct {
	delay       atomic.Int64
	connections atomic.Int64
}

func (f *fakeWeChat) connState(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		f.connections.Add(1)
	}
}

func (f *fakeWeChat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/sns/jscode2session":
		time.Sleep(time.Duration(f.delay.Load()))
		w.Header().Set("Content-Type", "text/plain")
		code, _, _ := strings.Cut(r.URL.Query().Get("js_code"), again)
		sum := sha256.Sum256([]byte(code))
		id := hex.EncodeToString(sum[:])
		_, _ = fmt.Fprintf(w, `{"openid":"o%s","unionid":"o%s","session_key":"%s"}`, id[:27], id[27:54], base64.StdEncoding.EncodeToString(sum[:16])) //nolint:gosec // hex and base64 for this program
	case "/delay":
		delay, err := time.ParseDuration(r.URL.Query().Get("of"))
		if err != nil || delay < 0 || delay > time.Second {
			http.Error(w, "no such delay", http.StatusBadRequest)
			return
		}
		f.delay.Store(int64(delay))
	case "/connections":
		_, _ = fmt.Fprint(w, f.connections.Load())
	default:
		http.NotFound(w, r)
	}
}

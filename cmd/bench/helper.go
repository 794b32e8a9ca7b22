package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// roleVariable tells this program, started by itself, which server to be.
const roleVariable = "CADDY_WECHAT_BENCH_ROLE"

const (
	appID      = "wx0123456789abcdef"
	answerSize = 200
)

var answer = []byte(strings.Repeat("0123456789", answerSize/10))

// serve is a helper process: it prints its address and serves until it is told
// to end or its parent is gone.
func serve(role string) error {
	handler, found := map[string]http.Handler{"upstream": upstream(), "wechat": new(fakeWeChat), "verifier": nil}[role]
	if !found {
		return errors.New("no such role")
	}
	if role == "verifier" {
		key, err := base64.StdEncoding.DecodeString(os.Getenv("BENCH_KEY"))
		if err != nil {
			return errors.New("reading key")
		}
		handler = verifier(key)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	if fake, ok := handler.(*fakeWeChat); ok {
		server.ConnState = fake.connState
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // lives as long as the process
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	fmt.Println(listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	parent := os.Getppid()
	go func() {
		for {
			select {
			case <-stop:
				_ = server.Close()
				return
			case <-time.After(time.Second):
				if os.Getppid() != parent {
					_ = server.Close()
					return
				}
			}
		}
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}

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

// verifier is what an app's developers write for forward_auth: it checks an
// HS256 token with golang-jwt and answers with headers. It knows no sessions.
func verifier(key []byte) http.Handler {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithAudience(appID), jwt.WithExpirationRequired())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims := make(jwt.MapClaims)
		if _, err := parser.ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return key, nil }); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		openID, _ := claims.GetSubject()
		w.Header()["X-Openid"] = []string{openID}
		if unionID, ok := claims["uid"].(string); ok {
			w.Header()["X-Unionid"] = []string{unionID}
		}
		w.Header()["X-Appid"] = []string{appID}
	})
}

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

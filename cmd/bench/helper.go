package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

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

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/token"
)

// tokenLifetime is the gateway's default.
const tokenLifetime = 2 * time.Hour

// logins logs n users in at the gateway, over HTTP, and returns their tokens.
func (b *bench) logins(addr string, n int) ([]string, error) {
	tokens, errs := make([]string, n), make([]error, 8)
	var wg sync.WaitGroup
	first := b.nextCode
	b.nextCode += n
	for worker := range errs {
		wg.Go(func() {
			for i := worker; i < n && errs[worker] == nil; i += len(errs) {
				tokens[i], errs[worker] = b.loginOnce(addr, fmt.Sprintf("code-%d", first+i))
			}
		})
	}
	wg.Wait()
	return tokens, firstError(errs)
}

func (b *bench) loginOnce(addr, code string) (string, error) {
	body := strings.NewReader(`{"code":"` + code + `"}`)
	req, err := http.NewRequestWithContext(b.ctx, http.MethodPost, "http://"+addr+"/wechat/login", body)
	if err != nil {
		return "", fmt.Errorf("logging in: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("logging in: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var got struct{ Token string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, 4<<10)).Decode(&got); err != nil || got.Token == "" {
		return "", fmt.Errorf("logging in: status %d without a token", resp.StatusCode)
	}
	return got.Token, nil
}

// fresh mints other tokens for the sessions of these, as renewing would: the
// gateway has never seen them, so no cache knows them. No two are the same, in
// the whole run.
func (b *bench) fresh(tokens []string, n int) ([]string, error) {
	if b.began.IsZero() {
		b.began = time.Now() // of all calls, or two of them would make the same
	}
	now := b.began
	known := make([]token.Claims, len(tokens))
	for i, text := range tokens {
		var err error
		if known[i], err = token.Verify(b.ring, text, time.Now(), tokenLifetime); err != nil {
			return nil, fmt.Errorf("reading own token: %w", err)
		}
	}
	out := make([]string, n)
	for i := range out {
		claims := known[b.nextToken%len(known)]
		// Another second of issue for every turn through the sessions; after
		// an hour's worth another lifetime.
		turn := b.nextToken / len(known)
		b.nextToken++
		claims.IssuedAt = now.Add(-time.Minute - time.Duration(turn%3600)*time.Second)
		claims.Expires = claims.IssuedAt.Add(tokenLifetime - time.Duration(turn/3600)*time.Second)
		var err error
		if out[i], err = token.Mint(b.ring, claims); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *bench) newLogins() source {
	var mu sync.Mutex
	return func() (call, bool) {
		mu.Lock()
		code := fmt.Sprintf("code-%d", b.nextCode)
		b.nextCode++
		mu.Unlock()
		body := `{"code":"` + code + `"}`
		return call{login(body), http.StatusOK}, true
	}
}

// openID is whom a token speaks of.
func (b *bench) openID(text string) string {
	claims, err := token.Verify(b.ring, text, time.Now(), tokenLifetime)
	if err != nil {
		return "none: " + err.Error()
	}
	return claims.User.OpenID
}

package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/keyring"
	"github.com/caddy-wechat/gateway/internal/seal"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
	"github.com/caddy-wechat/gateway/internal/token"
)

const (
	// maxScaleTokens bounds the tokens in use; they are spread over all sessions.
	maxScaleTokens   = 50_000
	maxScaleRatio    = 1.10
	maxSessionBytes  = 600.0
	snapshotFile     = "wechat/sessions.snapshot"
	snapshotPurpose  = "session snapshot"
	ownerFile        = "sessions.owner" // names the process whose snapshot counts
	snapshotOwner    = "bench"
	scaleMaxSessions = "\t\tstore memory {\n\t\t\tmax_sessions 2000000\n\t\t}\n"
)

var scaleSizes = []int{1_000, 10_000, 100_000, 1_000_000}

type scalePoint struct {
	Sessions     int     `json:"sessions"`
	CPU          float64 `json:"cpu_us"`
	Ratio        spread  `json:"ratio"` // to the fewest sessions
	HeapBytes    float64 `json:"heap_bytes_per_session"`
	Resident     int     `json:"resident_bytes"`
	TokensInUse  int     `json:"tokens_in_use"`
	againstEmpty int
}

// bySessions measures gateways with more and more sessions, in interleaved rounds.
func (b *bench) bySessions() ([]scalePoint, error) {
	sizes := scaleSizes
	if b.quick {
		sizes = sizes[:2]
	}
	empty, emptyAdmin, err := b.gatewayWithAdmin("gateway, empty", filepath.Join(b.dir, "scale-0"), scaleMaxSessions)
	if err != nil {
		return nil, err
	}
	nothing, _, err := b.memory(empty, emptyAdmin)
	if err != nil {
		return nil, err
	}
	empty.stop()
	var points []scalePoint
	var all []*variant
	for _, n := range sizes {
		v, point, err := b.seeded(n)
		if err != nil {
			return nil, fmt.Errorf("%d sessions: %w", n, err)
		}
		point.HeapBytes = float64(point.againstEmpty-nothing) / float64(n)
		points, all = append(points, point), append(all, v)
	}
	rounds, err := b.inRounds(all)
	if err != nil {
		return nil, err
	}
	for i, v := range all {
		row := summarize(v.name, all[0].name, 0, rounds)
		points[i].CPU, points[i].Ratio = row.CPU, row.Ratio
	}
	for _, v := range all {
		v.proxy.stop()
	}
	return points, nil
}

// seeded starts a gateway that takes n sessions back, as after a graceful
// restart. A million logins over HTTP would take minutes.
func (b *bench) seeded(n int) (*variant, scalePoint, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("scale-%d", n))
	tokens, err := b.seed(dir, n, oneApp)
	if err != nil {
		return nil, scalePoint{}, err
	}
	name := fmt.Sprintf("%d sessions", n)
	p, admin, err := b.gatewayWithAdmin(name, dir, scaleMaxSessions)
	if err != nil {
		return nil, scalePoint{}, err
	}
	v := &variant{name: name, proxy: p, calls: gets("/", tokens, 0)}
	v.check, v.sees = call{get("/check", tokens[len(tokens)-1], 0), http.StatusOK}, "openid="+b.openID(tokens[len(tokens)-1])+" extra="
	// Caddy may listen before the sessions are back; the newest is the last.
	if err := b.poll(p, func(context.Context) error { return b.verify(v) }); err != nil {
		return nil, scalePoint{}, err
	}
	point := scalePoint{Sessions: n, TokensInUse: len(tokens)}
	point.againstEmpty, point.Resident, err = b.memory(p, admin)
	return v, point, err
}

// oneApp says of which app a seeded session is, and whether a browser's.
func oneApp(int) (app string, browser bool) { return appID, false }

// seed writes the snapshot of n sessions, one a user, where a gateway with this
// storage finds it, and returns tokens spread over them.
func (b *bench) seed(dir string, n int, of func(i int) (app string, browser bool)) ([]string, error) {
	store := memory.New(n, time.Hour)
	defer func() { _ = store.Close() }() // never fails
	now := time.Now()
	step := max(1, n/maxScaleTokens)
	tokens := make([]string, 0, n/step)
	for i := range n {
		app, browser := of(i)
		user := identity.User{AppID: app, OpenID: name(i, "open"), UnionID: name(i, "union"), SessionID: name(i, "session")[:22]}
		login := session.Login{
			Ref:     session.Ref{AppID: user.AppID, OpenID: user.OpenID, SessionID: user.SessionID},
			UnionID: user.UnionID, SessionKey: secret.New("MDEyMzQ1Njc4OWFiY2RlZg=="), Ends: now.Add(24 * time.Hour),
		}
		if _, err := store.Put(context.Background(), login, 1); err != nil {
			return nil, err
		}
		if i%step != 0 {
			continue
		}
		text, err := token.Mint(b.ring, token.Claims{User: user, IssuedAt: now, Expires: now.Add(tokenLifetime), Browser: browser})
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, text)
	}
	data, err := store.Snapshot()
	if err != nil {
		return nil, err
	}
	keys, err := keyring.Fixed(b.ring)
	if err != nil {
		return nil, err
	}
	box, err := seal.New(keys.StoreKey(snapshotPurpose))
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, filepath.FromSlash(snapshotFile))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("making storage: %w", err)
	}
	sealed := slices.Concat([]byte(snapshotOwner+"\n"), box.Seal(data, snapshotPurpose))
	return tokens, errors.Join(os.WriteFile(file, sealed, 0o600),
		os.WriteFile(filepath.Join(filepath.Dir(file), ownerFile), []byte(snapshotOwner), 0o600))
}

// name is an identifier of the usual 28 characters, another for every number.
func name(i int, kind string) string {
	var raw [21]byte
	binary.LittleEndian.PutUint64(raw[:], uint64(i)*0x9E3779B97F4A7C15) //nolint:gosec // i is not negative
	copy(raw[8:], kind)
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

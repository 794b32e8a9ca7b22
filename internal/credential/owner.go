// Package credential owns secrets that expire, such as the access_token of an
// account: each is fetched once, renewed before its end and shared by all nodes.
package credential

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
	"github.com/caddy-wechat/gateway/internal/secret"
)

// Fetcher asks WeChat for an access_token.
type Fetcher interface {
	StableToken(ctx context.Context, account provider.Account, force bool) (wechat.AccessToken, error)
}

// Vault keeps what several gateways share, by name, and encrypts it.
type Vault interface {
	// LoadShared returns a value, nil if there is none.
	LoadShared(ctx context.Context, name string) ([]byte, error)
	SaveShared(ctx context.Context, name string, value []byte, lifetime time.Duration) error
	// ForgetShared forgets the value if refused returns true for it.
	ForgetShared(ctx context.Context, name string, refused func(value []byte) bool) error
	// TakeTurn reports whether the caller is the one to fetch; others wait for
	// what it saves, for turn at most.
	TakeTurn(ctx context.Context, name string, turn time.Duration) (bool, error)
	EndTurn(ctx context.Context, name string) error
}

// Token is an access_token with its times.
type Token struct {
	Value         secret.String
	Fetched, Ends time.Time
}

// sharedToken is a [Token] as the vault keeps it.
type sharedToken struct {
	Value   string `json:"v"`
	Fetched int64  `json:"f"` // Unix milliseconds
	Ends    int64  `json:"e"`
}

func (t Token) encode() []byte {
	data, err := json.Marshal(sharedToken{t.Value.Reveal(), t.Fetched.UnixMilli(), t.Ends.UnixMilli()})
	if err != nil {
		panic(err) // a string and integers always encode
	}
	return data
}

// decodeToken returns the zero token for damaged data.
func decodeToken(data []byte) Token {
	var shared sharedToken
	if json.Unmarshal(data, &shared) != nil || shared.Value == "" {
		return Token{}
	}
	return Token{Value: secret.New(shared.Value), Fetched: time.UnixMilli(shared.Fetched), Ends: time.UnixMilli(shared.Ends)}
}

// How tokens are renewed. WeChat hands out the same one until about five minutes
// before its end; then a new one, and both work ("getStableAccessToken").
const (
	renewBefore = 4*time.Minute + 30*time.Second
	// spare is what a token must be good for to be used at all.
	spare = 10 * time.Second
	// fetchTime bounds a fetch, waiting for another node included, and once more the
	// call of WeChat: a vault that hangs may have used up the first.
	fetchTime = 15 * time.Second
	// turnTime is how long another node waits for the one that fetches.
	turnTime = 8 * time.Second
	turnPoll = 50 * time.Millisecond
	// After failures calls fail at once for a time that doubles.
	minBackoff = time.Second
	maxBackoff = 32 * time.Second
	// quotaBackoff follows errcode 45009, whose quota is a day's.
	quotaBackoff = 10 * time.Minute
	// refusedBackoff follows a token that WeChat has just handed out and refuses.
	refusedBackoff = 10 * time.Second
)

// Tokens is what must survive a change of configuration: the tokens of all
// accounts, and when to ask again after a failure.
type Tokens struct {
	mu       sync.Mutex
	accounts map[string]*slot
}

// slot is the state of one account.
type slot struct {
	flight singleflight.Group

	mu        sync.Mutex
	token     Token
	failure   failure
	keepUntil time.Time // when a refused token may be dropped again
	// refused are the tokens that WeChat refused last. Another node, or the vault,
	// may have one for a moment longer; it is never taken from there again.
	refused  []secret.String
	refusals uint64 // how often one was, see fetch
}

// failure is the last failure of an account. It is one of the secret that was used, by
// digest: another secret may be the cure.
type failure struct {
	secret  [sha256.Size]byte
	err     error // nil: the last fetch succeeded
	backoff time.Duration
	until   time.Time
}

// maxRefused bounds slot.refused.
const maxRefused = 8

// refuse remembers a token that WeChat refuses. The caller holds mu.
func (s *slot) refuse(token secret.String) {
	s.refusals++
	if s.hasRefused(token) {
		return
	}
	s.refused = append(s.refused, token)
	s.refused = s.refused[max(len(s.refused)-maxRefused, 0):]
}

func (s *slot) hasRefused(token secret.String) bool {
	return slices.ContainsFunc(s.refused, func(refused secret.String) bool { return same(refused, token) })
}

// NewTokens returns a [Tokens] without any.
func NewTokens() *Tokens { return &Tokens{accounts: make(map[string]*slot)} }

func (t *Tokens) slot(appID string) *slot {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.accounts[appID] == nil {
		t.accounts[appID] = new(slot)
	}
	return t.accounts[appID]
}

// Fetched returns when the account's token was fetched from WeChat, by whichever
// node; false if there is none.
func (t *Tokens) Fetched(appID string) (time.Time, bool) {
	s := t.slot(appID)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token.Fetched, !s.token.Value.IsZero() && time.Now().Before(s.token.Ends)
}

// Owner owns the access_token of one account.
type Owner struct {
	account provider.Account
	fetcher Fetcher
	vault   Vault // nil: the token is this process's own
	slot    *slot
	secret  [sha256.Size]byte // digest of the account's secret
}

// NewOwner returns the owner of an account's token. vault may be nil.
func NewOwner(tokens *Tokens, account provider.Account, fetcher Fetcher, vault Vault) *Owner {
	return &Owner{
		account: account, fetcher: fetcher, vault: vault, slot: tokens.slot(account.ID),
		secret: sha256.Sum256([]byte(account.Secret.Reveal())),
	}
}

// AppID names the account of the token.
func (o *Owner) AppID() string { return o.account.ID }

// name is the token's name in the vault.
func (o *Owner) name() string { return "access_token " + o.account.ID }

// Token returns the account's access_token. Concurrent calls share one fetch; a
// token is renewed before its end, while the old one is still in use. Errors are
// those of [wechat.Client.StableToken]; after one, it is returned at once for a
// while, to owners with the same secret. After the deadline of ctx it is
// [provider.ErrTimeout].
func (o *Owner) Token(ctx context.Context) (secret.String, error) {
	now := time.Now()
	o.slot.mu.Lock()
	token, failed := o.slot.token, o.failure()
	o.slot.mu.Unlock()
	usable := !token.Value.IsZero() && now.Before(token.Ends.Add(-spare))
	if usable && now.Before(renewal(token)) {
		return token.Value, nil
	}
	if failed.err != nil && now.Before(failed.until) {
		if usable {
			return token.Value, nil
		}
		return secret.String{}, failed.err
	}
	// The fetch goes on when its first caller leaves: others wait for it, but not
	// those who have another secret.
	result := o.slot.flight.DoChan(string(o.secret[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
		defer cancel()
		return o.fetch(ctx)
	})
	if usable {
		return token.Value, nil
	}
	select {
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) { // it is WeChat that is late
			return secret.String{}, provider.ErrTimeout
		}
		return secret.String{}, ctx.Err()
	case r := <-result:
		fresh, _ := r.Val.(Token)
		return fresh.Value, r.Err
	}
}

// renewal is when a token should be replaced.
func renewal(t Token) time.Time {
	if lifetime := t.Ends.Sub(t.Fetched); lifetime < 2*renewBefore {
		return t.Fetched.Add(lifetime / 2)
	}
	return t.Ends.Add(-renewBefore)
}

// RetryAfter is how long the failure of [Owner.Token] is repeated without asking.
func (o *Owner) RetryAfter() time.Duration {
	o.slot.mu.Lock()
	defer o.slot.mu.Unlock()
	return max(time.Until(o.failure().until), time.Second)
}

// failure is the last failure, if it is one of this owner's secret. The caller holds
// the slot's mu.
func (o *Owner) failure() failure {
	if o.slot.failure.secret != o.secret {
		return failure{secret: o.secret}
	}
	return o.slot.failure
}

// Accepted says that WeChat has taken a token: should it refuse this one later, that is
// not the second refusal in a row.
func (o *Owner) Accepted(token secret.String) {
	o.slot.mu.Lock()
	defer o.slot.mu.Unlock()
	if same(o.slot.token.Value, token) {
		o.slot.keepUntil = time.Time{}
	}
}

// Drop forgets a token that WeChat refuses, and reports whether a new one may be
// asked for: not if it is the second in a row.
func (o *Owner) Drop(ctx context.Context, refused secret.String) bool {
	o.slot.mu.Lock()
	o.slot.refuse(refused)
	if !same(o.slot.token.Value, refused) {
		o.slot.mu.Unlock()
		return true // somebody has replaced it already
	}
	if time.Now().Before(o.slot.keepUntil) {
		o.slot.mu.Unlock()
		return false
	}
	o.slot.token = Token{}
	o.slot.keepUntil = time.Now().Add(refusedBackoff)
	o.slot.mu.Unlock()
	if o.vault != nil {
		// Also if its client leaves. Should it stay there, other nodes find it.
		_ = o.vault.ForgetShared(context.WithoutCancel(ctx), o.name(), func(value []byte) bool { return same(decodeToken(value).Value, refused) })
	}
	return true
}

func same(a, b secret.String) bool {
	return subtle.ConstantTimeCompare([]byte(a.Reveal()), []byte(b.Reveal())) == 1
}

// fetch gets a token from the other nodes or from WeChat.
func (o *Owner) fetch(ctx context.Context) (Token, error) {
	old := o.current()
	if token, ok := o.shared(ctx, old); ok {
		return o.saveToken(token), nil
	}
	hasTurn := true
	if o.vault != nil {
		var token Token
		if token, hasTurn = o.wait(ctx, old); !token.Value.IsZero() {
			return o.saveToken(token), nil
		}
	}
	if o.vault != nil && hasTurn {
		// Also after a failure: others would wait for nothing.
		defer func() { _ = o.vault.EndTurn(ctx, o.name()) }()
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
	defer cancel()
	now, seen := time.Now(), o.refusals()
	answer, err := o.fetcher.StableToken(asking, o.account, false)
	if err == nil && o.refusals() != seen && o.wasRefused(answer.Value) {
		// It was refused while it was on its way: WeChat may have a new one by now.
		now = time.Now()
		answer, err = o.fetcher.StableToken(asking, o.account, false)
	}
	if err != nil {
		o.fail(err)
		return Token{}, err
	}
	token := Token{Value: answer.Value, Fetched: now, Ends: now.Add(answer.ExpiresIn)}
	if same(old.Value, token.Value) {
		token.Fetched = old.Fetched
	}
	if o.vault != nil {
		_ = o.vault.SaveShared(ctx, o.name(), token.encode(), answer.ExpiresIn) // the others ask WeChat then, which is allowed
	}
	return o.saveToken(token), nil
}

func (o *Owner) current() Token {
	o.slot.mu.Lock()
	defer o.slot.mu.Unlock()
	return o.slot.token
}

// shared returns the token that another node has fetched, if it is newer.
func (o *Owner) shared(ctx context.Context, old Token) (Token, bool) {
	if o.vault == nil {
		return Token{}, false
	}
	data, err := o.vault.LoadShared(ctx, o.name())
	token := decodeToken(data)
	if err != nil || token.Value.IsZero() || o.wasRefused(token.Value) || same(token.Value, old.Value) && !token.Ends.After(old.Ends) {
		return Token{}, false
	}
	return token, time.Now().Before(renewal(token))
}

// refusals counts how often Drop was called.
func (o *Owner) refusals() uint64 {
	o.slot.mu.Lock()
	defer o.slot.mu.Unlock()
	return o.slot.refusals
}

func (o *Owner) wasRefused(token secret.String) bool {
	o.slot.mu.Lock()
	defer o.slot.mu.Unlock()
	return o.slot.hasRefused(token)
}

// wait takes the turn to fetch, or waits for what another node fetches. When the
// vault fails, or the other node does not come back, everybody asks WeChat.
func (o *Owner) wait(ctx context.Context, old Token) (token Token, hasTurn bool) {
	deadline := time.Now().Add(turnTime)
	for {
		hasTurn, err := o.vault.TakeTurn(ctx, o.name(), turnTime)
		if hasTurn || err != nil || time.Now().After(deadline) {
			return Token{}, hasTurn
		}
		select {
		case <-ctx.Done():
			return Token{}, false
		case <-time.After(turnPoll):
		}
		if token, ok := o.shared(ctx, old); ok {
			return token, false
		}
	}
}

func (o *Owner) saveToken(t Token) Token {
	o.slot.mu.Lock()
	defer o.slot.mu.Unlock()
	o.slot.token, o.slot.failure = t, failure{}
	return t
}

// fail remembers a failure, so that WeChat is asked less and less often.
func (o *Owner) fail(err error) {
	o.slot.mu.Lock()
	defer o.slot.mu.Unlock()
	failed := o.failure()
	failed.backoff = min(max(2*failed.backoff, minBackoff), maxBackoff)
	pause := failed.backoff
	if errors.Is(err, provider.ErrQuota) {
		pause = quotaBackoff
	}
	failed.err, failed.until = err, time.Now().Add(pause)
	o.slot.failure = failed
}

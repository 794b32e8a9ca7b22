package simulator

import (
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/bounded"
)

const (
	maxTokens = 1_000
	// tokenLifetime of an access_token ("获取稳定版接口调用凭据").
	tokenLifetime = 2 * time.Hour
	// overlap is how long a token stays good when the next one is out.
	overlap = 5 * time.Minute
)

// tokens are the access_tokens of all apps. An app has two families that leave
// each other alone: those of stable_token and those of token.
type tokens struct {
	mu      sync.Mutex
	live    *bounded.Table[*accessToken]
	current *bounded.Table[*accessToken] // by family and appid
}

type accessToken struct {
	appID, text string
	ends        time.Time
}

func newTokens() *tokens {
	return &tokens{
		live:    bounded.New[*accessToken](maxTokens, tokenLifetime),
		current: bounded.New[*accessToken](maxTokens, tokenLifetime),
	}
}

// stable returns the app's token and what is left of it: the same one until
// shortly before its end. A forced one ends the one before at once.
func (t *tokens) stable(appID string, force bool) (string, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, found := t.current.Get("stable " + appID)
	if found && !force {
		if left := time.Until(old.ends); left > overlap {
			return old.text, left
		}
	}
	if found && force {
		t.live.Delete(old.text)
	}
	return t.replace("stable", appID)
}

// next returns a new token. The one before lives on for the overlap.
func (t *tokens) next(appID string) (string, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, found := t.current.Get("token " + appID); found {
		if ends := time.Now().Add(overlap); ends.Before(old.ends) {
			old.ends = ends
		}
	}
	return t.replace("token", appID)
}

// replace makes a new token. The caller holds mu.
func (t *tokens) replace(family, appID string) (string, time.Duration) {
	key := family + " " + appID
	made := &accessToken{appID, randomHex(64), time.Now().Add(tokenLifetime)}
	t.live.GetOrAdd(made.text, func() *accessToken { return made })
	t.current.Delete(key)
	t.current.GetOrAdd(key, func() *accessToken { return made })
	return made.text, tokenLifetime
}

// appOf returns the AppID of a token; false if it is no token, or has ended.
func (t *tokens) appOf(text string) (appID string, live bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.live.Get(text)
	if !ok || !time.Now().Before(found.ends) {
		return "", false
	}
	return found.appID, true
}

package wechatapp

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
)

// boundedSetting is one number or time of the configuration. load sets it as JSON
// does and checks; text is its place in a Caddyfile, with %s for the value.
type boundedSetting struct {
	field       string // type and field
	least, most int64
	load        func(value int64) error
	text        string
}

func row[T int | time.Duration](field string, b option.Bounds[T], text string, load func(value T) error) boundedSetting {
	return boundedSetting{field, int64(b.Least), int64(b.Most), func(value int64) error { return load(T(value)) }, text}
}

func appWith(set func(a *App)) error {
	app := &App{Apps: []*Account{{}}, Session: new(SessionSettings), LoginLimit: new(LoginLimit)}
	set(app)
	app.setDefaults()
	return app.check()
}

func redisWith(set func(s *RedisStore)) error {
	s := &RedisStore{Addresses: []string{"localhost:6379"}}
	set(s)
	option.SetDefault(&s.Timeout, caddy.Duration(defaultRedisTimeout))
	return s.check()
}

func boundedSettings() []boundedSetting {
	return []boundedSetting{
		row("App.KeyRotation", option.KeyRotationBounds, "key_rotation %s", func(v time.Duration) error {
			return appWith(func(a *App) { a.KeyRotation = caddy.Duration(v) })
		}),
		row("App.APITimeout", option.APITimeoutBounds, "api_timeout %s", func(v time.Duration) error {
			return appWith(func(a *App) { a.APITimeout = caddy.Duration(v) })
		}),
		row("SessionSettings.TokenLifetime", option.TokenLifetimeBounds, "session {\nmax_lifetime 3650d\ntoken_lifetime %s\n}", func(v time.Duration) error {
			return appWith(func(a *App) {
				a.Session.MaxLifetime, a.Session.TokenLifetime = caddy.Duration(option.MaxLifetimeBounds.Most), caddy.Duration(v)
			})
		}),
		row("SessionSettings.MaxLifetime", option.MaxLifetimeBounds, "session {\ntoken_lifetime 1s\nmax_lifetime %s\n}", func(v time.Duration) error {
			return appWith(func(a *App) {
				a.Session.TokenLifetime, a.Session.MaxLifetime = caddy.Duration(time.Second), caddy.Duration(v)
			})
		}),
		row("SessionSettings.MaxPerUser", option.MaxPerUserBounds, "session {\nmax_per_user %s\n}", func(v int) error {
			return appWith(func(a *App) { a.Session.MaxPerUser = v })
		}),
		row("LoginLimit.Attempts", option.AttemptsBounds, "login_limit %s 1m", func(v int) error {
			return appWith(func(a *App) { a.LoginLimit.Attempts = v })
		}),
		row("LoginLimit.Window", option.WindowBounds, "login_limit 300 %s", func(v time.Duration) error {
			return appWith(func(a *App) { a.LoginLimit.Window = caddy.Duration(v) })
		}),
		row("MemoryStore.MaxSessions", option.MaxSessionsBounds, "store memory {\nmax_sessions %s\n}", func(v int) error {
			store := &MemoryStore{MaxSessions: v}
			return cmp.Or(store.open(storeEnv{}), store.Cleanup())
		}),
		row("RedisStore.DB", option.RedisDBBounds, "store redis localhost:6379 {\ndb %s\n}", func(v int) error {
			return redisWith(func(s *RedisStore) { s.DB = v })
		}),
		row("RedisStore.Timeout", option.RedisTimeoutBounds, "store redis localhost:6379 {\ntimeout %s\n}", func(v time.Duration) error {
			return redisWith(func(s *RedisStore) { s.Timeout = caddy.Duration(v) })
		}),
		row("OnFailure.Grace", option.GraceBounds, "store redis localhost:6379 {\non_failure grace %s\n}", func(v time.Duration) error {
			return redisWith(func(s *RedisStore) { s.OnFailure = &OnFailure{Grace: caddy.Duration(v)} })
		}),
		row("LoginHook.Timeout", option.HookTimeoutBounds, "on_login https://app.example.com/ {\nsecret {env.X}\ntimeout %s\n}", func(v time.Duration) error {
			_, err := (&LoginHook{URL: "https://app.example.com/", Secret: strings.Repeat("s", 32), Timeout: caddy.Duration(v)}).open()
			return err
		}),
		row("Browser.Lifetime", option.BrowserLifetimeBounds, "", func(v time.Duration) error {
			b := &Browser{Lifetime: caddy.Duration(v)}
			b.setDefaults()
			return b.check()
		}),
		row("Assertion.Lifetime", option.AssertionLifetimeBounds, "", func(v time.Duration) error {
			return (&Assertion{Header: "X-Signed", Lifetime: caddy.Duration(v)}).provision()
		}),
	}
}

// F6: what overflows fails open. A setting is within its bounds, in a Caddyfile and
// in JSON, or does not load.
func TestF6NumbersAndTimesHaveBounds(t *testing.T) {
	for _, s := range boundedSettings() {
		for value, fits := range map[int64]bool{
			s.least: true, s.most: true, s.least - 1: false, s.most + 1: false,
			-1: false, math.MinInt64: false, math.MaxInt64: false, math.MaxInt32 + 1: s.most > math.MaxInt32+1 && s.least <= math.MaxInt32,
		} {
			if value == 0 {
				continue // that is the default
			}
			if err := s.load(value); (err == nil) != fits {
				t.Errorf("%s as JSON, %d: %v", s.field, value, err)
			}
			if s.text == "" {
				continue
			}
			text := fmt.Sprint(value)
			if strings.Contains(reflectedType(s.field), "Duration") {
				text = time.Duration(value).String()
			}
			tokens, err := caddyfile.Tokenize(fmt.Appendf(nil, "wechat {\n%s\n"+s.text+"\n}", oneApp, text), "Caddyfile")
			if err != nil {
				t.Fatal(err)
			}
			if err := new(App).UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); (err == nil) != fits {
				t.Errorf("%s in a Caddyfile, %s: %v", s.field, text, err)
			}
		}
	}
}

// configured are the types that a configuration is read into.
var configured = []any{
	App{},
	Account{},
	SessionSettings{},
	LoginLimit{},
	LoginHook{},
	MemoryStore{},
	RedisStore{},
	RedisTLS{},
	OnFailure{},
	Handler{},
	Browser{},
	Assertion{},
	Selection{},
	Headers{},
	TokenCarrier{},
	API{},
}

func numeric(t reflect.Type) bool {
	return t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64 && t.Kind() != reflect.Uint8
}

func reflectedType(field string) string {
	for _, value := range configured {
		kind := reflect.TypeOf(value)
		for f := range kind.Fields() {
			if kind.Name()+"."+f.Name == field {
				return f.Type.Name()
			}
		}
	}
	return ""
}

// A number that is added to the configuration gets a row above, and so bounds.
func TestF6EveryNumberHasARow(t *testing.T) {
	var rows []string
	for _, s := range boundedSettings() {
		rows = append(rows, s.field)
	}
	seen := 0
	for _, value := range configured {
		kind := reflect.TypeOf(value)
		for f := range kind.Fields() {
			if f.Tag.Get("json") == "" {
				continue
			}
			inner := f.Type
			for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && !slices.ContainsFunc(configured, func(c any) bool { return reflect.TypeOf(c) == inner }) {
				t.Errorf("%s.%s: %s is not among the types of the configuration", kind.Name(), f.Name, inner)
			}
			if !numeric(inner) {
				continue
			}
			seen++
			if name := kind.Name() + "." + f.Name; !slices.Contains(rows, name) {
				t.Errorf("%s has no bounds in the table", name)
			}
		}
	}
	if seen != len(rows) {
		t.Errorf("%d numbers, %d rows", seen, len(rows))
	}
}

// F6: a denial counts as long as it says, or is refused. An answer that cannot be
// encoded is no 200.
func TestF6DenialsUntilFarAway(t *testing.T) {
	g := newGateway(t, withAdmin)
	deny := func(until string) (int, string) {
		return g.operate(http.MethodPost, "/wechat/users/deny", strings.Replace(targetA, "}", `,"until":`+until+"}", 1))
	}
	for _, until := range []string{`"2262-04-12T00:00:00Z"`, `"2318-01-01T00:00:00+08:00"`, `"9999-12-31T23:59:59Z"`, "253402300799", "9223372037"} {
		if status, answer := deny(until); status != http.StatusOK || !strings.Contains(answer, `"denied_until"`) {
			t.Errorf("until %s: %d %s", until, status, answer)
		}
		code := freshCode()
		g.wechat.AddCode(code, userA)
		resp, answer := g.post("/wechat/login", `{"code":"`+code+`"}`)
		wantCode(t, "denied until "+until, resp.StatusCode, answer, "user_blocked", http.StatusForbidden)
		if status, answer := g.operate(http.MethodPost, "/wechat/users/allow", targetA); status != http.StatusOK {
			t.Errorf("%d %s", status, answer)
		}
	}
	for _, until := range []string{
		"253402300800", "1000000000000000000", "9223372036854775807", "9223372036854775808", "1e18", "1e400", "-1", "-9223372036854775808", "0", "1",
		`"9999-12-31T23:59:59-12:00"`, `"10000-01-01T00:00:00Z"`, `"0000-01-01T00:00:00Z"`, `"-0001-01-01T00:00:00Z"`, `null`, `"2562047h"`,
	} {
		if status, answer := deny(until); status != http.StatusBadRequest {
			t.Errorf("until %s: %d %s", until, status, answer)
		}
	}
	g.wantToken(g.login(userA), "", http.StatusOK) // a denial that was refused does not count
	if err := answerAdmin(httptest.NewRecorder(), http.StatusOK, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
		t.Error("a time that JSON cannot have is answered with 200")
	}
}

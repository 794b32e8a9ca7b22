package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/gateway/caddymodule/api"
	"github.com/caddy-wechat/gateway/caddymodule/auth"
	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/caddymodule/stores"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
)

// boundedSetting is one number or time of the configuration. wechat and site are its
// places in JSON, text is its place in a Caddyfile, each with %v for the value.
type boundedSetting struct {
	field       string // type and field
	least, most int64
	wechat      string // among the settings of wechat
	site        string // among those of wechat_auth
	text        string
}

func bounded[T int | time.Duration](field string, b option.Bounds[T], wechat, site, text string) boundedSetting {
	return boundedSetting{field, int64(b.Least), int64(b.Most), wechat, site, text}
}

// load does what loading the setting as JSON does.
func (s boundedSetting) load(t *testing.T, value int64) error {
	t.Helper()
	fill := func(text string) string { return strings.ReplaceAll(text, "%v", fmt.Sprint(value)) }
	var config caddy.Config
	text := `{"admin":{"disabled":true},"storage":{"module":"file_system","root":` + string(mustJSON(t, t.TempDir())) + `},"apps":{
		"wechat":{"app":[{"appid":"` + testApp + `","secret":"` + testSecret + `"}]` + fill(s.wechat) + `},
		"http":{"servers":{"a":{"listen":["127.0.0.1:0"],"routes":[{"handle":[{"handler":"wechat_auth"` + fill(s.site) + `}]}]}}}}}`
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return caddy.Validate(&config)
}

func boundedSettings() []boundedSetting {
	const redis = `,"store":{"module":"redis","addresses":["127.0.0.1:1"],`
	return []boundedSetting{
		bounded("App.KeyRotation", option.KeyRotationBounds, `,"key_rotation":%v`, "", "key_rotation %v"),
		bounded("App.APITimeout", option.APITimeoutBounds, `,"api_timeout":%v`, "", "api_timeout %v"),
		bounded("SessionSettings.TokenLifetime", option.TokenLifetimeBounds, `,"session":{"max_lifetime":"3650d","token_lifetime":%v}`, "",
			"session {\nmax_lifetime 3650d\ntoken_lifetime %v\n}"),
		bounded("SessionSettings.MaxLifetime", option.MaxLifetimeBounds, `,"session":{"token_lifetime":"1s","max_lifetime":%v}`, "",
			"session {\ntoken_lifetime 1s\nmax_lifetime %v\n}"),
		bounded("SessionSettings.MaxPerUser", option.MaxPerUserBounds, `,"session":{"max_per_user":%v}`, "", "session {\nmax_per_user %v\n}"),
		bounded("LoginLimit.Attempts", option.AttemptsBounds, `,"login_limit":{"attempts":%v}`, "", "login_limit %v 1m"),
		bounded("LoginLimit.Window", option.WindowBounds, `,"login_limit":{"window":%v}`, "", "login_limit 300 %v"),
		bounded("MemoryStore.MaxSessions", option.MaxSessionsBounds, `,"store":{"module":"memory","max_sessions":%v}`, "", "store memory {\nmax_sessions %v\n}"),
		bounded("RedisStore.DB", option.RedisDBBounds, redis+`"on_failure":{"grace":"5m"},"db":%v}`, "", "store redis localhost:6379 {\ndb %v\n}"),
		bounded("RedisStore.Timeout", option.RedisTimeoutBounds, redis+`"on_failure":{"grace":"5m"},"timeout":%v}`, "", "store redis localhost:6379 {\ntimeout %v\n}"),
		bounded("OnFailure.Grace", option.GraceBounds, redis+`"on_failure":{"grace":%v}}`, "", "store redis localhost:6379 {\non_failure grace %v\n}"),
		bounded("LoginHook.Timeout", option.HookTimeoutBounds, `,"on_login":{"url":"https://app.example.com/","secret":"`+strings.Repeat("s", 32)+`","timeout":%v}`, "",
			"on_login https://app.example.com/ {\nsecret {env.X}\ntimeout %v\n}"),
		bounded("Browser.Lifetime", option.BrowserLifetimeBounds, `,"session":{"max_lifetime":"3650d"}`, `,"browser":{"lifetime":"%vns"}`, ""),
		bounded("Assertion.Lifetime", option.AssertionLifetimeBounds, "", `,"assertion":{"header":"X-Signed","lifetime":"%vns"}`, ""),
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
			if err := s.load(t, value); (err == nil) != fits {
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
			if err := new(wechatapp.App).UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); (err == nil) != fits {
				t.Errorf("%s in a Caddyfile, %s: %v", s.field, text, err)
			}
		}
	}
}

// configured are the types that a configuration is read into.
var configured = []any{
	wechatapp.App{},
	wechatapp.Account{},
	wechatapp.SessionSettings{},
	wechatapp.LoginLimit{},
	wechatapp.LoginHook{},
	stores.MemoryStore{},
	stores.RedisStore{},
	stores.RedisTLS{},
	stores.OnFailure{},
	auth.Handler{},
	auth.Browser{},
	auth.Scan{},
	auth.Assertion{},
	auth.Selection{},
	auth.Headers{},
	auth.TokenCarrier{},
	api.API{},
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
}

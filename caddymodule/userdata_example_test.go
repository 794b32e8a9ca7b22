package caddymodule_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	_ "github.com/caddy-wechat/gateway/caddymodule/simulator" // the example has one
)

// shopExample is docs/user-data: the gateway, a simulated WeChat and an app that keeps
// its users by number.
type shopExample struct {
	t                              *testing.T
	gateway, api, simulator, admin string
	moved                          *strings.Replacer // from the addresses of the page to those of the test
}

func startShop(t *testing.T) *shopExample {
	t.Helper()
	python := tool(t, "python3")
	app := freeAddr(t)
	s := &shopExample{t: t, gateway: freeAddr(t), api: freeAddr(t), simulator: freeAddr(t), admin: freeAddr(t)}
	port := func(addr string) string {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		return ":" + port
	}
	s.moved = strings.NewReplacer(":8080", port(s.gateway), ":8090", port(s.api), ":9080", port(s.simulator), ":9081", port(app),
		"admin off", "admin "+s.admin+"\nstorage file_system "+t.TempDir(), "localhost", "127.0.0.1")
	text, err := os.ReadFile("../docs/user-data/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	startSample(t, app, python, []string{"../docs/user-data/shop.py"}, []string{"GATEWAY=http://" + s.api})
	if err := load(s.moved.Replace(string(text))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// send returns what an address of the example answers.
func (s *shopExample) send(method, url, token, body string, headers ...string) (int, map[string]any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header[name] = append(req.Header[name], value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(raw, &answer); err != nil {
		s.t.Fatalf("%s %s: %d %s", method, url, resp.StatusCode, raw)
	}
	return resp.StatusCode, answer
}

func (s *shopExample) login(user string) (token string) {
	s.t.Helper()
	_, code := s.send(http.MethodPost, s.simulator+"/simulator/code?user="+user, "", "")
	_, grant := s.send(http.MethodPost, s.gateway+"/wechat/login", "", fmt.Sprintf(`{"code":%q}`, code["code"]))
	token, _ = grant["token"].(string)
	if token == "" {
		s.t.Fatalf("login: %v", grant)
	}
	return token
}

func (s *shopExample) steps(user string) string {
	s.t.Helper()
	_, data := s.send(
		http.MethodPost, s.simulator+"/simulator/encrypted-data", "",
		`{"appid":"`+testApp+`","user":"`+user+`","data":{"stepInfoList":[{"step":5}]}}`,
	)
	return fmt.Sprintf(`{"encrypted_data":%q,"iv":%q}`, data["encryptedData"], data["iv"])
}

// The commands of docs/user-data.md print what the page says: a phone number, run steps
// and a payment, from the tap to /xpay/.
func TestDocumentedUserDataWorks(t *testing.T) {
	tool(t, "curl")
	page, err := os.ReadFile("../docs/user-data.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s).*```sh\n(.*?)```.*?It prints:\n\n```text\n(.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatal("the page has no commands with what they print")
	}
	s := startShop(t)
	out, err := exec.CommandContext(t.Context(), "sh", "-euc", s.moved.Replace(string(found[1]))).CombinedOutput()
	if err != nil || string(out) != string(found[2]) {
		t.Errorf("%v\n%s\nwant\n%s", err, out, found[2])
	}
}

// sameMembers wants the members of a text in another, in any order, with their values
// where these have no ellipsis.
func sameMembers(want, got string) bool {
	members := regexp.MustCompile(`"\w+":("[^"…<]*"|\d+)?`).FindAllString(want, -1)
	return len(members) > 0 && !slices.ContainsFunc(members, func(member string) bool { return !strings.Contains(got, member) })
}

// The requests that docs/user-data.md shows one by one are answered as it says, with
// what a user has in place of the ellipses.
func TestDocumentedUserDataRequestsAreAnswered(t *testing.T) {
	tool(t, "curl")
	s := startShop(t)
	openID := openIDOf(t, s.login("alice"))
	_, phone := s.send(http.MethodPost, s.simulator+"/simulator/phone-code?user=alice&appid="+testApp, "", "")
	filled := strings.NewReplacer(`"openid":"o…"`, `"openid":"`+openID+`"`, `X-WeChat-OpenID: o…`, `X-WeChat-OpenID: `+openID,
		`"encrypted_data":"…","iv":"…"`, strings.Trim(s.steps("alice"), "{}"), `"code":"…"`, fmt.Sprintf(`"code":%q`, phone["code"]))
	sent := 0
	for _, b := range blocksOf(t, "docs/user-data.md") {
		if !strings.Contains(b.text, "curl -s http://127.0.0.1:8090/") {
			continue
		}
		lines := strings.Split(strings.TrimSuffix(b.text, "\n"), "\n")
		for i, line := range lines {
			line = strings.TrimPrefix(line, "$ ")
			if !strings.HasPrefix(line, "curl ") {
				continue
			}
			sent++
			want := `{"errcode":0,"errmsg":"ok"}`
			if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "{") {
				want = lines[i+1]
			}
			line = filled.Replace(line)
			if paid := regexp.MustCompile(`8090(/xpay/\w+)\?pay_sig=….* -d '(.*)'`).FindStringSubmatch(line); paid != nil {
				// The app makes this one, with the App Key of virtual payment.
				mac := hmac.New(sha256.New, []byte("simulated-app-key"))
				mac.Write([]byte(paid[1] + "&" + paid[2]))
				line = strings.Replace(line, "pay_sig=…", "pay_sig="+hex.EncodeToString(mac.Sum(nil)), 1)
			}
			out, err := exec.CommandContext(t.Context(), "sh", "-euc", s.moved.Replace(line)).CombinedOutput()
			if err != nil || !sameMembers(want, string(out)) {
				t.Errorf("%v: %s\nprints %s (%v), and the page says %s", b, line, out, err, want)
			}
		}
	}
	if sent != 5 {
		t.Errorf("%d requests, want 5", sent)
	}
}

// An app that keeps its users by number, unmodified, sees each user by the number that
// it gave him, and by no other.
func TestAppThatKeepsUsersByNumber(t *testing.T) {
	s := startShop(t)
	alice, bob := s.login("alice"), s.login("bob")
	me := func(token string, headers ...string) any {
		t.Helper()
		status, answer := s.send(http.MethodGet, s.gateway+"/me", token, "", headers...)
		if status != http.StatusOK {
			t.Fatalf("%d %v", status, answer)
		}
		return answer["user"]
	}
	forged := []string{"X-WeChat-User-ID: 2", "X_WeChat_User_ID: 2", "x-wechat.user-id: 2"}
	if a, b, again := me(alice, forged...), me(bob), me(s.login("alice")); a != 1.0 || b != 2.0 || again != 1.0 {
		t.Errorf("alice is %v, then %v, bob %v", a, again, b)
	}
	if status, answer := s.send(http.MethodGet, s.gateway+"/me", "", "", forged...); status != http.StatusUnauthorized ||
		answer["error"] != "login_required" {
		t.Errorf("nobody: %d %v", status, answer)
	}
	// Data of before a login counts for a while; of two before, or of somebody else, not.
	old := s.steps("alice")
	if status, answer := s.send(http.MethodPost, s.gateway+"/steps", bob, old); status != http.StatusConflict ||
		answer["error"] != "session_key_stale" {
		t.Errorf("alice's steps for bob: %d %v", status, answer)
	}
	alice = s.login("alice")
	if status, answer := s.send(http.MethodPost, s.gateway+"/steps", alice, old); status != http.StatusOK || answer["steps"] != 5.0 {
		t.Errorf("after a login: %d %v", status, answer)
	}
	alice = s.login("alice")
	if status, answer := s.send(http.MethodPost, s.gateway+"/steps", alice, old); status != http.StatusConflict ||
		answer["error"] != "session_key_stale" {
		t.Errorf("after two: %d %v", status, answer)
	}
	if status, answer := s.send(http.MethodPost, s.gateway+"/steps", alice, s.steps("alice")); status != http.StatusOK {
		t.Errorf("anew: %d %v", status, answer)
	}
	// A phone code belongs to one user, once.
	_, code := s.send(http.MethodPost, s.simulator+"/simulator/phone-code?user=alice&appid="+testApp, "", "")
	body := fmt.Sprintf(`{"code":%q}`, code["code"])
	for _, c := range []struct {
		token string
		want  int
	}{{bob, 400}, {alice, 200}, {alice, 400}} {
		if status, answer := s.send(http.MethodPost, s.gateway+"/phone", c.token, body); status != c.want {
			t.Errorf("phone: %d %v, want %d", status, answer, c.want)
		}
	}
	if status, answer := s.send(http.MethodPost, s.gateway+"/spend", bob, `{"coins":1,"item":"hat"}`); status != http.StatusPaymentRequired {
		t.Errorf("without coins: %d %v", status, answer)
	}
	// A key that WeChat resets stays in the gateway, and in use.
	openID := openIDOf(t, alice)
	reset, answer := s.send(http.MethodGet, s.api+"/wxa/resetusersessionkey", "", "", "X-WeChat-OpenID: "+openID)
	if _, leaked := answer["session_key"]; reset != http.StatusOK || answer["errcode"] != 0.0 || leaked {
		t.Errorf("reset: %d %v", reset, answer)
	}
	if _, answer = s.send(http.MethodGet, s.api+"/wxa/checksession", "", "", "X-WeChat-OpenID: "+openID); answer["errcode"] != 0.0 {
		t.Errorf("after a reset: %v", answer)
	}
	if status, answer := s.send(http.MethodPost, s.gateway+"/steps", alice, s.steps("alice")); status != http.StatusOK {
		t.Errorf("after a reset: %d %v", status, answer)
	}
	const pairs = `{"kv_list":[{"key":"score","value":"7"}]}`
	if _, answer = s.send(http.MethodPost, s.api+"/wxa/set_user_storage", "", pairs, "X-WeChat-OpenID: "+openID); answer["errcode"] != 0.0 {
		t.Errorf("user storage: %v", answer)
	}
	if _, answer = s.send(http.MethodGet, s.simulator+"/simulator/storage?user=alice", "", ""); fmt.Sprint(answer["KVDataList"]) != "[map[key:score value:7]]" {
		t.Errorf("user storage: %v", answer)
	}
	// An operator gives alice the account that she had before, in all of her sessions.
	s.send(http.MethodPost, s.admin+"/wechat/users/set", "", fmt.Sprintf(`{"appid":%q,"openid":%q,"user_id":"2"}`, testApp, openID))
	if got := me(alice); got != 2.0 {
		t.Errorf("after a change alice is %v", got)
	}
}

// openIDOf reads a token, as its owner's app would not.
func openIDOf(t *testing.T, token string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Sub string }
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Sub
}

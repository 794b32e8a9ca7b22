package caddymodule_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

const (
	firstKey  = "MDEyMzQ1Njc4OWFiY2RlZg=="
	secondKey = "ZmVkY2JhOTg3NjU0MzIxMA=="
)

// encryptFor encrypts as WeChat does.
func encryptFor(t *testing.T, key, plain string) (data, iv string) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		t.Fatal(err)
	}
	vector := bytes.Repeat([]byte{9}, aes.BlockSize)
	n := aes.BlockSize - len(plain)%aes.BlockSize
	padded := append([]byte(plain), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, vector).CryptBlocks(padded, padded)
	return base64.StdEncoding.EncodeToString(padded), base64.StdEncoding.EncodeToString(vector)
}

func watermarked(appID string, at time.Time) string {
	return fmt.Sprintf(`{"stepInfoList":[1,2],"watermark":{"timestamp":%d,"appid":%q}}`, at.Unix(), appID)
}

func hmacHex(key, message string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	return hex.EncodeToString(mac.Sum(nil))
}

// userAPI is a gateway with a site for logins and, below /unused, none; the user has
// logged in at a second site.
func userAPI(t *testing.T) (*gatewayTest, *openAPI, func(key string)) {
	t.Helper()
	login := freeAddr(t)
	g, api := newAPI(t, "wechat_api", func(g *gatewayTest) {
		g.sites = "http://" + login + " {\nwechat_auth\nreverse_proxy " + g.app.addr() + "\n}"
	})
	return g, api, func(key string) {
		t.Helper()
		code := freshCode()
		g.wechat.AddCode(code, wechattest.User{OpenID: openIDA, SessionKey: key})
		resp, err := http.Post("http://"+login+"/wechat/login", "application/json", strings.NewReader(`{"code":"`+code+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
			t.Fatalf("login: %d %s", resp.StatusCode, body)
		}
	}
}

// K7: decryption is for apps, and whatever is wrong looks the same.
func TestK7Decrypt(t *testing.T) {
	g, _, login := userAPI(t)
	decrypt := func(openID, data, iv string) (int, string) {
		t.Helper()
		body, _ := json.Marshal(map[string]string{"openid": openID, "encrypted_data": data, "iv": iv})
		resp, reply := g.post("/gateway/decrypt", string(body))
		if resp.Header.Get("X-Openapi-Seqid") == "" || strings.Contains(reply, firstKey) || strings.Contains(reply, secondKey) {
			t.Errorf("reply %v %s", resp.Header, reply)
		}
		return resp.StatusCode, reply
	}
	data, iv := encryptFor(t, firstKey, watermarked(testApp, time.Now()))
	if status, reply := decrypt(openIDA, data, iv); status != http.StatusNotFound || !strings.Contains(reply, answer.CodeNoSession) {
		t.Errorf("before the login: %d %s", status, reply)
	}
	login(firstKey)
	if status, reply := decrypt(openIDA, data, iv); status != http.StatusOK || !strings.Contains(reply, `{"data":{"stepInfoList":[1,2],`) {
		t.Errorf("decrypted: %d %s", status, reply)
	}
	login(secondKey) // the key before still counts for a while
	if status, reply := decrypt(openIDA, data, iv); status != http.StatusOK {
		t.Errorf("with the key before: %d %s", status, reply)
	}
	want := ""
	foreign, foreignIV := encryptFor(t, secondKey, watermarked(otherApp, time.Now()))
	old, oldIV := encryptFor(t, secondKey, watermarked(testApp, time.Now().Add(-11*time.Minute)))
	other, otherIV := encryptFor(t, "YWFhYWFhYWFhYWFhYWFhYQ==", watermarked(testApp, time.Now()))
	for name, c := range map[string][2]string{
		"foreign": {foreign, foreignIV}, "old": {old, oldIV}, "another key": {other, otherIV}, "no base64": {"?", iv}, "no iv": {data, "AAAA"},
		"cut": {data[:len(data)-4], iv}, "another iv": {other, iv},
	} {
		status, reply := decrypt(openIDA, c[0], c[1])
		if want == "" {
			want = reply
		}
		if status != http.StatusConflict || !strings.Contains(reply, answer.CodeSessionKeyStale) || reply != want {
			t.Errorf("%s: %d %s", name, status, reply)
		}
	}
	for name, body := range map[string]string{
		"no openid":  `{"encrypted_data":"x","iv":"y"}`,
		"bad openid": `{"openid":"o/x","encrypted_data":"x","iv":"y"}`,
		"number":     `{"openid":"` + openIDA + `","encrypted_data":1,"iv":"y"}`,
		"more":       `{"openid":"` + openIDA + `","encrypted_data":"x","iv":"y","session_key":"z"}`,
		"no JSON":    `openid=` + openIDA,
	} {
		if resp, reply := g.post("/gateway/decrypt", body); resp.StatusCode != http.StatusBadRequest || !strings.Contains(reply, answer.CodeInvalidRequest) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, reply)
		}
	}
	if resp, reply := g.post("/gateway/decrypt", `{"openid":"`+openIDA+`","appid":"`+otherApp+`","encrypted_data":"x","iv":"y"}`); resp.StatusCode != http.StatusBadRequest || !strings.Contains(reply, answer.CodeUnknownApp) {
		t.Errorf("another app: %d %s", resp.StatusCode, reply)
	}
	if resp, _ := g.post("/gateway/decrypt", `{"openid":"`+strings.Repeat("x", 70<<10)+`"}`); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a long body: %d", resp.StatusCode)
	}
	// 10 MB are refused before they have come.
	if reply := g.raw("POST /gateway/decrypt HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 10485760\r\n\r\n" +
		`{"openid":"` + openIDA + `","encrypted_data":"` + strings.Repeat("A", 128<<10)); !strings.HasPrefix(reply, "HTTP/1.1 413 ") {
		t.Errorf("10 MB: %.100s", reply)
	}
	if resp, _ := g.do(http.MethodGet, "/gateway/decrypt", ""); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", resp.StatusCode)
	}
	limited := false
	for range 70 {
		status, _ := decrypt(openIDA, data, "AAAA")
		limited = limited || status == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("70 calls about one user at once are not limited")
	}
	if status, _ := decrypt(openIDB, data, iv); status != http.StatusNotFound {
		t.Errorf("another user is limited, too: %d", status)
	}
}

// K16: the empty text is not signed, which is the signature of calls that hand out keys.
func TestK16Signature(t *testing.T) {
	g, _, login := userAPI(t)
	login(firstKey)
	sign := func(data string) (int, string) {
		t.Helper()
		body, _ := json.Marshal(map[string]string{"openid": openIDA, "data": data})
		resp, reply := g.post("/gateway/signature", string(body))
		return resp.StatusCode, reply
	}
	const message = `{"offerId":"1","buyQuantity":1}`
	if status, reply := sign(message); status != http.StatusOK || strings.TrimSpace(reply) != `{"signature":"`+hmacHex(firstKey, message)+`"}` {
		t.Errorf("%d %s", status, reply)
	}
	for _, data := range []string{"", strings.Repeat("x", 4097)} {
		if status, reply := sign(data); status != http.StatusBadRequest || !strings.Contains(reply, answer.CodeInvalidRequest) {
			t.Errorf("%d bytes: %d %s", len(data), status, reply)
		}
	}
	if resp, reply := g.post("/gateway/signature", `{"openid":"`+openIDB+`","data":"x"}`); resp.StatusCode != http.StatusNotFound || !strings.Contains(reply, answer.CodeNoSession) {
		t.Errorf("a user without a session: %d %s", resp.StatusCode, reply)
	}
}

// A call in a user's name is signed over the body as sent; the caller's own words about
// that do not count, and a new session_key stays here.
func TestK7CallsAreSignedForUsers(t *testing.T) {
	g, api, login := userAPI(t)
	login(firstKey)
	const body = `{"foo": "bar"}`
	resp, reply := g.post("/xpay/query_user_balance?openid=oFORGED&signature=x&sig_method=y&op%65nid=z&a=1", body, "X-WeChat-OpenID: "+openIDA)
	seen := api.seen()
	if resp.StatusCode != http.StatusOK || len(seen) != 1 {
		t.Fatalf("%d %s, WeChat saw %+v", resp.StatusCode, reply, seen)
	}
	query, err := url.ParseQuery(seen[0].Query)
	if err != nil || len(query["openid"]) != 1 || query.Get("openid") != openIDA || query.Get("signature") != hmacHex(firstKey, body) ||
		query.Get("sig_method") != "hmac_sha256" || query.Get("a") != "1" || seen[0].Body != body {
		t.Errorf("WeChat saw %s with %s", seen[0].Query, seen[0].Body)
	}
	for name := range seen[0].Header {
		if strings.Contains(strings.ToLower(name), "openid") {
			t.Errorf("WeChat saw the header %s", name)
		}
	}
	g.do(http.MethodGet, "/wxa/checksession", "", "X-WeChat-OpenID: "+openIDA)
	if seen = api.seen(); len(seen) != 1 || !strings.Contains(seen[0].Query, "signature="+hmacHex(firstKey, "")) {
		t.Errorf("WeChat saw %+v", seen)
	}

	api.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"errcode":0,"errmsg":"ok","openid":%q,"session_key":%q}`, openIDA, secondKey)
	})
	resp, reply = g.do(http.MethodGet, "/wxa/resetusersessionkey", "", "X-WeChat-OpenID: "+openIDA)
	if resp.StatusCode != http.StatusOK || strings.Contains(reply, "session_key") || strings.Contains(reply, secondKey) || !strings.Contains(reply, openIDA) {
		t.Errorf("%d %s", resp.StatusCode, reply)
	}
	if resp, reply = g.post("/gateway/signature", `{"openid":"`+openIDA+`","data":"x"}`); !strings.Contains(reply, hmacHex(secondKey, "x")) {
		t.Errorf("the new key is not in use: %d %s", resp.StatusCode, reply)
	}
	for name, dressed := range map[string]string{
		"escaped": `{"session\u005fkey":"` + firstKey + `"}`, "in capitals": `{"SESSION_KEY":"` + firstKey + `"}`,
		"below": `{"data":{"session_key":"` + firstKey + `"}}`, "twice": `{"session_key":"` + firstKey + `","session_key":"` + secondKey + `"}`,
		"no key": `{"session_key":"short"}`, "lines": `{"session_key":"MDEyMzQ1Njc4\nOWFiY2RlZg=="}`, "behind": `{"errcode":0} {"session_key":"` + firstKey + `"}`,
	} {
		api.answerWith(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, dressed) })
		resp, reply := g.do(http.MethodGet, "/wxa/resetusersessionkey", "", "X-WeChat-OpenID: "+openIDA)
		if strings.Contains(reply, firstKey) || strings.Contains(reply, secondKey) || name != "escaped" && resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %d %s", name, resp.StatusCode, reply)
		}
	}
	api.answerWith(nil)
	api.seen()
	for name, headers := range map[string][]string{
		"two": {"X-WeChat-OpenID: " + openIDA, "X-WeChat-OpenID: " + openIDA}, "an alias": {"X~WeChat!OpenID: " + openIDA},
		"both": {"X-WeChat-OpenID: " + openIDA, "X!WeChat~OpenID: " + openIDB}, "empty": {"X-WeChat-OpenID: "}, "a list": {"X-WeChat-OpenID: " + openIDA + "," + openIDB},
	} {
		if resp, reply := g.post("/xpay/query_user_balance", body, headers...); resp.StatusCode != http.StatusBadRequest || len(api.seen()) != 0 {
			t.Errorf("%s: %d %s", name, resp.StatusCode, reply)
		}
	}
	if resp, reply := g.post("/xpay/query_user_balance", body, "X-WeChat-OpenID: "+openIDB); resp.StatusCode != http.StatusNotFound || len(api.seen()) != 0 {
		t.Errorf("a user without a session: %d %s", resp.StatusCode, reply)
	}
	if resp, _ := g.post("/xpay/query_user_balance", strings.Repeat("x", 1<<20+1), "X-WeChat-OpenID: "+openIDA); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a long body: %d", resp.StatusCode)
	}
	long := strings.Repeat("y", 300<<10)
	g.post("/xpay/query_user_balance", long, "X-WeChat-OpenID: "+openIDA)
	if seen = api.seen(); len(seen) != 1 || seen[0].Body != long || !strings.Contains(seen[0].Query, "signature="+hmacHex(firstKey, long)) { // kept above
		t.Errorf("a long body that is signed: %d requests", len(seen))
	}
}

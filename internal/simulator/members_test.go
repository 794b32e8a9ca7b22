package simulator

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// loggedIn is a simulator with alice in the app; what she has and the token of the app.
func loggedIn(t *testing.T) (s *Site, openID, key, token string) {
	t.Helper()
	s = &Site{Server: New(), Apps: map[string]string{appID: secret}}
	alice := exchange(t, s, "js_code", newCode(t, s, "alice"))
	return s, alice["openid"].(string), alice["session_key"].(string), tokenOf(t, s, appID)
}

func tokenOf(t *testing.T, s *Site, app string) string {
	t.Helper()
	return call(
		t, s, http.MethodPost, "/cgi-bin/stable_token", `{"grant_type":"client_credential","appid":"`+app+`","secret":"`+secret+`"}`,
	)["access_token"].(string)
}

// The published example, and one that was computed.
func TestSignaturesAreWeChats(t *testing.T) {
	const key = "o0q0otL8aEzpcZL/FT9WsQ=="
	for message, want := range map[string]string{
		`{"foo":"bar"}`: "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b",
		"":              "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128",
	} {
		if got := sign(key, []byte(message)); got != want {
			t.Errorf("%q: %s", message, got)
		}
	}
}

func TestSessionKeysAreCheckedAndReset(t *testing.T) {
	s, openID, key, token := loggedIn(t)
	ask := func(path, token, openID, signature, method string) map[string]any {
		q := url.Values{"access_token": {token}, "openid": {openID}, "signature": {signature}, "sig_method": {method}}
		return call(t, s, http.MethodGet, path+"?"+q.Encode(), "")
	}
	good := sign(key, nil)
	wantErrcode(t, ask("/wxa/checksession", "x", openID, good, "hmac_sha256"), 40001)
	wantErrcode(t, ask("/wxa/checksession", token, openID, good, "md5"), 87008)
	wantErrcode(t, ask("/wxa/checksession", token, openID, sign(key, []byte("x")), "hmac_sha256"), 87009)
	wantErrcode(t, ask("/wxa/checksession", token, "oNOBODY", good, "hmac_sha256"), 87007)
	if answer := ask("/wxa/checksession", token, openID, good, "hmac_sha256"); answer["errcode"] != 0.0 {
		t.Errorf("%v", answer)
	}
	reset := ask("/wxa/resetusersessionkey", token, openID, good, "hmac_sha256")
	next, _ := reset["session_key"].(string)
	if reset["openid"] != openID || len(next) != 24 || next == key {
		t.Errorf("%v", reset)
	}
	wantErrcode(t, ask("/wxa/checksession", token, openID, good, "hmac_sha256"), 87009)
	if answer := ask("/wxa/checksession", token, openID, sign(next, nil), "hmac_sha256"); answer["errcode"] != 0.0 {
		t.Errorf("%v", answer)
	}
	again := exchange(t, s, "js_code", newCode(t, s, "alice"))
	if again["openid"] != openID || again["session_key"] == next {
		t.Errorf("%v", again)
	}
}

func TestPhoneCodesAreOfOneAppAndOneUser(t *testing.T) {
	const other = "wxfedcba0987654321"
	s, openID, _, token := loggedIn(t)
	s.Apps[other] = secret
	newPhone := func() string {
		t.Helper()
		return call(t, s, http.MethodPost, "/simulator/phone-code?user=alice&appid="+appID, "")["code"].(string)
	}
	ask := func(token, body string) map[string]any {
		return call(t, s, http.MethodPost, "/wxa/business/getuserphonenumber?access_token="+token, body)
	}
	code := newPhone()
	wantErrcode(t, ask("x", `{"code":"`+code+`"}`), 40001)
	wantErrcode(t, ask(token, "code="+code), 47001)
	wantErrcode(t, ask(token, `{"code":"`+newCode(t, s, "alice")+`"}`), 40029)
	wantErrcode(t, ask(token, `{"code":"`+code+`","openid":"oNOBODY"}`), 40029)
	wantErrcode(t, ask(tokenOf(t, s, other), `{"code":"`+code+`"}`), 40013)
	answer := ask(token, `{"code":"`+code+`","openid":"`+openID+`"}`)
	info, _ := answer["phone_info"].(map[string]any)
	if number, _ := info["phoneNumber"].(string); len(number) != 11 || info["watermark"].(map[string]any)["appid"] != appID {
		t.Errorf("%v", answer)
	}
	wantErrcode(t, ask(token, `{"code":"`+code+`"}`), 40029)
	for _, target := range []string{"?user=bob&appid=" + appID, "?user=alice", "?user=alice&appid=x"} {
		if rec := control(t, s, http.MethodPost, "/simulator/phone-code"+target, "", ""); rec.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
		}
	}
}

func TestEncryptedDataIsOfTheNewestKey(t *testing.T) {
	s, _, key, _ := loggedIn(t)
	answer := call(t, s, http.MethodPost, "/simulator/encrypted-data", `{"user":"alice","data":{"steps":[1,2]}}`)
	data, _ := base64.StdEncoding.DecodeString(answer["encryptedData"].(string))
	iv, _ := base64.StdEncoding.DecodeString(answer["iv"].(string))
	raw, _ := base64.StdEncoding.DecodeString(key)
	block, err := aes.NewCipher(raw)
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(data, data)
	plain := bytes.TrimRight(data, string(data[len(data)-1:]))
	var got struct {
		Steps     []int
		Watermark struct {
			AppID     string
			Timestamp int64
		}
	}
	if err := json.Unmarshal(plain, &got); err != nil || len(got.Steps) != 2 || got.Watermark.AppID != appID || got.Watermark.Timestamp == 0 {
		t.Errorf("%s: %v", plain, err)
	}
}

func TestUserStorageTakesSignedPairs(t *testing.T) {
	s, openID, key, token := loggedIn(t)
	set := func(path, signedAs, body string) map[string]any {
		q := url.Values{"access_token": {token}, "openid": {openID}, "signature": {sign(key, []byte(signedAs))}, "sig_method": {"hmac_sha256"}}
		return call(t, s, http.MethodPost, path+"?"+q.Encode(), body)
	}
	const pairs = `{"kv_list":[{"key":"score","value":"7"},{"key":"level","value":"2"}]}`
	wantErrcode(t, set("/wxa/set_user_storage", pairs+" ", pairs), 87009)
	for _, bad := range []string{`{"kv_list":[]}`, `{"kv_list":[{"key":"","value":"7"}]}`, `{"kv_list":[{"key":"a","value":"` + strings.Repeat("x", 1024) + `"}]}`} {
		wantErrcode(t, set("/wxa/set_user_storage", bad, bad), 87011)
	}
	if answer := set("/wxa/set_user_storage", pairs, pairs); answer["errcode"] != 0.0 {
		t.Errorf("%v", answer)
	}
	const remove = `{"key":["level"]}`
	if answer := set("/wxa/remove_user_storage", remove, remove); answer["errcode"] != 0.0 {
		t.Errorf("%v", answer)
	}
	if rec := control(t, s, http.MethodGet, "/simulator/storage?user=alice", "", ""); strings.TrimSpace(rec.Body.String()) != `{"KVDataList":[{"key":"score","value":"7"}]}` {
		t.Errorf("%s", rec.Body)
	}
}

// Coins are bought with the thumb and both signatures, once an order, and spent by the
// app in the user's name.
func TestVirtualPaymentNeedsBothSignatures(t *testing.T) {
	s, openID, key, token := loggedIn(t)
	const data = `{"offerId":"1","buyQuantity":6,"env":1,"currencyType":"CNY","outTradeNo":"order-1"}`
	buy := func(data, paySig, signature string) float64 {
		t.Helper()
		body, _ := json.Marshal(map[string]string{
			"user": "alice", "signData": data, "paySig": paySig, "signature": signature, "mode": "short_series_coin",
		})
		answer := call(t, s, http.MethodPost, "/simulator/payment", string(body))
		if code, failed := answer["errCode"].(float64); failed {
			return code
		}
		if answer["errMsg"] != "requestVirtualPayment:ok" {
			t.Errorf("%v", answer)
		}
		return 0
	}
	ours := func(data string) string { return sign(PaymentKey, []byte("requestVirtualPayment&"+data)) }
	his := func(data string) string { return sign(key, []byte(data)) }
	for name, c := range map[string]struct {
		got, want float64
	}{
		"not ours":  {buy(data, his(data), his(data)), payNotOurs},
		"not his":   {buy(data, ours(data), ours(data)), payNotSigned},
		"no number": {buy(`{"offerId":"1","buyQuantity":6,"currencyType":"CNY"}`, "", ""), payBadParameter},
		"nothing":   {buy(strings.Replace(data, "6", "0", 1), "", ""), payBadParameter},
		"no JSON":   {buy("x", "", ""), payBadParameter},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	ask := func(path, body string, change ...string) map[string]any {
		q := url.Values{"access_token": {token}, "pay_sig": {sign(PaymentKey, []byte(path+"&"+body))}, "signature": {his(body)}}
		for i := 0; i+1 < len(change); i += 2 {
			q.Set(change[i], change[i+1])
		}
		return call(t, s, http.MethodPost, path+"?"+q.Encode(), body)
	}
	who := `"openid":"` + openID + `","env":1,"user_ip":"192.0.2.7"`
	balance := func() any { return ask("/xpay/query_user_balance", "{"+who+"}")["balance"] }
	if got := balance(); got != 0.0 {
		t.Errorf("balance %v", got)
	}
	if got := buy(data, ours(data), his(data)); got != 0 {
		t.Errorf("bought: %v", got)
	}
	if got := buy(data, ours(data), his(data)); got != payRepeated {
		t.Errorf("bought again: %v", got)
	}
	spend := func(order string, amount string) map[string]any {
		return ask("/xpay/currency_pay", `{`+who+`,"amount":`+amount+`,"order_id":"`+order+`","payitem":"[]"}`)
	}
	wantErrcode(t, spend("spent-1", "7"), 268490006)
	if answer := spend("spent-1", "4"); answer["errcode"] != 0.0 || answer["balance"] != 2.0 {
		t.Errorf("%v", answer)
	}
	wantErrcode(t, spend("spent-1", "1"), 268490004)
	wantErrcode(t, spend("spent-2", "0"), 268490002)
	if got := balance(); got != 2.0 {
		t.Errorf("balance %v", got)
	}
	if answer := ask("/xpay/query_order", `{`+who+`,"order_id":"order-1"}`); answer["order"].(map[string]any)["order_fee"] != 6.0 {
		t.Errorf("%v", answer)
	}
	body := "{" + who + "}"
	wantErrcode(t, ask("/xpay/query_user_balance", body, "access_token", "x"), 40001)
	wantErrcode(t, ask("/xpay/query_user_balance", body, "pay_sig", his(body)), 268490003)
	wantErrcode(t, ask("/xpay/query_user_balance", body, "signature", his("")), 268490003)
	wantErrcode(t, ask("/xpay/query_user_balance", `{"env":1}`), 268490001)
	wantErrcode(t, ask("/xpay/query_user_balance", `{"openid":"oNOBODY"}`), 268490009)
	wantErrcode(t, ask("/xpay/query_order", `{`+who+`,"order_id":"order-9"}`), 268490002)
}

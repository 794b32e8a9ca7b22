package userdata

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
)

// WeChat's published example ("服务端获取开放数据", demo data).
const (
	vectorApp  = "wx4f4bc4dec97d474b"
	vectorKey  = "tiihtNczf5v6AKRyjwEUhQ=="
	vectorIV   = "r7BXXKkLb8qrSNn05n0qiA=="
	vectorTime = 1477314187
	vectorData = "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4l" +
		"GOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxua" +
		"cJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrX" +
		"d2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKd" +
		"YmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew=="
)

func vectorNow() time.Time { return time.Unix(vectorTime, 0) }

func TestDecryptReadsThePublishedExample(t *testing.T) {
	plain, err := Decrypt(secret.New(vectorKey), vectorApp, vectorData, vectorIV, vectorNow().Add(MaxAge))
	if err != nil {
		t.Fatal(err)
	}
	var user struct {
		OpenID  string `json:"openId"`
		UnionID string `json:"unionId"`
	}
	if err := json.Unmarshal(plain, &user); err != nil {
		t.Fatal(err)
	}
	if user.OpenID != "oGZUI0egBJY1zhBYw2KhdUfwVJJE" || user.UnionID != "ocMvos6NjeKLIBqg5Mr9QjxrP1FA" {
		t.Errorf("got %+v", user)
	}
}

// Whoever can ask for decryption and sees why it failed reads data without the key,
// a byte at a time. So a change of any bit of any part gives the one error.
func TestEveryFailureLooksTheSame(t *testing.T) {
	decode := func(text string) []byte {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	fails := func(name, key, app, data, iv string, now time.Time) {
		t.Helper()
		if _, err := Decrypt(secret.New(key), app, data, iv, now); !errors.Is(err, ErrStale) || err.Error() != ErrStale.Error() {
			t.Errorf("%s: got %v, want ErrStale and nothing else", name, err)
		}
	}
	flipped := func(data []byte, bit int) string {
		changed := bytes.Clone(data)
		changed[bit/8] ^= 1 << (bit % 8)
		return base64.StdEncoding.EncodeToString(changed)
	}
	key, data := decode(vectorKey), decode(vectorData)
	for bit := range 8 * len(key) {
		fails("key", flipped(key, bit), vectorApp, vectorData, vectorIV, vectorNow())
	}
	for bit := range 8 * len(data) {
		if bit/8 >= 16 && bit/8 < len(data)-64 {
			continue // text that the watermark does not cover can be garbled: it has no MAC
		}
		fails("data", vectorKey, vectorApp, flipped(data, bit), vectorIV, vectorNow())
	}
	now := vectorNow()
	fails("other app", vectorKey, "wx0000000000000000", vectorData, vectorIV, now)
	fails("old", vectorKey, vectorApp, vectorData, vectorIV, now.Add(MaxAge+time.Second))
	fails("from the future", vectorKey, vectorApp, vectorData, vectorIV, now.Add(-maxAhead-time.Second))
	fails("no base64", vectorKey, vectorApp, "***", vectorIV, now)
	fails("no iv", vectorKey, vectorApp, vectorData, "", now)
	fails("short iv", vectorKey, vectorApp, vectorData, "AAAA", now)
	fails("empty", vectorKey, vectorApp, "", vectorIV, now)
	fails("half a block", vectorKey, vectorApp, base64.StdEncoding.EncodeToString(data[:24]), vectorIV, now)
	fails("no key", "", vectorApp, vectorData, vectorIV, now)
	fails("long key", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)), vectorApp, vectorData, vectorIV, now)
}

func TestOnlyAWatermarkedObjectCounts(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	watermark := fmt.Sprintf(`"watermark":{"timestamp":%d,"appid":"wxa"}`, now.Unix())
	for plain, good := range map[string]bool{
		`{` + watermark + `}`:               true,
		`{"a":{"b":[1]},` + watermark + `}`: true,
		`[` + `1]`:                          false,
		`{}`:                                false,
		`{"watermark":null}`:                false,
		`{"watermark":{"appid":"wxa"}}`:     false,
		`{"watermark":{"timestamp":"1800000000","appid":"wxa"}}`:         false,
		`{"watermark":{"timestamp":9223372036854775807,"appid":"wxa"}}`:  false,
		`{"watermark":{"timestamp":-9223372036854775808,"appid":"wxa"}}`: false,
		`{` + watermark + `,"watermark":{}}`:                             false,
		`{"Watermark":{}}`:                                               false,
		`{` + watermark + `} x`:                                          false,
		"{" + watermark + ",\"a\":\"\xff\"}":                             false,
		strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40):      false,
		``: false,
	} {
		encrypted, iv := encrypt(t, vectorKey, plain)
		got, err := Decrypt(secret.New(vectorKey), "wxa", encrypted, iv, now)
		if good && (err != nil || string(got) != plain) || !good && !errors.Is(err, ErrStale) {
			t.Errorf("%q: got %q, %v", plain, got, err)
		}
	}
}

func encrypt(t *testing.T, key, plain string) (data, iv string) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		t.Fatal(err)
	}
	vector := bytes.Repeat([]byte{7}, aes.BlockSize)
	n := aes.BlockSize - len(plain)%aes.BlockSize
	padded := append([]byte(plain), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, vector).CryptBlocks(padded, padded)
	return base64.StdEncoding.EncodeToString(padded), base64.StdEncoding.EncodeToString(vector)
}

// The first is published ("用户登录态签名"), the others were computed from it.
func TestSignature(t *testing.T) {
	for _, test := range []struct{ key, message, want string }{
		{"o0q0otL8aEzpcZL/FT9WsQ==", `{"foo":"bar"}`, "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b"},
		{"o0q0otL8aEzpcZL/FT9WsQ==", "", "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"},
		{"tiihtNczf5v6AKRyjwEUhQ==", "", "7154f9f8b4b76b92f541cbf0e37d48840fa06e5e42da92a6f80168a1516a4735"},
	} {
		if got := Signature(secret.New(test.key), []byte(test.message)); got != test.want {
			t.Errorf("signature of %q: got %s, want %s", test.message, got, test.want)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	f.Add(vectorData, vectorIV)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, data, iv string) {
		plain, err := Decrypt(secret.New(vectorKey), vectorApp, data, iv, vectorNow())
		if err != nil && (!errors.Is(err, ErrStale) || plain != nil) {
			t.Fatalf("got %q, %v", plain, err)
		}
		if err == nil && !json.Valid(plain) {
			t.Fatalf("%q is not JSON", plain)
		}
	})
}

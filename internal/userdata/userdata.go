// Package userdata does what only the holder of a session_key can do: it decrypts
// what WeChat encrypted for the user's app, and signs what the user's app hands to
// WeChat. WeChat documents ("用户数据的签名验证和加解密", "用户登录态签名") say how.
package userdata

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/strictjson"
)

// ErrStale says that the data does not belong to this session_key, this account or
// this time. There is one error for every reason: a caller that could tell bad
// padding from a bad watermark could read data without the key (padding oracle).
var ErrStale = errors.New("the data cannot be read with this session_key; log in again and ask for the data afterwards")

const (
	// MaxAge is how old the watermark of decrypted data may be.
	MaxAge = 10 * time.Minute
	// maxAhead is how far WeChat's clock may be ahead of ours.
	maxAhead = time.Minute
	maxDepth = 16
	keyBytes = 16
)

// Decrypt returns the JSON object that WeChat encrypted for an account: AES-128-CBC
// with PKCS#7 padding, the key being the session_key, decoded from base64. The
// watermark inside must name the account and be at most [MaxAge] old at now. The error
// is [ErrStale].
func Decrypt(sessionKey secret.String, appID, encryptedData, iv string, now time.Time) (json.RawMessage, error) {
	key, keyErr := base64.StdEncoding.Strict().DecodeString(sessionKey.Reveal())
	vector, ivErr := base64.StdEncoding.Strict().DecodeString(iv)
	data, dataErr := base64.StdEncoding.Strict().DecodeString(encryptedData)
	if keyErr != nil || ivErr != nil || dataErr != nil ||
		len(key) != keyBytes || len(vector) != aes.BlockSize || len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, ErrStale
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, ErrStale
	}
	cipher.NewCBCDecrypter(block, vector).CryptBlocks(data, data)
	plain, ok := unpad(data)
	if !ok || !marked(plain, appID, now) {
		return nil, ErrStale
	}
	return plain, nil
}

// unpad removes PKCS#7 padding (RFC 5652 section 6.3) to whole blocks of AES.
func unpad(data []byte) ([]byte, bool) {
	n := int(data[len(data)-1])
	if n < 1 || n > aes.BlockSize {
		return nil, false
	}
	for _, b := range data[len(data)-n:] {
		if int(b) != n {
			return nil, false
		}
	}
	return data[:len(data)-n], true
}

// marked reports whether the watermark names the account and is recent.
func marked(plain []byte, appID string, now time.Time) bool {
	members, err := strictjson.Object(plain, maxDepth)
	if err != nil {
		return false
	}
	watermark, err := strictjson.Object(members["watermark"], maxDepth)
	if err != nil {
		return false
	}
	owner, ok := strictjson.String(watermark["appid"])
	if !ok || subtle.ConstantTimeCompare([]byte(owner), []byte(appID)) != 1 {
		return false
	}
	seconds, ok := strictjson.Int(watermark["timestamp"])
	// Compared as numbers: a time far away would overflow a duration.
	return ok && seconds >= now.Add(-MaxAge).Unix() && seconds <= now.Add(maxAhead).Unix()
}

// Signature returns the user's signature of a message: HMAC-SHA-256 in lower-case
// hex. The key is the session_key as text; it is not decoded from base64 here.
func Signature(sessionKey secret.String, message []byte) string {
	mac := hmac.New(sha256.New, []byte(sessionKey.Reveal()))
	mac.Write(message)
	return hex.EncodeToString(mac.Sum(nil))
}

package simulator

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// id makes an openid (per user and app) or a unionid (per user) of WeChat's
// form.
func id(parts ...string) string {
	sum := sha256.Sum256(fmt.Append(nil, parts))
	return "o" + base64.RawURLEncoding.EncodeToString(sum[:])[:27]
}

func openID(appID, name string) string { return id("openid", appID, name) }

func newSessionKey() string {
	raw := make([]byte, 16)
	rand.Read(raw) // never fails since Go 1.24
	return base64.StdEncoding.EncodeToString(raw)
}

func randomHex(n int) string {
	raw := make([]byte, n)
	rand.Read(raw) // never fails since Go 1.24
	return hex.EncodeToString(raw)
}

// Package assertion makes signed statements about who a request belongs to, for
// apps that verify instead of trusting the network in front of them.
package assertion

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-wechat/gateway/internal/bounded"
	"github.com/caddy-wechat/gateway/internal/identity"
)

const (
	// Issuer is the `iss` of every assertion.
	Issuer = "caddy-wechat"
	// Type is the `typ`; nothing else that the gateway signs shares it, so that
	// neither can be taken for the other (RFC 8725 section 3.11).
	Type = "wxgw-assertion+jwt"
	// MaxLifetime is the longest an assertion may be good.
	MaxLifetime = time.Minute
	// MinLifetime leaves room for clocks that differ.
	MinLifetime = 5 * time.Second

	// maxKept bounds the assertions that are used again, to about 40 MiB.
	maxKept = 50_000
)

// Key is a name and the 32-byte seed of an Ed25519 key (RFC 8032).
type Key struct {
	ID   string
	Seed []byte
}

// Keys are one key that signs and all whose public halves are published. They are
// immutable.
type Keys struct {
	id     string
	signer ed25519.PrivateKey
	set    []byte
}

// jwk is a public key as RFC 8037 has it.
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	ID        string `json:"kid"`
	X         string `json:"x"`
}

// NewKeys returns keys of which the first signs.
func NewKeys(keys ...Key) (*Keys, error) {
	if len(keys) == 0 {
		return nil, errors.New("no assertion key")
	}
	ring := &Keys{id: keys[0].ID}
	published := make([]jwk, 0, len(keys))
	for i, key := range keys {
		if len(key.Seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("assertion key %s has %d bytes, not %d", key.ID, len(key.Seed), ed25519.SeedSize)
		}
		private := ed25519.NewKeyFromSeed(key.Seed)
		if i == 0 {
			ring.signer = private
		}
		public := private.Public().(ed25519.PublicKey)
		published = append(published, jwk{"OKP", "Ed25519", "EdDSA", "sig", key.ID, base64.RawURLEncoding.EncodeToString(public)})
	}
	set, err := json.Marshal(map[string][]jwk{"keys": published})
	if err != nil {
		panic(err) // strings always encode
	}
	ring.set = append(set, '\n')
	return ring, nil
}

// JWKS is the set of public keys as JSON (RFC 7517 section 5). It must not be
// changed.
func (r *Keys) JWKS() []byte { return r.set }

// Minter makes assertions for one site. A session gets the same one for half of
// its lifetime, because a signature costs more than the rest of a request.
type Minter struct {
	audience string
	lifetime time.Duration
	kept     *bounded.Table[string]
}

// NewMinter returns a [Minter]. Without an audience, that of each assertion is the
// AppID of its user. The lifetime is in whole seconds.
func NewMinter(audience string, lifetime time.Duration) (*Minter, error) {
	if lifetime < MinLifetime || lifetime > MaxLifetime || lifetime%time.Second != 0 {
		return nil, fmt.Errorf("lifetime must be %s to %s, in whole seconds", MinLifetime, MaxLifetime)
	}
	return &Minter{audience: audience, lifetime: lifetime, kept: bounded.New[string](maxKept, lifetime/2)}, nil
}

// Mint returns an assertion about the user that is good for half of the lifetime
// at least. It is signed once per session and half-life, however many ask.
func (m *Minter) Mint(ring *Keys, u identity.User) string {
	text, _ := m.kept.GetOrAdd(ring.id+" "+u.SessionID+" "+u.UnionID, func() string { return m.sign(ring, u) })
	return text
}

func (m *Minter) sign(ring *Keys, u identity.User) string {
	audience := m.audience
	if audience == "" {
		audience = u.AppID
	}
	now := time.Now().Truncate(time.Second)
	claims := jwt.MapClaims{
		"iss": Issuer, "aud": audience, "sub": u.OpenID, "appid": u.AppID,
		"iat": now.Unix(), "exp": now.Add(m.lifetime).Unix(),
	}
	if u.UnionID != "" {
		claims["unionid"] = u.UnionID
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	token.Header["typ"], token.Header["kid"] = Type, ring.id
	text, err := token.SignedString(ring.signer)
	if err != nil {
		panic(err) // an Ed25519 key signs everything, and the claims are strings and numbers
	}
	return text
}

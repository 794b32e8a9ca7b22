package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

const (
	// ScanLifetime is how long a desktop waits for a Mini Program.
	ScanLifetime = 2 * time.Minute
	// scanKept is how long the store must know what became of a scan: longer than
	// its clock and that of a node are apart.
	scanKept = ScanLifetime + 30*time.Second

	sceneBytes  = 16
	sceneLength = 22
	scanNumbers = 3
)

// Scan is a desktop that waits for a Mini Program to let it in. The desktop has it,
// sealed, in a cookie; once its code is drawn the store has a copy for the other side.
type Scan struct {
	// Scene is what the Mini Program code says: 22 characters of base64url.
	Scene string `json:"scene"`
	// AppID of the Mini Program.
	AppID string `json:"app"`
	// Numbers that the approver chooses from; Right is the one that the desktop shows.
	Numbers []int `json:"numbers"`
	Right   int   `json:"right"`
	// Browser is what the desktop is, in words; Network is where it is.
	Browser string     `json:"browser"`
	Network netip.Addr `json:"network"`
	// To is where the desktop goes afterwards.
	To   string    `json:"to"`
	Made time.Time `json:"made"`
}

// NewScan begins a scan. Nothing is kept of it.
func NewScan(appID, browser, to string, client netip.Addr) Scan {
	var scene [sceneBytes]byte
	rand.Read(scene[:]) // never fails since Go 1.24
	s := Scan{
		Scene: base64.RawURLEncoding.EncodeToString(scene[:]), AppID: appID,
		Browser: browser, Network: client.Unmap().WithZone(""), To: to, Made: time.Now().Round(0),
	}
	for len(s.Numbers) < scanNumbers {
		if n := 10 + below(90); !slices.Contains(s.Numbers, n) {
			s.Numbers = append(s.Numbers, n)
		}
	}
	s.Right = s.Numbers[below(scanNumbers)]
	return s
}

func below(n int64) int {
	v, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		panic(err) // never since Go 1.24
	}
	return int(v.Int64())
}

// isScene reports whether a text has the form of a scene.
func isScene(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(text) == sceneLength && len(raw) == sceneBytes
}

// The things that the store remembers about a scan, each claimed once.
const (
	scanOffer   = "offer"   // its code was drawn; the reply is the Scan
	scanSeen    = "seen"    // by the approver that the reply names
	scanVerdict = "verdict" // the reply is a verdict
	scanTaken   = "taken"   // its desktop was logged in
)

// key names one of these among the codes of an app; no code has this key.
func (s *Scan) key(what string) session.CodeKey {
	return session.CodeKey{AppID: s.AppID, Hash: sha256.Sum256([]byte("scan\x00" + what + "\x00" + s.Scene))}
}

// scanReply is what the store keeps for a key.
func scanReply(s *Scan, value any) session.Reply {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings, numbers and times always encode
	}
	return session.Reply{Nonce: s.Scene, Body: body, Keep: scanKept}
}

// scanVerdictOf is what an approver decided. Without a user it is no.
type scanVerdictOf struct {
	OpenID    string `json:"openid,omitempty"`
	SessionID string `json:"sid,omitempty"`
}

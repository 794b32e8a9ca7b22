package option

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// positions remembers where in a Caddyfile a setting stands whose mistakes show
// only when the configuration loads, such as a placeholder without a value. JSON
// has no room for it. They are of the Caddyfile that was read last, and count only
// for a configuration with its global option: none is of another file, and a
// configuration in JSON has none.
var positions struct {
	sync.Mutex
	app      string               // the digest of the global option, once it was read
	settings map[[2]string]string // {setting, text} → ", at file:line"
	handlers map[string][]string  // digest of a wechat_auth → file:line of each
}

// ForgetPositions makes room for those of another Caddyfile.
func ForgetPositions() {
	positions.Lock()
	defer positions.Unlock()
	positions.app, positions.settings, positions.handlers = "", make(map[[2]string]string), make(map[string][]string)
}

// RememberPositionsOf says to which global option the positions belong.
func RememberPositionsOf(app any) {
	text := Digest(app)
	positions.Lock()
	defer positions.Unlock()
	positions.app = text
}

// KeepPositionsOf forgets all positions unless they are of this configuration.
// The app must be as it was read.
func KeepPositionsOf(app any) {
	text := Digest(app)
	positions.Lock()
	other := positions.app != text
	positions.Unlock()
	if other {
		ForgetPositions()
	}
}

// Digest stands for a configuration, which may have secrets in it.
func Digest(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// RememberPosition remembers placeholders and AppIDs. Secrets that are written out
// are checked at once, and must not stay here for as long as the process lives.
func RememberPosition(d *caddyfile.Dispenser, setting, text string) {
	if !literalBraces(text) && !appIDPattern.MatchString(text) {
		return
	}
	positions.Lock()
	defer positions.Unlock()
	if positions.settings == nil {
		positions.settings = make(map[[2]string]string)
	}
	positions.settings[[2]string{setting, text}] = ", at " + Here(d)
}

// RememberHandler remembers where a wechat_auth stands.
func RememberHandler(where, digest string) {
	positions.Lock()
	defer positions.Unlock()
	if positions.handlers == nil {
		positions.handlers = make(map[string][]string)
	}
	positions.handlers[digest] = append(positions.handlers[digest], where)
}

// Here is the position of the current token, with the chain of its imports.
func Here(d *caddyfile.Dispenser) string {
	return strings.TrimPrefix(d.Err("").Error(), ", at ")
}

// Position returns ", at file:line" of a setting if it is known.
func Position(setting, text string) string {
	positions.Lock()
	defer positions.Unlock()
	return positions.settings[[2]string{setting, text}]
}

// PositionsOfHandler returns file:line of each wechat_auth with the same options, which
// a digest stands for.
func PositionsOfHandler(digest string) []string {
	positions.Lock()
	defer positions.Unlock()
	return positions.handlers[digest]
}

// PositionOfHandler returns ", at file:line" of a wechat_auth if no other one can
// be meant.
func PositionOfHandler(digest string) string {
	if places := PositionsOfHandler(digest); len(places) == 1 {
		return ", at " + places[0]
	}
	return ""
}

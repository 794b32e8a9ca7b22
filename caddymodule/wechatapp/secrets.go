package wechatapp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-wechat/gateway/internal/keyring"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/token"
)

// resolve expands the placeholders of a setting. Empty and unknown ones are
// errors that name the placeholder, never its value.
func resolve(text string) (value string, literal bool, err error) {
	if text == "" {
		return "", false, errors.New("is empty")
	}
	value, err = caddy.NewReplacer().ReplaceOrErr(text, true, true)
	literal = value == text
	switch {
	case err != nil && literalBraces(text):
		return "", false, fmt.Errorf("placeholder %s is not set or empty", text)
	case err != nil:
		return "", false, errors.New("has a placeholder that is not set or empty")
	}
	if value = strings.TrimSpace(value); value == "" { // files end in a newline
		return "", false, fmt.Errorf("placeholder %s is empty", text)
	}
	return value, literal, nil
}

// literalBraces reports whether the whole text is one placeholder, so that
// naming it in an error shows nothing else.
func literalBraces(text string) bool {
	return strings.HasPrefix(text, "{") && strings.Index(text, "}") == len(text)-1
}

func resolveSecret(text string) (value secret.String, literal bool, err error) {
	plain, literal, err := resolve(text)
	return secret.New(plain), literal, err
}

// appIDPattern is wider than what WeChat hands out today (`wx` and 16 hex
// digits), which is observed and not specified.
var appIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (m *MiniProgram) appID() (string, error) { return resolveAppID(m.AppID) }

func resolveAppID(text string) (string, error) {
	id, _, err := resolve(text)
	if err != nil {
		return "", fmt.Errorf("app: AppID %w%s", err, position("app", text))
	}
	if !appIDPattern.MatchString(id) {
		return "", fmt.Errorf("app: %q is not an AppID%s", id, position("app", text))
	}
	return id, nil
}

// openKeys returns the configured keys, or those in Caddy's storage.
func (a *App) openKeys(ctx caddy.Context) (*keyring.Ring, error) {
	if len(a.SigningKeys) == 0 {
		return openStored(ctx, keyring.StorageKey, caddyDuration(a.KeyRotation), caddyDuration(a.Session.TokenLifetime))
	}
	keys := make([]token.Key, len(a.SigningKeys))
	for i, text := range a.SigningKeys {
		plain, _, err := resolve(text)
		if err == nil {
			keys[i], err = token.ParseKey(plain)
		}
		if err != nil {
			return nil, fmt.Errorf("signing_key: number %d: %w%s", i+1, err, position("signing_key", text))
		}
	}
	ring, err := token.NewRing(keys...)
	if err != nil {
		return nil, fmt.Errorf("signing_key: %w", err)
	}
	return keyring.Fixed(ring)
}

// openStored returns the keys in Caddy's storage.
func openStored(ctx caddy.Context, key string, rotation, lifetime time.Duration) (*keyring.Ring, error) {
	if err := checkPermissions(ctx.Storage(), key); err != nil {
		return nil, err
	}
	ring, err := keyring.Open(ctx, inspectionOf(ctx).keyStorage(ctx.Storage()), keyring.Settings{StorageKey: key, Rotation: rotation, TokenLifetime: lifetime})
	if errors.Is(err, keyring.ErrDamaged) {
		return nil, fmt.Errorf("signing keys: %w; restore it from a backup, or delete it, which ends every session", err)
	} else if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	return ring, nil
}

// checkPermissions refuses keys that other users of the machine can read.
func checkPermissions(storage certmagic.Storage, key string) error {
	files, ok := storage.(*certmagic.FileStorage)
	if !ok {
		return nil
	}
	name := files.Filename(key)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && os.PathSeparator == '/' {
		return fmt.Errorf("signing keys: %s has mode %04o, so other users can read it; run: chmod 600 %s", name, mode, name)
	}
	return nil
}

// positions remembers where in a Caddyfile a setting stands whose mistakes show
// only when the configuration loads, such as a placeholder without a value.
// JSON has no room for it; an adapted configuration that is loaded by another
// process does without.
var positions sync.Map // [2]string{setting, text} → "file:line"

func rememberPosition(d *caddyfile.Dispenser, setting, text string) {
	positions.Store([2]string{setting, text}, fmt.Sprintf("%s:%d", d.File(), d.Line()))
}

// position returns " (file:line)" of a setting if it is known.
func position(setting, text string) string {
	where, known := positions.Load([2]string{setting, text})
	if !known {
		return ""
	}
	return fmt.Sprintf(", at %s", where)
}

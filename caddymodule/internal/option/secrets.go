package option

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/loginhook"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/secret"
)

// SecretSetting is a setting that can hold a secret. All of them take placeholders
// and are warned about when they are written out, and none is in an error or a log.
type SecretSetting struct {
	// Name is what an operator knows it by.
	Name string
	// check returns what is wrong with the shape of a value, and never the value.
	check func(plain string) error
	// WrittenOut reports whether the text as configured has a secret in it.
	WrittenOut func(text string) bool
}

// The settings that can hold a secret.
var (
	AppSecret     = &SecretSetting{Name: "AppSecret", check: checkAppSecret, WrittenOut: noPlaceholder}
	SigningKey    = &SecretSetting{Name: "signing_key", check: checkKey, WrittenOut: noPlaceholder}
	RedisPassword = &SecretSetting{Name: "password", check: anySecret, WrittenOut: noPlaceholder}
	RedisSecret   = &SecretSetting{Name: "secret", check: checkKey, WrittenOut: noPlaceholder}
	APIProxy      = &SecretSetting{Name: "api_proxy", check: transport.CheckProxy, WrittenOut: passwordInURL}
	HookSecret    = &SecretSetting{Name: "on_login secret", check: checkHookSecret, WrittenOut: noPlaceholder}

	// SecretSettings are all of them.
	SecretSettings = []*SecretSetting{AppSecret, SigningKey, RedisPassword, RedisSecret, APIProxy, HookSecret}
)

// Resolve returns the value of the setting with its placeholders expanded.
func (s *SecretSetting) Resolve(text string) (secret.String, error) {
	plain, err := resolve(text)
	if err == nil {
		err = s.check(plain)
	}
	if err != nil {
		return secret.String{}, err
	}
	return secret.New(plain), nil
}

// CheckText finds what is wrong with a text before its placeholders are known.
func (s *SecretSetting) CheckText(text string) error {
	if isPlaceholder(text) {
		return nil
	}
	return s.check(text)
}

// WarnIfWrittenOut says that a secret is in every copy of the configuration.
func (s *SecretSetting) WarnIfWrittenOut(logger *zap.Logger, text string, fields ...zap.Field) {
	if s.WrittenOut(text) {
		logger.Warn("a secret is "+writtenOut, append(fields, zap.String("setting", s.Name))...)
	}
}

const writtenOut = "written out in the configuration, and so in every copy of it; use a placeholder such as {env.NAME} or {file./path}"

func noPlaceholder(text string) bool { return text != "" && !isPlaceholder(text) }

// passwordInURL reports whether a URL has a password that is no placeholder.
func passwordInURL(text string) bool {
	_, rest, _ := strings.Cut(text, "://")
	authority, _, _ := strings.Cut(rest, "/")
	end := strings.LastIndexByte(authority, '@')
	if end < 0 {
		return false
	}
	_, password, _ := strings.Cut(authority[:end], ":")
	return password != "" && !isPlaceholder(password)
}

func anySecret(string) error { return nil }

func checkHookSecret(plain string) error {
	if len(plain) < loginhook.MinSecret {
		return fmt.Errorf("must be at least %d characters; `openssl rand -hex 32` makes one", loginhook.MinSecret)
	}
	return nil
}

func checkKey(plain string) error {
	_, err := key.Parse(plain)
	return err
}

var (
	appIDPattern     = regexp.MustCompile(`^wx[0-9a-f]{16}$`)
	appSecretPattern = regexp.MustCompile(`^[0-9A-Fa-f]{32}$`)

	// ErrSwapped is about an AppID in the place of a secret.
	ErrSwapped = errors.New("is an AppID, and not a secret: the AppID comes first, then the secret")
	// ErrNotExpanded is about a placeholder of a shell.
	ErrNotExpanded = errors.New("begins with $, which nothing expands: write {env.NAME} for the variable NAME")
	errNotAppID    = errors.New("is not an AppID, which is wx and 16 hex digits in lower case")
)

// checkAppSecret refuses what is certainly no AppSecret. That one has 32 hex digits
// is observed and not specified, so only [OddAppSecret] looks for them.
func checkAppSecret(plain string) error {
	switch {
	case appIDPattern.MatchString(strings.ToLower(plain)):
		return ErrSwapped
	case strings.HasPrefix(plain, "$"):
		return ErrNotExpanded
	}
	return nil
}

// OddAppSecret reports whether WeChat has probably not made the AppSecret.
func OddAppSecret(plain secret.String) bool { return !appSecretPattern.MatchString(plain.Reveal()) }

// CheckAppID checks the shape of an AppID. The error does not have the text, which
// may be a secret.
func CheckAppID(text string) error {
	switch {
	case appIDPattern.MatchString(text):
		return nil
	case strings.HasPrefix(text, "$"):
		return ErrNotExpanded
	case appSecretPattern.MatchString(text):
		return fmt.Errorf("%w; this looks like an AppSecret, which comes second", errNotAppID)
	}
	return errNotAppID
}

// CheckAppIDText is [CheckAppID] for a text that may be a placeholder.
func CheckAppIDText(text string) error {
	if isPlaceholder(text) {
		return nil
	}
	return CheckAppID(text)
}

func isPlaceholder(text string) bool { return strings.Contains(text, "{") }

// resolve expands the placeholders of a setting. Empty and unknown ones are
// errors that name the placeholder, never its value.
func resolve(text string) (value string, err error) {
	if text == "" {
		return "", errors.New("is empty")
	}
	value, err = caddy.NewReplacer().ReplaceOrErr(text, true, true)
	switch {
	case err != nil && literalBraces(text):
		return "", fmt.Errorf("placeholder %s is not set or empty", text)
	case err != nil:
		return "", errors.New("has a placeholder that is not set or empty")
	}
	if value = strings.TrimSpace(value); value == "" { // files end in a newline
		return "", fmt.Errorf("placeholder %s is empty", text)
	}
	return value, nil
}

// literalBraces reports whether the whole text is one placeholder, so that
// naming it in an error shows nothing else.
func literalBraces(text string) bool {
	return strings.HasPrefix(text, "{") && strings.Index(text, "}") == len(text)-1
}

// ResolveAppID returns the AppID that a setting names.
func ResolveAppID(setting, text string) (string, error) {
	id, err := resolve(text)
	if err == nil {
		err = CheckAppID(id)
	}
	if err != nil {
		return "", fmt.Errorf("%s: the AppID %w%s", setting, err, Position(setting, text))
	}
	return id, nil
}

// Secret reads the only argument of an option that can hold a secret. Caddy's
// own errors would repeat it.
func Secret(d *caddyfile.Dispenser, setting *SecretSetting, into *string) error {
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Errf("%s: needs one argument, in quotes if it has a space in it", setting.Name)
	}
	if err := setting.CheckText(args[0]); err != nil {
		return d.Errf("%s: %v", setting.Name, err)
	}
	RememberPosition(d, setting.Name, args[0])
	*into = args[0]
	return nil
}

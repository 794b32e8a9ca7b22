package wechatapp

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

// secretSetting is a setting that can hold a secret. All of them take placeholders
// and are warned about when they are written out, and none is in an error or a log.
type secretSetting struct {
	// name is what an operator knows it by.
	name string
	// check returns what is wrong with the shape of a value, and never the value.
	check func(plain string) error
	// writtenOut reports whether the text as configured has a secret in it.
	writtenOut func(text string) bool
}

// The settings that can hold a secret.
var (
	settingAppSecret   = &secretSetting{name: "AppSecret", check: checkAppSecret, writtenOut: noPlaceholder}
	settingSigningKey  = &secretSetting{name: "signing_key", check: checkKey, writtenOut: noPlaceholder}
	settingRedisPass   = &secretSetting{name: "password", check: anySecret, writtenOut: noPlaceholder}
	settingRedisSecret = &secretSetting{name: "secret", check: checkKey, writtenOut: noPlaceholder}
	settingAPIProxy    = &secretSetting{name: "api_proxy", check: transport.CheckProxy, writtenOut: passwordInURL}
	settingHookSecret  = &secretSetting{name: "on_login secret", check: checkHookSecret, writtenOut: noPlaceholder}

	secretSettings = []*secretSetting{settingAppSecret, settingSigningKey, settingRedisPass, settingRedisSecret, settingAPIProxy, settingHookSecret}
)

// resolve returns the value of the setting with its placeholders expanded.
func (s *secretSetting) resolve(text string) (secret.String, error) {
	plain, err := resolve(text)
	if err == nil {
		err = s.check(plain)
	}
	if err != nil {
		return secret.String{}, err
	}
	return secret.New(plain), nil
}

// checkText finds what is wrong with a text before its placeholders are known.
func (s *secretSetting) checkText(text string) error {
	if isPlaceholder(text) {
		return nil
	}
	return s.check(text)
}

// warnIfWrittenOut says that a secret is in every copy of the configuration.
func (s *secretSetting) warnIfWrittenOut(logger *zap.Logger, text string, fields ...zap.Field) {
	if s.writtenOut(text) {
		logger.Warn("a secret is "+writtenOut, append(fields, zap.String("setting", s.name))...)
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

	errSwapped     = errors.New("is an AppID, and not a secret: the AppID comes first, then the secret")
	errNotExpanded = errors.New("begins with $, which nothing expands: write {env.NAME} for the variable NAME")
	errNotAppID    = errors.New("is not an AppID, which is wx and 16 hex digits in lower case")
)

// checkAppSecret refuses what is certainly no AppSecret. That one has 32 hex digits
// is observed and not specified, so only [oddAppSecret] looks for them.
func checkAppSecret(plain string) error {
	switch {
	case appIDPattern.MatchString(strings.ToLower(plain)):
		return errSwapped
	case strings.HasPrefix(plain, "$"):
		return errNotExpanded
	}
	return nil
}

// oddAppSecret reports whether WeChat has probably not made the AppSecret.
func oddAppSecret(plain secret.String) bool { return !appSecretPattern.MatchString(plain.Reveal()) }

// checkAppID looks at the shape of an AppID. The error does not have the text, which
// may be a secret.
func checkAppID(text string) error {
	switch {
	case appIDPattern.MatchString(text):
		return nil
	case strings.HasPrefix(text, "$"):
		return errNotExpanded
	case appSecretPattern.MatchString(text):
		return fmt.Errorf("%w; this looks like an AppSecret, which comes second", errNotAppID)
	}
	return errNotAppID
}

// checkAppIDText is checkAppID for a text that may be a placeholder.
func checkAppIDText(text string) error {
	if isPlaceholder(text) {
		return nil
	}
	return checkAppID(text)
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

// resolveAppID returns the AppID that a setting names.
func resolveAppID(setting, text string) (string, error) {
	id, err := resolve(text)
	if err == nil {
		err = checkAppID(id)
	}
	if err != nil {
		return "", fmt.Errorf("%s: the AppID %w%s", setting, err, position(setting, text))
	}
	return id, nil
}

// parseSecret reads the only argument of an option that can hold a secret. Caddy's
// own errors would repeat it.
func parseSecret(d *caddyfile.Dispenser, setting *secretSetting, into *string) error {
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Errf("%s: needs one argument, in quotes if it has a space in it", setting.name)
	}
	if err := setting.checkText(args[0]); err != nil {
		return d.Errf("%s: %v", setting.name, err)
	}
	rememberPosition(d, setting.name, args[0])
	*into = args[0]
	return nil
}

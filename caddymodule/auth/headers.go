package auth

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/identity"
)

// Headers says which family of headers tells the app who the user is. Those of
// all families are removed from what clients send, whichever is chosen.
type Headers struct {
	// `default`: `X-OpenID`, `X-UnionID`, `X-AppID`. `cloud_hosting`: what apps
	// written for WeChat Cloud Hosting read, `X-WX-OPENID` and its family, in
	// place of the default ones; `X-WX-SOURCE` exactly when there is a session.
	// Default: `default`
	Preset string `json:"preset,omitempty"`

	// `X-WX-ENV`, which apps compare with their `CBR_ENV_ID`. Only with
	// `cloud_hosting`, like all that follow.
	// Default: none
	EnvID string `json:"env_id,omitempty"`

	// `X-WX-SOURCE`. Requests of the developer tools have `wx_devtools` unless
	// something else is set here.
	// Default: `wx_client`
	Source string `json:"source,omitempty"`

	// The AppID that owns the resources which other apps share. Users of the
	// others reach the app in `X-WX-FROM-OPENID`, `X-WX-FROM-APPID` and
	// `X-WX-FROM-UNIONID`, with `X-WX-APPID` naming the owner.
	// Default: none, every user is one of the app's own
	Reuse string `json:"reuse,omitempty"`

	// `X-WX-SERVICE` for the app. Without it, the service that the client names
	// can be matched on by what follows wechat_auth, and reaches no app.
	// Default: none
	Service string `json:"service,omitempty"`

	// `X-WX-REGION` for the app.
	// Default: none
	Region string `json:"region,omitempty"`
}

const (
	presetDefault      = "default"
	presetCloudHosting = "cloud_hosting"
)

// preset returns the family of headers as it is set.
func (s *Headers) preset() (identity.Preset, error) {
	if s == nil {
		return identity.Default{}, nil
	}
	values := map[string]string{"env_id": s.EnvID, "source": s.Source, "service": s.Service, "region": s.Region}
	switch s.Preset {
	case "", presetDefault:
		if s.Reuse != "" {
			return nil, errors.New("headers: reuse is an option of cloud_hosting")
		}
		for name, value := range values {
			if value != "" {
				return nil, fmt.Errorf("headers: %s is an option of cloud_hosting", name)
			}
		}
		return identity.Default{}, nil
	case presetCloudHosting:
	default:
		return nil, fmt.Errorf("headers: unknown preset %q; there are default and cloud_hosting", s.Preset)
	}
	for name, value := range values {
		if !plainValue(value) {
			return nil, fmt.Errorf("headers: %s: %q cannot be a header's value here", name, value)
		}
	}
	if s.Reuse != "" && option.CheckAppID(s.Reuse) != nil {
		return nil, fmt.Errorf("headers: reuse: the AppID %w", option.CheckAppID(s.Reuse))
	}
	preset := &identity.CloudHosting{EnvID: s.EnvID, Source: s.Source, Owner: s.Reuse, Service: s.Service, Region: s.Region}
	option.SetDefault(&preset.Source, identity.DefaultSource)
	return preset, nil
}

// plainValue accepts visible ASCII without what servers give a meaning to.
func plainValue(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || c == '"' || c == '{' || c == '}' {
			return false
		}
	}
	return len(text) <= 128
}

// unmarshalCaddyfile sets up the headers from their option:
//
//	headers default
//	headers cloud_hosting {
//		env_id  <id>
//		source  <source>
//		reuse   <owner-appid>
//		service <name>
//		region  <name>
//	}
func (s *Headers) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if err := option.String(d, &s.Preset); err != nil {
		return err
	}
	if s.Preset != presetDefault && s.Preset != presetCloudHosting {
		return d.Errf("headers: unknown preset %q; there are default and cloud_hosting", s.Preset)
	}
	options := map[string]*string{"env_id": &s.EnvID, "source": &s.Source, "reuse": &s.Reuse, "service": &s.Service, "region": &s.Region}
	once := make(option.Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Check(d); err != nil {
			return err
		}
		into := options[d.Val()]
		if into == nil {
			return option.Unknown(d, "headers", slices.Collect(maps.Keys(options))...)
		}
		if err := option.String(d, into); err != nil {
			return err
		}
		if _, err := s.preset(); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

package auth

import (
	"errors"
	"fmt"

	"github.com/caddy-wechat/gateway/internal/identity"
)

// headerFields are the fields of the option `header` with their defaults.
var headerFields = []struct {
	field, name string
	set         func(*identity.Names) *string
}{
	{"openid", identity.DefaultOpenID, func(n *identity.Names) *string { return &n.OpenID }},
	{"unionid", identity.DefaultUnionID, func(n *identity.Names) *string { return &n.UnionID }},
	{"appid", identity.DefaultAppID, func(n *identity.Names) *string { return &n.AppID }},
	{"session_id", "", func(n *identity.Names) *string { return &n.SessionID }},
	{"user_id", identity.DefaultUserID, func(n *identity.Names) *string { return &n.UserID }},
}

const headerOff = "off"

// headerNames turns the option `header` into the names of each field.
func headerNames(configured map[string]string) (identity.Names, error) {
	var names identity.Names
	known := 0
	for _, f := range headerFields {
		name, set := configured[f.field]
		switch {
		case !set:
			name = f.name
		case name == headerOff:
			name, known = "", known+1
		default:
			if err := identity.CheckHeaderName(name); err != nil {
				return names, fmt.Errorf("header: %s: %w", f.field, err)
			}
			known++
		}
		*f.set(&names) = name
	}
	if known != len(configured) {
		return names, errors.New("header: fields are openid, unionid, appid, session_id and user_id")
	}
	return names, nil
}

// checkBesideCloudHosting accepts the headers that go with the preset cloud_hosting.
// Those of the preset itself have fixed names, which no other header may take.
func (h *Handler) checkBesideCloudHosting() error {
	family, fixed := h.preset.(*identity.CloudHosting)
	if !fixed {
		return nil
	}
	for field, name := range h.Header {
		if field != "session_id" && field != "user_id" {
			return fmt.Errorf("header: %s: the headers of `headers cloud_hosting` have fixed names; only session_id and user_id can be named beside them", field)
		}
		if family.Names(name) {
			return fmt.Errorf("header: %s: header %q is one of `headers cloud_hosting`; choose another name", field, name)
		}
	}
	return nil
}

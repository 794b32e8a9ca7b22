package auth

import (
	"fmt"
	"strings"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/provider"
)

// resolveApps finds the apps of this site among the configured ones.
func (h *Handler) resolveApps() (gateway.Apps, error) {
	if len(h.Apps) == 0 {
		if len(h.app.AppIDs()) > 1 {
			return nil, fmt.Errorf("wechat_auth: app: %d apps are configured, name the ones of this site: %s",
				len(h.app.AppIDs()), strings.Join(h.app.AppIDs(), " ")+option.PositionOfHandler(h.Digest()))
		}
		return gateway.Apps(h.app.AppIDs()), nil
	}
	var apps gateway.Apps
	for _, text := range h.Apps {
		id, err := option.ResolveAppID("wechat_auth app", text)
		if err != nil {
			return nil, err
		}
		if _, found := h.app.Account(id); !found {
			return nil, fmt.Errorf("wechat_auth: app %q is not in the global option wechat, which has: %s%s",
				id, strings.Join(h.app.AppIDs(), " "), option.Position("wechat_auth app", text))
		}
		if apps.Has(id) {
			return nil, fmt.Errorf("wechat_auth: app %q is listed twice", id)
		}
		apps = append(apps, id)
	}
	return apps, nil
}

// account returns one of the accounts of this site.
func (h *Handler) account(appID string) provider.Account {
	account, _ := h.app.Account(appID) // resolveApps has found it
	return account
}

// hasKind reports whether one of the site's apps is of a kind.
func (h *Handler) hasKind(kind provider.Kind) bool {
	for _, id := range h.apps {
		if h.account(id).Kind == kind {
			return true
		}
	}
	return false
}

// accountFor returns the account that a setting names, or the only one of the kind.
func (h *Handler) accountFor(setting, named string, kind provider.Kind) (string, error) {
	var found gateway.Apps
	for _, id := range h.apps {
		if h.account(id).Kind == kind {
			found = append(found, id)
		}
	}
	if named == "" {
		switch len(found) {
		case 0:
			return "", nil
		case 1:
			return found[0], nil
		}
		return "", fmt.Errorf("browser: %s: this site has %d apps of kind %s, name one of them", setting, len(found), kind)
	}
	id, err := option.ResolveAppID("browser "+setting, named)
	switch {
	case err != nil:
		return "", fmt.Errorf("browser: %s: %w", setting, err)
	case !h.apps.Has(id):
		return "", fmt.Errorf("browser: %s: app %q is not one of this site", setting, id)
	case !found.Has(id):
		return "", fmt.Errorf("browser: %s: app %s is of kind %s, it must be %s", setting, id, h.account(id).Kind, kind)
	}
	return id, nil
}

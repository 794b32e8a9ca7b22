package auth

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("wechat_auth", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("wechat_auth", httpcaddyfile.Before, "basic_auth")
}

func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	directive := *h.Dispenser
	directive.Next()
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	option.RememberHandler(option.Here(&directive), option.Digest(handler))
	return handler, nil
}

// UnmarshalCaddyfile sets up the handler from its directive:
//
//	wechat_auth [<matcher>] {
//		app      <appid>...
//		prefix   <path>
//		public   <path>... | { <matchers> }
//		optional [<path>...] | { <matchers> }
//		headers  default | cloud_hosting { env_id … source … reuse … service … region … }
//		header   <field> <name>|off
//		assertion <header> { audience … lifetime … }
//		token    header <name> | query <name> | cookie <name>
//		forward_token
//		one_trip
//		browser  { challenge … cookie … lifetime … in_wechat … elsewhere … trust_origin … }
//	}
//
// Only `header` can be repeated, once per field.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if err := option.NoArgument(d); err != nil {
		return err
	}
	once := make(option.Once)
	var public caddyfile.Dispenser // where `public` stands
	for d.NextBlock(0) {
		name := d.Val()
		if name != "header" {
			if err := once.Check(d); err != nil {
				return err
			}
		}
		if name == "public" {
			public = *d
		}
		if err := h.unmarshalOption(d, name); err != nil {
			return err
		}
	}
	// The prefix may stand below `public`, so this comes last.
	if h.Public != nil {
		prefix := h.Prefix
		option.SetDefault(&prefix, defaultPrefix)
		if err := h.Public.checkPublic(prefix); err != nil {
			return public.WrapErr(err)
		}
	}
	return nil
}

func (h *Handler) unmarshalOption(d *caddyfile.Dispenser, name string) error {
	switch name {
	case "app":
		return h.unmarshalApps(d)
	case "prefix":
		if err := option.String(d, &h.Prefix); err != nil {
			return err
		}
		if err := checkPrefix(h.Prefix); err != nil {
			return d.WrapErr(err)
		}
		return nil
	case "public":
		h.Public = new(Selection)
		if err := h.Public.unmarshalCaddyfile(d); err != nil {
			return err
		}
		if h.Public.All {
			return d.Err("public: needs paths or a block of matchers")
		}
		return nil
	case "optional":
		h.Optional = new(Selection)
		return h.Optional.unmarshalCaddyfile(d)
	case "headers":
		h.Headers = new(Headers)
		return h.Headers.unmarshalCaddyfile(d)
	case "assertion":
		h.Assertion = new(Assertion)
		return h.Assertion.unmarshalCaddyfile(d)
	case "header":
		return h.unmarshalHeader(d)
	case "token":
		return h.unmarshalToken(d)
	case "browser":
		h.Browser = new(Browser)
		return h.Browser.unmarshalCaddyfile(d)
	case "forward_token":
		if err := option.NoArgument(d); err != nil {
			return err
		}
		h.ForwardToken = true
		return nil
	case "one_trip":
		if err := option.NoArgument(d); err != nil {
			return err
		}
		h.OneTrip = true
		return nil
	}
	return option.Unknown(d, "wechat_auth", "app", "browser", "prefix", "public", "optional", "headers", "assertion", "header", "token", "forward_token", "one_trip")
}

func (h *Handler) unmarshalApps(d *caddyfile.Dispenser) error {
	h.Apps = d.RemainingArgs()
	if len(h.Apps) == 0 {
		return d.ArgErr()
	}
	for i, id := range h.Apps {
		if err := option.CheckAppIDText(id); err != nil {
			return d.Errf("app: the AppID %v", err)
		}
		if slices.Contains(h.Apps[:i], id) {
			return d.Errf("app: %s is listed twice", id)
		}
		option.RememberPosition(d, "wechat_auth app", id)
	}
	return nil
}

func (h *Handler) unmarshalHeader(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("header: needs a field and a name: header openid X-User, or off as the name")
	}
	field, name := args[0], args[1]
	if _, taken := h.Header[field]; taken {
		return d.Errf("header: %s may only be given once", field)
	}
	if h.Header == nil {
		h.Header = make(map[string]string)
	}
	h.Header[field] = name
	names, err := headerNames(h.Header)
	if err == nil {
		_, err = identity.NewGuard(names)
	}
	if err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (h *Handler) unmarshalToken(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || args[1] == "" {
		return d.Err("token: needs one of: header <name>, query <name>, cookie <name>")
	}
	h.Token = new(TokenCarrier)
	switch args[0] {
	case "header":
		h.Token.Header = args[1]
	case "query":
		h.Token.Query = args[1]
	case "cookie":
		h.Token.Cookie = args[1]
	default:
		return d.Errf("token: unrecognized place %q; it is header, query or cookie", args[0])
	}
	if _, err := h.Token.carrier(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// unmarshalCaddyfile reads paths on the line or matchers in a block; neither
// means every request.
func (s *Selection) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	name := d.Val()
	s.Paths = d.RemainingArgs()
	for _, path := range s.Paths {
		if _, err := urlpath.ParsePattern(path); err != nil {
			return d.Errf("%s: %v", name, err)
		}
	}
	if len(s.Paths) > 0 {
		if d.NextBlock(d.Nesting()) {
			return d.Errf("%s: takes paths or a block of matchers, not both", name)
		}
		return nil
	}
	before := d.Token()
	set, err := caddyhttp.ParseCaddyfileNestedMatcherSet(d)
	if err != nil {
		return err
	}
	switch {
	case len(set) > 0:
		s.MatcherSetsRaw = append(s.MatcherSetsRaw, set)
	case d.Token().Line != before.Line || d.Val() != name:
		return d.Errf("%s: the block of matchers is empty", name)
	default:
		s.All = true
	}
	return nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Handler)(nil)
)

package simulator

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/simulator"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("wechat_simulator", parse)
	httpcaddyfile.RegisterDirectiveOrder("wechat_simulator", httpcaddyfile.Before, "respond")
}

func parse(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	s := new(Simulator)
	return s, s.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from its directive:
//
//	wechat_simulator [<matcher>] {
//		app             <appid> <secret>
//		domain          <appid> <host>...
//		user            <name> [unionid|no_unionid]
//		gateway         <url>
//		prefix          <path>
//		developer_tools <user>
//	}
//
// `app`, `domain` and `user` can be repeated. A user has a unionid unless said otherwise.
func (s *Simulator) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		var err error
		switch d.Val() {
		case "app":
			err = s.unmarshalApp(d)
		case "domain":
			err = s.unmarshalDomain(d)
		case "user":
			err = s.unmarshalUser(d)
		case "developer_tools":
			if err = parseOnce(d, &s.DeveloperTools); err == nil {
				err = simulator.CheckName(s.DeveloperTools)
			}
		case "gateway":
			if err = parseOnce(d, &s.Gateway); err == nil {
				_, err = simulator.ParseGateway(s.Gateway)
			}
		case "prefix":
			if err = parseOnce(d, &s.Prefix); err == nil {
				err = checkPrefix(s.Prefix)
			}
		default:
			return option.Unknown(d, "wechat_simulator", "app", "developer_tools", "domain", "gateway", "prefix", "user")
		}
		if err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// parseOnce reads the only argument of an option that may be given once.
func parseOnce(d *caddyfile.Dispenser, into *string) error {
	option := d.Val()
	if *into != "" {
		return d.Errf("%s is given twice", option)
	}
	if !d.AllArgs(into) || *into == "" {
		return d.Errf("%s: needs one argument", option)
	}
	return nil
}

func (s *Simulator) unmarshalApp(d *caddyfile.Dispenser) error {
	var appID, secret string
	if !d.AllArgs(&appID, &secret) {
		return d.Err("app: needs an AppID and a secret")
	}
	if _, taken := s.Apps[appID]; taken {
		return d.Errf("app %s is given twice", appID)
	}
	if s.Apps == nil {
		s.Apps = make(map[string]string)
	}
	s.Apps[appID] = secret
	return checkApp(appID, secret)
}

func (s *Simulator) unmarshalDomain(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.Err("domain: needs an AppID and at least one host name")
	}
	if s.Domains == nil {
		s.Domains = make(map[string][]string)
	}
	s.Domains[args[0]] = append(s.Domains[args[0]], args[1:]...)
	return checkDomain(args[0], args[1:])
}

func (s *Simulator) unmarshalUser(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 1 {
		args = append(args, "unionid")
	}
	if len(args) != 2 || args[1] != "unionid" && args[1] != "no_unionid" {
		return d.Err("user: needs a name, and unionid or no_unionid")
	}
	if _, taken := s.Users[args[0]]; taken {
		return d.Errf("user %s is given twice", args[0])
	}
	if s.Users == nil {
		s.Users = make(map[string]bool)
	}
	s.Users[args[0]] = args[1] == "unionid"
	return simulator.CheckName(args[0])
}

var _ caddyfile.Unmarshaler = (*Simulator)(nil)

package wechatapp

import (
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// onceOnly finds options that are given twice.
type onceOnly map[string]bool

func (o onceOnly) check(d *caddyfile.Dispenser) error {
	if o[d.Val()] {
		return d.Errf("%s may only be given once", d.Val())
	}
	o[d.Val()] = true
	return nil
}

func parseString(d *caddyfile.Dispenser, into *string) error {
	option := d.Val()
	if !d.NextArg() {
		return d.ArgErr()
	}
	*into = d.Val()
	if *into == "" {
		return d.Errf("%s: is empty", option)
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

func parseDuration(d *caddyfile.Dispenser, into *caddy.Duration, within bounds[time.Duration]) error {
	option := d.Val()
	var text string
	if err := parseString(d, &text); err != nil {
		return err
	}
	value, err := caddy.ParseDuration(text)
	if err != nil {
		return d.Errf("%s: %q is not a duration such as 90s, 2h or 30d", option, text)
	}
	if err := within.check(option, value); err != nil {
		return d.WrapErr(err)
	}
	*into = caddy.Duration(value)
	return nil
}

func parseNumber(d *caddyfile.Dispenser, into *int, within bounds[int]) error {
	option := d.Val()
	var text string
	if err := parseString(d, &text); err != nil {
		return err
	}
	value, err := strconv.Atoi(text)
	if err != nil {
		return d.Errf("%s: %q is not a number from %d to %d", option, text, within.least, within.most)
	}
	if err := within.check(option, value); err != nil {
		return d.WrapErr(err)
	}
	*into = value
	return nil
}

// setDefault fills in a setting that was not given.
func setDefault[T comparable](setting *T, value T) {
	var zero T
	if *setting == zero {
		*setting = value
	}
}

package option

import (
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Once finds options that are given twice.
type Once map[string]bool

// Check refuses the option under the cursor if it was given before.
func (o Once) Check(d *caddyfile.Dispenser) error {
	if o[d.Val()] {
		return d.Errf("%s may only be given once", d.Val())
	}
	o[d.Val()] = true
	return nil
}

// String reads the only argument of an option, which must not be empty.
func String(d *caddyfile.Dispenser, into *string) error {
	option := d.Val()
	if !d.NextArg() {
		return d.ArgErr()
	}
	*into = d.Val()
	if *into == "" {
		return d.Errf("%s: is empty", option)
	}
	if d.NextArg() {
		return d.Errf("%s: needs one argument", option)
	}
	return nil
}

// NoArgument refuses an argument of the option under the cursor. It does not repeat it, as
// Caddy's own error would: it may be a secret.
func NoArgument(d *caddyfile.Dispenser) error {
	option := d.Val()
	if d.NextArg() {
		return d.Errf("%s: takes no argument", option)
	}
	return nil
}

// Duration reads a time within bounds.
func Duration(d *caddyfile.Dispenser, into *caddy.Duration, within Bounds[time.Duration]) error {
	option := d.Val()
	var text string
	if err := String(d, &text); err != nil {
		return err
	}
	value, err := caddy.ParseDuration(text)
	if err != nil {
		return d.Errf("%s: %q is not a duration such as 90s, 2h or 30d", option, text)
	}
	if err := within.Check(option, value); err != nil {
		return d.WrapErr(err)
	}
	*into = caddy.Duration(value)
	return nil
}

// Number reads a whole number within bounds.
func Number(d *caddyfile.Dispenser, into *int, within Bounds[int]) error {
	option := d.Val()
	var text string
	if err := String(d, &text); err != nil {
		return err
	}
	value, err := strconv.Atoi(text)
	if err != nil {
		return d.Errf("%s: %q is not a number from %d to %d", option, text, within.Least, within.Most)
	}
	if err := within.Check(option, value); err != nil {
		return d.WrapErr(err)
	}
	*into = value
	return nil
}

// SetDefault fills in a setting that was not given.
func SetDefault[T comparable](setting *T, value T) {
	var zero T
	if *setting == zero {
		*setting = value
	}
}

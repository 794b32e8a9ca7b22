// Package option reads and checks what operators configure: the options of a
// Caddyfile, numbers and times within bounds, secrets and placeholders. Every
// setting that can hold a secret is in one list here, and so are the bounds of every
// number. Mistakes are told with the place in the Caddyfile.
package option
